//! What an item gives, kind by kind.

use super::{PLAIN, item, run};
use crate::sls::record::Options;
use crate::sls::scrub::Scrubber;

#[test]
fn an_event_with_an_exception() {
    let envelope = concat!(
        r#"{"event_id":"9EC79C33-EC99-42AB-8353-589FCB2E04DC","sdk":{"name":"late","version":"9"},"trace":{"release":"r"}}"#,
        "\n{\"type\":\"event\"}\n",
        r#"{"event_id":"0","timestamp":"2026-11-21T03:34:36.1","level":"error","user":{"id":7,"username":"jane"},"#,
        r#""exception":{"values":[{"type":"Cause","value":"c"},{"type":"E","value":"m\n2","mechanism":{"handled":false},"#,
        r#""stacktrace":{"frames":[{"function":"main","filename":"a.rs","lineno":1},{"module":"m","lineno":2,"colno":3}]}}]},"#,
        r#""sdk":{"name":"own"},"tags":[["a","b"]],"contexts":{"trace":{"trace_id":"t","span_id":"s"}},"extra":{"x":[1]}}"#,
    );
    assert_eq!(
        run(envelope, PLAIN),
        [[
            "1795232076100",
            "event_type=exception",
            "sentry.item_type=event",
            "event_id=9ec79c33ec9942ab8353589fcb2e04dc",
            "sentry.level=error",
            "user.id=7",
            "user.name=jane",
            "sentry.sdk.name=own",
            "sentry.tags=[[\"a\",\"b\"]]",
            "trace_id=t",
            "span_id=s",
            "exception.type=E",
            "exception.message=m\n2",
            "sentry.exception.handled=false",
            "sentry.exception.count=2",
            "exception.stack=E: m\n2\n    at ? (m:2:3)\n    at main (a.rs:1)\nCaused by: Cause: c",
            "app.version=r",
            "sentry.sdk.version=9",
        ]]
    );
}

#[test]
fn other_shapes_of_exceptions_and_stacks() {
    let stack = |payload: &str| {
        let fields = run(&item("event", payload), PLAIN).concat();
        fields
            .iter()
            .find_map(|field| field.strip_prefix("exception.stack="))
            .map(str::to_owned)
    };
    let frames = r#"{"frames":[{"function":"f"}]}"#;
    assert_eq!(
        stack(r#"{"exception":[{"type":"A"},{"type":"B"}]}"#).as_deref(),
        Some("B\nCaused by: A")
    );
    assert_eq!(
        stack(r#"{"exception":{"type":"A","value":7}}"#).as_deref(),
        Some("A: 7")
    );
    assert_eq!(
        stack(&format!(r#"{{"stacktrace":{frames}}}"#)).as_deref(),
        Some("    at f (?)")
    );
    let threads = format!(
        r#"{{"threads":{{"values":[{{"id":1}},{{"current":true,"stacktrace":{frames}}}]}}}}"#
    );
    assert_eq!(stack(&threads).as_deref(), Some("    at f (?)"));
    for nothing in [
        "{}",
        r#"{"exception":null}"#,
        r#"{"exception":{"values":null},"threads":7,"stacktrace":[]}"#,
    ] {
        assert_eq!(stack(nothing), None, "{nothing}");
    }
}

#[test]
fn a_transaction_and_its_spans() {
    let payload = r#"{"transaction":"/x","start_timestamp":1795232076.5,"timestamp":1795232077.75,"release":"r","spans":[{"op":"db","start_timestamp":1795232076.5,"timestamp":1795232076.6},7]}"#;
    let transaction = [
        "1795232077750",
        "event_type=view",
        "sentry.item_type=transaction",
        "sentry.transaction=/x",
        "app.version=r",
        "sentry.span_count=2",
        "view.name=/x",
        "sentry.start_timestamp=1795232076500",
        "sentry.duration_ms=1250.000",
    ];
    let sorted = |mut records: Vec<Vec<String>>| {
        records.iter_mut().for_each(|record| record.sort());
        records
    };
    let expected = sorted(vec![transaction.map(str::to_owned).to_vec()]);
    assert_eq!(sorted(run(&item("transaction", payload), PLAIN)), expected);
    let with_spans = run(
        &item("transaction", payload),
        Options {
            spans: true,
            payload: true,
            ..PLAIN
        },
    );
    assert_eq!(with_spans.len(), 3);
    assert!(with_spans[0].contains(&format!("payload={payload}")));
    assert_eq!(
        with_spans[1],
        [
            "1795232076600",
            "event_type=custom",
            "sentry.item_type=span",
            "sentry.op=db",
            r#"payload={"op":"db","start_timestamp":1795232076.5,"timestamp":1795232076.6}"#,
            "sentry.start_timestamp=1795232076500",
            "sentry.duration_ms=100.000",
            "app.version=r",
            "sentry.transaction=/x",
        ]
    );
    assert!(with_spans[2].contains(&"sentry.error=not a JSON object".to_owned()));
}

#[test]
fn containers_give_a_record_per_entry() {
    let payload = r#"{"version":2,"items":[{"timestamp":1795232076,"body":"b","level":"info","attributes":{"user.id":{"value":"7","type":"string"},"sentry.release":"[Filtered]"}},{"body":"c"}]}"#;
    assert_eq!(
        run(&item("log", payload), PLAIN),
        [
            vec![
                "1795232076000",
                "event_type=custom",
                "sentry.item_type=log",
                "sentry.message=b",
                "sentry.level=info",
                r#"sentry.attributes={"user.id":{"value":"7","type":"string"},"sentry.release":"[Filtered]"}"#,
                "user.id=7",
            ],
            vec![
                "1795240000000",
                "event_type=custom",
                "sentry.item_type=log",
                "sentry.message=c"
            ],
        ]
    );
    let single = run(
        &item(
            "span",
            r#"{"op":"x","start_timestamp":1,"timestamp":1795232076}"#,
        ),
        PLAIN,
    );
    assert!(single[0].contains(&"sentry.op=x".to_owned()));
    for empty in [r#"{"items":[]}"#, r#"{"items":{}}"#, "[]", "7"] {
        let records = run(&item("trace_metric", empty), PLAIN);
        assert!(
            records[0]
                .iter()
                .any(|field| field.starts_with("sentry.error=")),
            "{empty}"
        );
    }
}

#[test]
fn sessions_and_client_reports() {
    let sessions = r#"{"aggregates":[{"started":"2026-11-21T03:34:36Z","exited":3},{"started":"2026-11-21T03:35:36Z","did":"u"}],"attrs":{"release":"r"}}"#;
    let records = run(&item("sessions", sessions), PLAIN);
    assert_eq!(
        records[0],
        [
            "1795232076000",
            "event_type=session",
            "sentry.item_type=sessions",
            "app.version=r",
            "sentry.session.exited=3",
        ]
    );
    assert_eq!(records[1][0], "1795232136000");
    let report = r#"{"timestamp":1795232076,"discarded_events":[{"reason":"r","category":"c","quantity":2}],"rate_limited_events":[{}]}"#;
    let records = run(&item("client_report", report), PLAIN);
    assert_eq!(
        records[0],
        [
            "1795232076000",
            "event_type=custom",
            "sentry.item_type=client_report",
            "sentry.discard.list=discarded_events",
            "sentry.discard.reason=r",
            "sentry.discard.category=c",
            "sentry.discard.quantity=2",
        ]
    );
    assert!(records[1].contains(&"sentry.discard.list=rate_limited_events".to_owned()));
}

#[test]
fn blobs_give_their_metadata() {
    let envelope = "{}\n{\"type\":\"attachment\",\"length\":3,\"filename\":\"a?token=x\",\"content_type\":\"t\"}\n\u{1}\n\u{2}\n\
        {\"type\":\"replay_recording\"}\n{\"segment_id\":4}\n";
    let scrubber = Scrubber::default();
    let records = run(
        envelope,
        Options {
            payload: true,
            scrub: Some(&scrubber),
            ..PLAIN
        },
    );
    assert_eq!(
        records[0],
        [
            "1795240000000",
            "event_type=custom",
            "sentry.item_type=attachment",
            "sentry.content_type=t",
            "sentry.filename=a?token=[Filtered]",
        ]
    );
    assert!(records[1].contains(&"sentry.segment_id=4".to_owned()));
    assert_eq!(run(&item("vendor", "{\"a\":1}"), PLAIN)[0].len(), 3);
}

#[test]
fn an_attachment_by_reference_says_where_it_is() {
    let reference = |content_type: &str, payload: &str| {
        let header = format!(
            r#"{{"type":"attachment","content_type":"{content_type}","filename":"big.dmp"}}"#
        );
        let scrubber = Scrubber::default();
        let options = Options {
            payload: true,
            scrub: Some(&scrubber),
            ..PLAIN
        };
        run(&format!("{{}}\n{header}\n{payload}\n"), options).remove(0)
    };
    let known = "application/vnd.sentry.attachment-ref+json";
    let payload =
        r#"{"location":"/api/42/upload/1/?length=10&signature=s3cret","content_type":"x/y"}"#;
    let scrubbed = payload.replace("s3cret", "[Filtered]");
    assert_eq!(
        reference(known, payload),
        [
            "1795240000000",
            "event_type=custom",
            "sentry.item_type=attachment",
            &format!("sentry.content_type={known}"),
            "sentry.filename=big.dmp",
            "sentry.attachment.location=/api/42/upload/1/?length=10&signature=[Filtered]",
            "sentry.attachment.content_type=x/y",
            &format!("payload={scrubbed}"),
        ]
    );
    // Relay takes the older name, and any case, too.
    for name in [
        "application/vnd.sentry.attachment-ref",
        "Application/VND.sentry.attachment-ref+JSON",
    ] {
        assert_eq!(reference(name, payload).len(), 8, "{name}");
    }
    assert!(reference(known, "").contains(&"sentry.error=empty".to_owned()));
    // Any other attachment stays what it was, whatever its bytes look like.
    for name in ["application/json", "application/vnd.sentry.attachment-ref2"] {
        assert_eq!(reference(name, payload).len(), 5, "{name}");
    }
}

/// An item with a head and other bytes, and what its header says of the length of the head.
fn with_head(header: &str, head: &str, meta_length: &str) -> String {
    let rest = "\u{0}\n\u{1}{\"";
    let length = head.len() + rest.len();
    format!("{{}}\n{{{header},\"length\":{length},\"meta_length\":{meta_length}}}\n{head}{rest}\n")
}

#[test]
fn a_profile_chunk_may_be_a_head_and_other_bytes() {
    let head = r#"{"version":"2","chunk_id":"c1","profiler_id":"p1","platform":"android","content_type":"perfetto","client_sdk":{"name":"s","version":"1"}}"#;
    let fields = [
        "sentry.profile_chunk_id=c1",
        "sentry.profiler_id=p1",
        "sentry.platform=android",
        "sentry.sdk.name=s",
        "sentry.sdk.version=1",
    ];
    for ty in ["profile_chunk", "profile_chunk_ui"] {
        let header = format!(r#""type":"{ty}","content_type":"application/x-perfetto-trace""#);
        let kept = Options {
            payload: true,
            ..PLAIN
        };
        let [record] = &run(&with_head(&header, head, &head.len().to_string()), kept)[..] else {
            unreachable!("one log")
        };
        for field in fields {
            assert!(record.contains(&field.to_owned()), "{field} in {record:?}");
        }
        assert!(
            !record
                .iter()
                .any(|field| field.starts_with("payload=") || field.contains("error"))
        );
    }
    let header = r#""type":"profile_chunk""#;
    for (meta_length, error) in [
        ("999999", "`meta_length` is beyond the item"),
        ("4294967295", "`meta_length` is beyond the item"),
        ("0", "empty"),
        ("5", "not JSON at byte 5"),
        // Without one, or with none that could be, all is read.
        ("null", "not JSON at byte"),
        ("-1", "not JSON at byte"),
        ("\"7\"", "not JSON at byte"),
    ] {
        let records = run(&with_head(header, head, meta_length), PLAIN);
        let error = format!("sentry.error={error}");
        let found = |field: &String| field.starts_with(&error);
        assert!(records[0].iter().any(found), "{meta_length}: {records:?}");
    }
    // One that is cut is read as far as it may be.
    let long = format!(r#"{{"chunk_id":"c1","x":"{}"}}"#, "y".repeat(1_000));
    let cut = Options {
        max_item_bytes: 100,
        ..PLAIN
    };
    let records = run(&with_head(header, &long, &long.len().to_string()), cut);
    assert!(
        records[0].contains(&"sentry.cut=item".to_owned()),
        "{records:?}"
    );
    let exact = Options {
        max_item_bytes: head.len(),
        ..PLAIN
    };
    let records = run(&with_head(header, head, &head.len().to_string()), exact);
    assert!(!records[0].concat().contains("sentry.cut"), "{records:?}");
}

#[test]
fn an_attachment_of_a_trace_says_what_it_is() {
    let head = r#"{"trace_id":"t1","attachment_id":"a1","timestamp":1795232076.5,"filename":"a.txt","content_type":"text/plain","attributes":{"k":{"type":"string","value":"v"}}}"#;
    let length = head.len().to_string();
    let header = |content_type: &str| {
        format!(r#""type":"attachment","content_type":"{content_type}","span_id":null"#)
    };
    let expected = [
        "1795232076500",
        "event_type=custom",
        "sentry.item_type=attachment",
        "sentry.content_type=application/vnd.sentry.trace-attachment",
        "trace_id=t1",
        "sentry.attachment.id=a1",
        "sentry.filename=a.txt",
        "sentry.attachment.content_type=text/plain",
        r#"sentry.attributes={"k":{"type":"string","value":"v"}}"#,
    ];
    let now = "application/vnd.sentry.trace-attachment";
    assert_eq!(
        run(&with_head(&header(now), head, &length), PLAIN),
        [expected]
    );
    for other in [
        "application/vnd.sentry.attachment.v2",
        "Application/VND.sentry.Trace-Attachment",
    ] {
        let records = run(&with_head(&header(other), head, &length), PLAIN);
        assert!(records[0].contains(&"sentry.attachment.id=a1".to_owned()));
    }
    // Without the length of its head, and as another attachment, it is any bytes.
    for (content_type, meta_length) in [(now, "null"), ("text/plain", &*length)] {
        let records = run(&with_head(&header(content_type), head, meta_length), PLAIN);
        assert_eq!(records[0].len(), 4, "{records:?}");
    }
    let records = run(&with_head(&header(now), head, "3"), PLAIN);
    assert!(records[0].contains(&"sentry.error_kind=bad item".to_owned()));
}
