#![allow(clippy::unwrap_used)]
//! What passes, what is changed, and that the result is signed: recomputed from the edited request.

use super::super::canonical;
use super::*;

const NOW: u64 = 1_709_190_489_000;
const HOST: &str = "fake-project-1.cn-hangzhou.log.aliyuncs.com";

fn rules(signature: Signature) -> Rules {
    Rules {
        logstores: vec!["app-log".to_owned(), "other_log".to_owned()],
        max_body_bytes: 10,
        host: HOST.to_owned(),
        signature,
    }
}

fn v4() -> Signature {
    Signature::V4 {
        region: "cn-hangzhou".to_owned(),
    }
}

fn credential(token: Option<&str>) -> Credential {
    Credential::new("edge-id", "edge-secret", token).unwrap()
}

/// The headers that the target sees.
fn edited(incoming: &Incoming<'_>, edits: &Edits) -> Vec<(String, String)> {
    let gone = |name: &str| {
        name == "host"
            || name.starts_with(':')
            || edits.set.get(&name.to_ascii_lowercase()).is_some()
    };
    let stay = incoming
        .headers
        .iter()
        .filter(|(name, _)| !gone(name) && !edits.remove.iter().any(|out| out == name));
    let stay = stay.map(|(name, value)| {
        (
            (*name).to_owned(),
            String::from_utf8_lossy(value).into_owned(),
        )
    });
    let set = edits
        .set
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = [("host".to_owned(), edits.host.clone())];
    host.into_iter().chain(stay).chain(set).collect()
}

/// Signs, and recomputes the signature as the server does: from what arrives.
fn sign_and_verify(
    signature: Signature,
    incoming: &Incoming<'_>,
    token: Option<&str>,
) -> (Edits, Vec<(String, String)>) {
    let key = credential(token);
    let edits = super::sign(&rules(signature.clone()), incoming, Some(&key), NOW).unwrap();
    let sent = edited(incoming, &edits);
    let headers: Vec<(&str, &str)> = sent
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let find = |name: &str| {
        headers
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| *value)
    };
    let (path, query) = query::split(incoming.target);
    let params = query::parse(query.unwrap_or_default()).unwrap();
    let parts = Parts {
        method: incoming.method,
        path,
        params: &params,
        headers: &headers,
    };
    let expected = match &signature {
        Signature::V1 => signer::v1_authorization(&key, &canonical::v1_string_to_sign(&parts)),
        Signature::V4 { region } => {
            let date = find("x-log-date").unwrap();
            let request = canonical::v4_canonical_request(&parts);
            let text =
                canonical::v4_string_to_sign(date, &canonical::v4_scope(date, region), &request);
            signer::v4_authorization(&key, region, date, &text)
        }
    };
    assert_eq!(find("authorization"), Some(expected.as_str()));
    assert_eq!(
        headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            .count(),
        1
    );
    (edits, sent)
}

#[test]
fn only_writes_of_allowed_logstores_pass() {
    let rules = rules(Signature::V1);
    for good in [
        "/logstores/app-log",
        "/logstores/other_log/shards/lb",
        "/logstores/app-log/shards/lb?processor=p",
        "/logstores/app-log/shards/route?key=14d2f850ad6ea48e46e4547edbbb27e0",
        "/logstores/app-log/shards/route?key=a&seqid=1",
    ] {
        assert_eq!(admit(&rules, "POST", good, None), Ok(()), "{good}");
        for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post"] {
            assert_eq!(admit(&rules, method, good, None).unwrap_err().status, 403);
        }
    }
    for bad in [
        "",
        "/",
        "/logstores",
        "/logstores/",
        "/logstores/secret-log",
        "/logstores/app-log/",
        "/logstores/app-log/shards",
        "/logstores/app-log/shards/0",
        "/logstores/app-log/index",
        "/logstores/app-log/track",
        "/logstores/app-log/shards/lb/",
        "/logstores/app-log/shards/lb/..",
        "/logstores/app-log/../secret-log",
        "/logstores/app%2Dlog",
        "//logstores/app-log",
        "/logstores/app-log/shards/lb?action=delete",
        "/logstores/app-log?key=a&key=b",
        "/logstores/App-log",
        "/logstores/app-log%00",
        "http://x/logstores/app-log",
        "/logstores/app-log#x",
        "/logstores/app-log/shards/lb%3Fa",
    ] {
        assert_eq!(
            admit(&rules, "POST", bad, None).unwrap_err().status,
            403,
            "{bad}"
        );
    }
    for bad in [
        "/logstores/app-log/shards/route",
        "/logstores/app-log/shards/route?key=",
        "/logstores/app-log/shards/route?seqid=1",
    ] {
        assert_eq!(
            admit(&rules, "POST", bad, None).unwrap_err().code,
            "MissingParameter",
            "{bad}"
        );
    }
    assert_eq!(
        admit(&rules, "POST", "/logstores/app-log?key=%FF", None)
            .unwrap_err()
            .status,
        400
    );
    let nobody = Rules {
        logstores: Vec::new(),
        ..rules
    };
    assert_eq!(
        admit(&nobody, "POST", "/logstores/app-log", None)
            .unwrap_err()
            .status,
        403
    );
}

#[test]
fn denials_have_the_shape_of_sls() {
    let rules = rules(Signature::V1);
    let incoming = Incoming {
        method: "POST",
        target: "/logstores/app-log",
        headers: &[],
        body: b"12345678901",
    };
    let large = super::sign(&rules, &incoming, Some(&credential(None)), NOW).unwrap_err();
    assert_eq!(
        admit(&rules, "POST", incoming.target, Some(11)),
        Err(large.clone())
    );
    assert_eq!(admit(&rules, "POST", incoming.target, Some(10)), Ok(()));
    assert_eq!(
        (large.status, large.body().as_str()),
        (
            413,
            r#"{"errorCode":"PostBodyTooLarge","errorMessage":"body must not exceed 10 bytes"}"#
        )
    );
    let headers = large.headers(&request_id(0xABC));
    assert_eq!(
        headers.get("x-log-requestid"),
        Some("000000000000000000000ABC")
    );
    assert_eq!(headers.get("content-type"), Some("application/json"));
    assert_eq!(request_id(u128::MAX).len(), 24);
    let waiting = super::sign(
        &rules,
        &Incoming {
            body: b"",
            ..incoming
        },
        None,
        NOW,
    )
    .unwrap_err();
    assert_eq!((waiting.status, waiting.code), (503, "ServerBusy"));
}

#[test]
fn what_the_client_signed_is_replaced() {
    let headers: [(&str, &[u8]); 14] = [
        (":method", b"POST"),
        ("host", b"edge:8080"),
        ("Authorization", b"LOG theirs:theirs"),
        ("x-acs-security-token", b"theirs"),
        ("x-acs-other", b"theirs"),
        ("date", b"theirs"),
        ("x-log-date", b"theirs"),
        ("content-md5", b"theirs"),
        ("x-log-signaturemethod", b"theirs"),
        ("x-log-content-sha256", b"theirs"),
        ("x-log-meta-foo", b"theirs"),
        ("content-type", b"application/x-protobuf"),
        ("content-length", b"4"),
        ("user-agent", b"\xFF"),
    ];
    let incoming = Incoming {
        method: "POST",
        target: "/logstores/app-log/shards/lb",
        headers: &headers,
        body: b"body",
    };
    for signature in [Signature::V1, v4()] {
        for token in [None, Some("t0ken")] {
            let (edits, sent) = sign_and_verify(signature.clone(), &incoming, token);
            assert!(
                !sent.iter().any(|(_, value)| value.contains("theirs")),
                "{sent:?}"
            );
            assert_eq!(
                edits
                    .remove
                    .iter()
                    .any(|name| name == "x-acs-security-token"),
                token.is_none()
            );
            assert_eq!(edits.set.get("x-acs-security-token"), token);
            assert_eq!(
                edits.set.get("content-md5"),
                Some(digest::content_md5(b"body").as_str())
            );
            assert_eq!(
                edits.set.get("x-log-content-sha256"),
                Some(digest::sha256_hex(b"body").as_str())
            );
            assert_eq!(edits.set.get("date"), Some("Thu, 29 Feb 2024 07:08:09 GMT"));
            assert_eq!(edits.set.get("content-length"), None);
            assert!(!format!("{edits:?}").contains("t0ken"));
        }
    }
}

#[test]
fn what_is_absent_is_added_and_what_is_there_stays() {
    let bare = Incoming {
        method: "POST",
        target: "/logstores/app-log",
        headers: &[("transfer-encoding", b"chunked")],
        body: b"body",
    };
    for signature in [Signature::V1, v4()] {
        let (edits, _) = sign_and_verify(signature.clone(), &bare, None);
        assert_eq!(
            (edits.host.as_str(), edits.remove.as_slice()),
            (HOST, ["transfer-encoding".to_owned()].as_slice())
        );
        assert_eq!(edits.set.get("x-log-apiversion"), Some("0.6.0"));
        assert_eq!(edits.set.get("x-log-bodyrawsize"), Some("4"));
        assert_eq!(edits.set.get("content-length"), Some("4"));
        assert_eq!(
            edits.set.get("x-log-signaturemethod"),
            (signature == Signature::V1).then_some("hmac-sha1")
        );
        let full: [(&str, &[u8]); 4] = [
            ("X-Log-ApiVersion", b"0.7.0"),
            ("x-log-bodyrawsize", b"99"),
            ("x-log-compresstype", b"lz4"),
            ("x-log-mode", b"batch_group"),
        ];
        let (edits, sent) = sign_and_verify(
            signature,
            &Incoming {
                headers: &full,
                ..bare
            },
            None,
        );
        assert_eq!(
            (
                edits.set.get("x-log-apiversion"),
                edits.set.get("x-log-bodyrawsize")
            ),
            (None, None)
        );
        assert!(
            sent.iter()
                .any(|(name, value)| name == "x-log-mode" && value == "batch_group")
        );
    }
}

#[test]
fn parameters_are_signed_decoded() {
    for signature in [Signature::V1, v4()] {
        let target = "/logstores/app-log/shards/route?seqid=1&key=a%2Bb+c%3D&processor=%E4%B8%AD";
        sign_and_verify(
            signature,
            &Incoming {
                method: "POST",
                target,
                headers: &[],
                body: b"x",
            },
            None,
        );
    }
}

#[test]
fn what_cannot_be_signed_for_sure_is_refused() {
    let refused = |headers: &[(&str, &[u8])]| {
        let incoming = Incoming {
            method: "POST",
            target: "/logstores/app-log",
            headers,
            body: b"x",
        };
        let denial = super::sign(
            &rules(Signature::V1),
            &incoming,
            Some(&credential(None)),
            NOW,
        )
        .unwrap_err();
        (denial.status, denial.code)
    };
    assert_eq!(
        refused(&[("x-log-mode", b"a"), ("X-Log-Mode", b"b")]),
        (400, "ParameterInvalid")
    );
    assert_eq!(
        refused(&[("x-log-mode", b"\xFF")]),
        (400, "ParameterInvalid")
    );
    assert_eq!(
        refused(&[("x-log-compresstype", b"lz4")]),
        (400, "MissingBodyRawSize")
    );
}
