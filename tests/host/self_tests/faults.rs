//! Loading, traps, and a host that misbehaves on purpose.

use super::{run, said};
use test_host::{Guest, Host, Options, Profile, Reply, Request, StartError, What, When};

/// Says status, pointer and size of the header `h` of each request.
const READS_A_HEADER: &str = r#"
    (data (i32.const 64) "h")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (i32.store (i32.const 4) (i32.const 0)) (i32.store (i32.const 8) (i32.const 0))
        (call $say (call $proxy_get_header_map_value
            (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 4) (i32.const 8)))
        (call $say (i32.load (i32.const 8)))
        (call $zero))"#;

fn reads(what: What, when: When, requests: u32) -> Vec<String> {
    let mut host = run(Profile::Envoy, READS_A_HEADER);
    host.fault("proxy_get_header_map_value", when, what);
    for _ in 0..requests {
        host.send(&Request::get("/").header("h", "value"))
            .assert_untouched();
    }
    said(&host)
}

#[test]
fn a_host_call_gives_any_status_empty_and_huge_data() {
    assert_eq!(
        reads(What::Status(4242), When::Next(1), 2),
        ["4242", "0", "0", "5"]
    );
    assert_eq!(
        reads(What::Nothing, When::After(1), 2),
        ["0", "5", "0", "0"]
    );
    assert_eq!(
        reads(What::Data(vec![0xff; 3_000_000]), When::Always, 1),
        ["0", "3000000"]
    );
}

#[test]
fn chance_comes_from_the_seed() {
    let hits = |chance| {
        let said = reads(What::Status(10), When::Chance(chance), 200);
        said.iter().filter(|text| *text == "10").count()
    };
    assert_eq!((hits(0.0), hits(1.0), hits(0.5)), (0, 200, hits(0.5)));
    assert!((60..140).contains(&hits(0.5)));
}

#[test]
fn data_stands_in_for_a_header_that_is_missing() {
    let mut host = run(Profile::Envoy, READS_A_HEADER);
    host.fault(
        "proxy_get_header_map_value",
        When::Next(1),
        What::Data(b"made up".to_vec()),
    );
    host.send(&Request::get("/"));
    host.send(&Request::get("/"));
    assert_eq!(said(&host), ["0", "7", "1", "0"]);
}

/// Says the configuration's size as it is told it, and the status of its getter.
const READS_ITS_CONFIGURATION: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $say (local.get 1))
        (call $say (call $proxy_get_buffer_bytes
            (i32.const 7) (i32.const 0) (local.get 1) (i32.const 4) (i32.const 8)))
        (i32.const 1))"#;

#[test]
fn faults_and_lies_may_be_there_from_the_start() {
    let start = |options| {
        said(&Host::new(
            Profile::Envoy,
            &Guest::wat(READS_ITS_CONFIGURATION),
            options,
        ))
    };
    let options = Options::new("{}");
    assert_eq!(start(options.clone()), ["2", "0"]);
    let lie = Options {
        claimed_size: Some(99),
        ..options.clone()
    };
    assert_eq!(start(lie), ["99", "0"]);
    let call = "proxy_get_buffer_bytes";
    let fault = Options {
        faults: vec![(call, When::Next(1), What::Status(7))],
        ..options
    };
    let hits = fault.hits.clone();
    assert_eq!(
        (hits.of(call), start(fault), hits.of(call)),
        (0, vec!["2".into(), "7".into()], 1)
    );
}

#[test]
fn a_root_context_can_end_before_its_streams() {
    let says = r#"
        (func (export "proxy_on_done") (param i32) (result i32) (call $say (local.get 0)) (i32.const 1))
        (func (export "proxy_on_delete") (param i32) (call $say (i32.add (local.get 0) (i32.const 100))))"#;
    let mut host = run(Profile::Envoy, says);
    let stream = host.open(&Request::get("/"));
    let root = host.current_root();
    host.end_root_first(root, true);
    assert!(host.is_gone(root));
    host.close(stream);
    let expected = [root, root + 100, stream, stream + 100].map(|number| number.to_string());
    assert_eq!(said(&host), expected);
}

/// Traps when the path is not 1 byte long.
const TRAPS: &str = r#"
    (data (i32.const 64) ":path")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $proxy_get_header_map_value
            (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 4) (i32.const 8)))
        (if (i32.ne (i32.load (i32.const 8)) (i32.const 1)) (then (call $say (i32.const 13)) (unreachable)))
        (call $zero))"#;

#[test]
fn a_trap_kills_the_instance_and_fails_the_stream() {
    let mut host = run(Profile::Envoy, TRAPS);
    let stream = host.open(&Request::get("/"));
    let trap = host.try_send(&Request::get("/long")).unwrap_err();
    assert_eq!(
        (trap.callback, trap.last_logs.as_slice()),
        ("proxy_on_request_headers", &["13".to_owned()][..])
    );
    assert!(trap.reason.contains("unreachable"), "{trap}");
    assert!(host.is_dead() && host.try_send(&Request::get("/")).is_err());
    assert_eq!(
        host.close(stream).failed_with,
        Some(503),
        "the stream beside it fails as well"
    );
}

#[test]
fn a_new_instance_takes_the_place_of_a_dead_one() {
    for profile in [Profile::Envoy, Profile::Nginx] {
        let mut host = run(profile, TRAPS);
        host.try_send(&Request::get("/long")).unwrap_err();
        host.restart().unwrap();
        host.send(&Request::get("/")).assert_untouched();
        assert_eq!(said(&host), ["13"], "the log is kept");
    }
}

#[test]
#[should_panic(expected = "the instance trapped in proxy_on_request_headers")]
fn an_unexpected_trap_fails_the_test() {
    run(Profile::Envoy, TRAPS).send(&Request::get("/long"));
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let spins = r#"(func (export "proxy_on_tick") (param i32) (loop $l (br $l)))"#;
    let options = Options {
        fuel_per_callback: 100_000,
        ..Options::new("")
    };
    let mut host = Host::new(Profile::Envoy, &Guest::wat(spins), options);
    assert!(host.try_tick(1).unwrap_err().reason.contains("fuel"));
}

#[test]
fn an_injected_trap_is_a_trap() {
    let mut host = run(Profile::Envoy, READS_A_HEADER);
    host.fault("proxy_get_header_map_value", When::Always, What::Trap);
    assert!(
        host.try_send(&Request::get("/"))
            .unwrap_err()
            .reason
            .contains("injected")
    );
}

fn load_error(profile: Profile, text: &str) -> String {
    let guest = Guest::from_bytes(text).unwrap();
    match Host::try_new(profile, &guest, Options::new("")) {
        Err(StartError::Load(why)) => why,
        other => panic!(
            "expected a load error, got {:?}",
            other.map(|_| ()).map_err(|error| error.to_string())
        ),
    }
}

#[test]
fn a_module_that_the_host_would_refuse_does_not_load() {
    let import = r#"(module (import "wasi_snapshot_preview1" "fd_datasync" (func (param i32) (result i32)))
        (import "env" "proxy_teleport" (func)) (memory (export "memory") 1)
        (func (export "malloc") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_abi_version_0_2_1")))"#;
    let envoy = load_error(Profile::Envoy, import);
    assert!(
        envoy.contains("env.proxy_teleport, which Envoy") && !envoy.contains("fd_datasync"),
        "{envoy}"
    );
    let nginx = load_error(Profile::Nginx, import);
    assert!(
        nginx.contains("fd_datasync, which Nginx") && nginx.contains("must export every callback"),
        "{nginx}"
    );
    assert!(load_error(Profile::Envoy, "(module)").contains("proxy_abi_version_0_2_1"));
}

#[test]
fn features_beyond_both_hosts_are_refused() {
    assert!(Guest::from_bytes("(module (func (drop (v128.const i64x2 1 2))))").is_err());
}

#[test]
fn start_functions_may_only_log() {
    let early = r#"(func (export "_initialize") (call $period (i32.const 1)))"#;
    let error = Host::try_new(Profile::Envoy, &Guest::wat(early), Options::new(""))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("during initialization"),
        "{error}"
    );
}

#[test]
fn a_guest_without_memory_to_give_gets_an_error_and_no_data() {
    let stingy = r#"(module
        (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (i32.ne (call $get (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)) (i32.const 6))))"#;
    let guest = Guest::from_bytes(stingy).unwrap();
    let error = Host::try_new(Profile::Envoy, &guest, Options::new("config"))
        .err()
        .unwrap();
    assert!(matches!(error, StartError::Rejected { .. }), "{error}");
}

#[test]
fn the_environment_and_randomness_come_from_the_options() {
    let text = r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0))
        (func (export "_initialize")
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (drop (call $env (i32.const 16) (i32.const 64)))
            (drop (call $log (i32.const 2) (i32.const 64) (i32.load (i32.const 4))))
            (drop (call $random (i32.const 512) (i32.const 4)))
            (drop (call $log (i32.const 2) (i32.const 512) (i32.const 4)))))"#;
    let guest = Guest::from_bytes(text).unwrap();
    let logs = |seed| {
        let options = Options {
            seed,
            ..Options::new("")
        }
        .env("A", "1")
        .env("B", "");
        said(&Host::new(Profile::Envoy, &guest, options))
    };
    assert_eq!(logs(1)[0], "A=1\0B=\0");
    assert_eq!(logs(1), logs(1));
    assert_ne!(logs(1)[1], logs(2)[1]);
}

#[test]
fn a_failed_reply_has_no_headers_and_a_cut_one_no_body() {
    let mut host = run(
        Profile::Envoy,
        r#"(func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
               (call $say (local.get 2)) (call $say (local.get 3))
               (call $say (call $proxy_get_buffer_bytes
                   (i32.const 4) (i32.const 0) (i32.const 99) (i32.const 4) (i32.const 8))))"#,
    );
    host.reply(1, &Reply::failed("timeout"));
    host.reply(1, &Reply::status(200).body("abc").cut_short());
    assert_eq!(said(&host), ["0", "0", "0", "1", "4", "2"]);
}
