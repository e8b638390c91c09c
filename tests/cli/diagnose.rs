//! `diagnose` on what a real Envoy answered, kept by `UPDATE=1 pytest tests/e2e/test_diagnose_second.py`.

use crate::{Ran, run};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Four second Sentries: one is away, one refuses the key, two limit transactions, for a minute and for a day.
const SECOND: &str = include_str!("fixtures/diagnose/second.json");

fn captured() -> Value {
    serde_json::from_str(SECOND).unwrap()
}

/// An admin endpoint with these answers by path, and 404 for all else.
fn serve(answers: &Value) -> String {
    let mut answers = answers.clone();
    let stats = answers["/stats"].as_object().unwrap().iter();
    let stats = stats.map(|(name, value)| json!({"name": name, "value": value}));
    answers["/stats"] = json!({"stats": stats.collect::<Vec<_>>()});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &answers);
        }
    });
    address
}

fn answer(mut stream: TcpStream, answers: &Value) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let _ = lines.find(|line| line.as_ref().unwrap().is_empty());
    let target = first.split(' ').nth(1).unwrap();
    let (status, body) = match answers.get(target.split('?').next().unwrap()) {
        Some(answer) => ("200 OK", answer.to_string()),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes());
}

fn diagnose(answers: &Value, more: &[&str]) -> Ran {
    let address = serve(answers);
    let mut args = vec!["diagnose", "--seconds", "1"];
    args.extend(more);
    args.push(&address);
    let ran = run(&args);
    assert_eq!(ran.err, "");
    ran
}

/// What is said, without what to do.
fn said(ran: &Ran) -> Vec<&str> {
    let mut lines = ran.lines();
    lines.retain(|line| line.starts_with("problem: ") || line.starts_with("note: "));
    lines
}

#[test]
fn each_second_sentry_is_called_by_its_name() {
    let ran = diagnose(&captured(), &[]);
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.lines()[1..6],
        [
            "  rum: captured 6, delivered 6, failed 0, dropped 0, pending 0, retries 0",
            "  sentry.away: captured 6, delivered 0, failed 6, dropped 0, pending 0, retries 6",
            "  sentry.closed: captured 4, delivered 3, failed 1, dropped 0, pending 0, retries 0",
            "  sentry.limits: captured 6, delivered 3, failed 0, dropped 0, pending 3, retries 0",
            "  sentry.wrong: captured 6, delivered 0, failed 6, dropped 0, pending 0, retries 0",
        ]
    );
    let expected = [
        "problem: sentry.away.failed is 6 (0 more in 1 s): sentry.away refuses for good, or answers stay away; cluster away: ",
        "problem: sentry.closed.failed is 1 (0 more in 1 s): sentry.closed refuses for good, or answers stay away; ",
        "problem: sentry.closed limits: it answered 429 to 1 calls",
        "problem: sentry.closed.skipped.limited is 2 (0 more in 1 s): sentry.closed takes no more of some categories ",
        "problem: sentry.limits limits: it answered 429 to 1 calls",
        "problem: sentry.wrong.failed is 6 (0 more in 1 s): sentry.wrong does not accept the key of a copy; cluster wrong: ",
    ];
    let found = said(&ran);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, begin) in found.iter().zip(expected) {
        assert!(line.starts_with(begin), "{line}");
    }
    assert!(
        ran.out
            .ends_with("6 problems; envoy/metrics.md has the runbook\n")
    );
    // The keys of the DSNs in the dump.
    assert!(SECOND.contains("5ca1ab1e5ca14b1e") && !ran.out.contains("5ca1ab1e5ca14b1e"));
}

#[test]
fn what_was_before_is_left_out_for_scripts() {
    let ran = diagnose(&captured(), &["--recent"]);
    assert_eq!((ran.status, said(&ran)), (0, vec![]), "{}", ran.out);
}

#[test]
fn without_the_configuration_targets_are_known_by_their_metrics() {
    let mut answers = captured();
    let pages = answers.as_object_mut().unwrap();
    pages.remove("/config_dump").unwrap();
    pages.remove("/server_info").unwrap();
    let ran = diagnose(&answers, &[]);
    let found = said(&ran);
    assert_eq!(ran.status, 1);
    assert!(
        found
            .iter()
            .any(|line| line.contains("sentry.wrong does not accept the key"))
    );
    // Nobody knows whether there is a rate.
    let limited = "note: sentry.closed.skipped.limited is 2 (0 more in 1 s): projects over their rate, or categories ";
    assert!(
        found.iter().any(|line| line.starts_with(limited)),
        "{found:#?}"
    );
}

#[test]
fn what_is_no_name_of_a_target_is_not_printed() {
    let mut answers = captured();
    let foreign = "wasmcustom.sentry_edge_mirror.sentry.\u{1b}[31mred.failed";
    answers["/stats"][foreign] = json!(3);
    let ran = diagnose(&answers, &[]);
    assert!(!ran.out.contains("[31m"), "{}", ran.out);
}
