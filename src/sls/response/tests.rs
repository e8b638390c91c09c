//! The whole of an answer, row by row.

use super::*;

const DATE: &str = "Thu, 15 Oct 2020 15:13:44 GMT";

fn answer(status: u16, code: &str) -> Decision {
    let body =
        format!(r#"{{"errorCode":"{code}","errorMessage":"m","accessDeniedDetail":{{"a":[1]}}}}"#);
    classify(
        status,
        |name| (name == "x-log-requestid").then(|| "5F886C2B".to_owned()),
        body.as_bytes(),
    )
}

#[test]
fn every_row() {
    use Decision::{Drop, IsolatePoison, RefreshCredential, RetryAfter, Split};
    use Pace::{Backoff, Long};
    let rows: [(Decision, &[(u16, &str)]); 13] = [
        (
            RetryAfter(Reason::TimeExpired, Long),
            &[(400, "RequestTimeExpired"), (400, "RequestTimeTooSkewed")],
        ),
        (
            Drop(Reason::Request),
            &[
                (400, "InvalidRequestTime"),
                (400, "InvalidDateFormat"),
                (400, "MissingDate"),
                (400, "InvalidHost"),
                (400, "MissingHost"),
                (400, "InvalidAPIVersion"),
                (400, "MissingAPIVersion"),
                (400, "MissingSignatureMethod"),
                (400, "InvalidSignatureMethod"),
                (400, "MissAccessKeyId"),
                (400, "MissingBodyRawSize"),
                (400, "InvalidBodyRawSize"),
                (400, "InvalidCompressType"),
                (400, "MissingContentType"),
                (400, "InvalidContentType"),
                (400, "MissingParameter"),
                (400, "ParameterInvalid"),
                (411, "MissingContentLength"),
                (415, "InvalidContentType"),
                (405, "MethodNotSupported"),
            ],
        ),
        (
            IsolatePoison,
            &[
                (400, "PostBodyInvalid"),
                (499, "PostBodyInvalid"),
                (400, "PostBodyUncompressError"),
                (400, "InvalidTimestamp"),
                (400, "InvalidEncoding"),
                (400, "InvalidKey"),
            ],
        ),
        (
            Split,
            &[
                (400, "PostBodyTooLarge"),
                (413, "PostBodyTooLarge"),
                (413, ""),
            ],
        ),
        (
            RefreshCredential,
            &[
                (401, "Unauthorized"),
                (401, "InvalidAccessKeyId"),
                (400, "InvalidAccessKeyId"),
                (401, "SecurityTokenExpired"),
                (401, "SecurityToken.Expired"),
                (401, ""),
            ],
        ),
        (
            RetryAfter(Reason::Signature, Long),
            &[(401, "SignatureNotMatch")],
        ),
        (
            RetryAfter(Reason::Quota, Long),
            &[
                (403, "WriteQuotaExceed"),
                (403, "ShardWriteQuotaExceed"),
                (403, "ExceedQuota"),
                (403, "Inflow Quota Exceed"),
                (403, "Write QPS Exceed"),
                (403, "ProjectQuotaExceed"),
                (403, "MetaOperationQpsLimitExceeded"),
                (429, "Anything"),
            ],
        ),
        (
            Drop(Reason::Forbidden),
            &[(403, "ProjectForbidden"), (403, "Unauthorized"), (403, "")],
        ),
        (
            RetryAfter(Reason::NotFound, Long),
            &[
                (404, "ProjectNotExist"),
                (404, "LogStoreNotExist"),
                (400, "LogStoreWithoutShard"),
            ],
        ),
        (
            RetryAfter(Reason::ServerError, Backoff),
            &[
                (500, "InternalServerError"),
                (500, "RequestTimeout"),
                (502, ""),
                (503, "ServerBusy"),
                (504, ""),
                (408, ""),
            ],
        ),
        (
            RetryAfter(Reason::Unknown, Backoff),
            &[(400, "SomethingNew"), (400, ""), (302, ""), (418, "")],
        ),
        (Decision::Done, &[(200, ""), (204, "")]),
        (NO_ANSWER, &[]),
    ];
    for (decision, answers) in rows {
        for (status, code) in answers {
            assert_eq!(answer(*status, code), decision, "{status} {code}");
        }
    }
}

#[test]
fn a_skewed_clock_with_the_server_s_time() {
    let real = br#"{"errorCode":"RequestTimeExpired","errorMessage":"request timeThu, 15 Oct 2020 00:00:00 GMT has been expired while server time is Thu, 15 Oct 2020 15:13:44 GMT"}"#;
    let header = |name: &str| match name {
        "x-log-requestid" => Some("5F886C2B".to_owned()),
        "date" => Some(DATE.to_owned()),
        _ => None,
    };
    assert_eq!(
        classify(400, header, real),
        Decision::RetryNow {
            server_ms: 1_602_774_824_000
        }
    );
}

#[test]
fn without_a_request_id_it_is_not_from_sls() {
    for (status, body) in [
        (401, "<html>"),
        (403, r#"{"errorCode":"ProjectForbidden"}"#),
        (502, ""),
        (204, ""),
        (301, ""),
    ] {
        assert_eq!(
            classify(status, |_| None, body.as_bytes()),
            NO_ANSWER,
            "{status}"
        );
    }
    assert_eq!(classify(200, |_| None, b""), Decision::Done);
    assert_eq!(classify(403, |_| Some(String::new()), b""), NO_ANSWER);
}

#[test]
fn a_hint_is_heeded_up_to_a_limit() {
    for (hint, pace) in [
        ("7", Pace::AtLeast(7_000)),
        ("999999", Pace::AtLeast(300_000)),
        ("soon", Pace::Backoff),
    ] {
        let header = |name: &str| (name == "retry-after").then(|| hint.to_owned());
        assert_eq!(
            classify(503, header, b""),
            Decision::RetryAfter(Reason::Transport, pace)
        );
    }
}

#[test]
fn any_body_will_do() {
    let header = |name: &str| (name == "x-log-requestid").then(|| "x".to_owned());
    let deep = "[".repeat(100_000);
    let long = format!(
        r#"{{"errorCode":"InvalidKey","errorMessage":"{}"}}"#,
        "x".repeat(MAX_ERROR_BYTES)
    );
    for body in [
        "",
        "null",
        "[]",
        r#"{"errorCode":7}"#,
        "\u{0}",
        &deep,
        &long,
    ] {
        let decision = classify(400, header, body.as_bytes());
        assert_eq!(
            decision,
            Decision::RetryAfter(Reason::Unknown, Pace::Backoff)
        );
    }
    let invalid = [0xFF; 10];
    assert_eq!(
        classify(503, header, &invalid),
        Decision::RetryAfter(Reason::ServerError, Pace::Backoff)
    );
}

#[test]
fn labels_differ() {
    let all = [
        Reason::Transport,
        Reason::ServerError,
        Reason::Quota,
        Reason::TimeExpired,
        Reason::Credential,
    ];
    let more = [
        Reason::Signature,
        Reason::NotFound,
        Reason::Forbidden,
        Reason::TooLarge,
        Reason::Poison,
    ];
    let labels: std::collections::BTreeSet<_> = all
        .iter()
        .chain(&more)
        .chain(&[Reason::Request, Reason::Unknown])
        .map(|reason| reason.label())
        .collect();
    assert_eq!(labels.len(), 12);
}
