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
type Sent = Vec<(String, String)>;

/// The value of a header that is there at most once.
fn find<'a>(sent: &'a Sent, name: &str) -> Option<&'a str> {
    let mut values = sent
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} twice: {sent:?}");
    value
}

fn digest_of(body: &[u8]) -> [WireDigest; 2] {
    [Signature::V1, v4()].map(|signature| WireDigest::of(&signature, body))
}

/// Signs, and recomputes the signature as the server does: from what arrives.
fn sign_and_verify(signature: Signature, incoming: &Incoming<'_>, token: Option<&str>) -> Sent {
    let key = credential(token);
    let list = super::sign(&rules(signature.clone()), incoming, Some(&key), NOW).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sent: Sent = list
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    let pseudo = sent.iter().take_while(|(name, _)| name.starts_with(':'));
    let all = sent.iter().filter(|(name, _)| name.starts_with(':'));
    assert_eq!(pseudo.count(), all.count(), "pseudo headers come first");
    assert_eq!(find(&sent, ":authority"), Some(HOST));
    assert_eq!(find(&sent, "host"), None);
    let headers: Vec<(&str, &str)> = sent
        .iter()
        .map(|(name, value)| match name.as_str() {
            ":authority" => ("host", value.as_str()),
            name => (name, value.as_str()),
        })
        .collect();
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
            let date = find(&sent, "x-log-date").unwrap();
            let request = canonical::v4_canonical_request(&parts);
            let text =
                canonical::v4_string_to_sign(date, &canonical::v4_scope(date, region), &request);
            signer::v4_authorization(&key, region, date, &text)
        }
    };
    assert_eq!(find(&sent, "authorization"), Some(expected.as_str()));
    sent
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
    let [large, _] = digest_of(b"12345678901");
    let [empty, _] = digest_of(b"");
    let incoming = Incoming {
        method: "POST",
        target: "/logstores/app-log",
        headers: &[],
        body: &large,
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
            body: &empty,
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
    let headers: [(&str, &[u8]); 15] = [
        (":method", b"POST"),
        (":authority", b"edge:8080"),
        ("host", b"edge:8080"),
        ("Authorization", b"LOG theirs:theirs"),
        ("x-acs-security-token", b"theirs"),
        ("X-Acs-Other", b"theirs"),
        ("date", b"theirs"),
        ("x-log-date", b"theirs"),
        ("content-md5", b"theirs"),
        ("x-log-signaturemethod", b"theirs"),
        ("x-log-content-sha256", b"theirs"),
        ("X-Log-Meta-foo", b"theirs"),
        ("content-type", b"application/x-protobuf"),
        ("content-length", b"4"),
        ("user-agent", b"\xFF"),
    ];
    let body = digest_of(b"body");
    for (signature, body) in [Signature::V1, v4()].into_iter().zip(&body) {
        let incoming = Incoming {
            method: "POST",
            target: "/logstores/app-log/shards/lb",
            headers: &headers,
            body,
        };
        for token in [None, Some("t0ken")] {
            let sent = sign_and_verify(signature.clone(), &incoming, token);
            assert!(
                !sent.iter().any(|(_, value)| value.contains("theirs")),
                "{sent:?}"
            );
            assert_eq!(find(&sent, "x-acs-security-token"), token);
            assert_eq!(find(&sent, "x-acs-other"), None);
            assert_eq!(find(&sent, "x-log-meta-foo"), None);
            assert_eq!(find(&sent, "content-length"), Some("4"));
            let own = match signature {
                Signature::V1 => ["content-md5", "date", "x-log-signaturemethod"].as_slice(),
                Signature::V4 { .. } => &["x-log-content-sha256"],
            };
            for name in [
                "content-md5",
                "date",
                "x-log-signaturemethod",
                "x-log-content-sha256",
            ] {
                let there = find(&sent, name).is_some();
                assert_eq!(there, own.contains(&name), "{name} of {signature:?}");
            }
        }
    }
}

#[test]
fn what_is_absent_is_added_and_what_is_there_stays() {
    let body = digest_of(b"body");
    for (signature, body) in [Signature::V1, v4()].into_iter().zip(&body) {
        let bare = Incoming {
            method: "POST",
            target: "/logstores/app-log",
            headers: &[("transfer-encoding", b"chunked")],
            body,
        };
        let sent = sign_and_verify(signature.clone(), &bare, None);
        assert_eq!(find(&sent, "transfer-encoding"), None);
        assert_eq!(find(&sent, "x-log-apiversion"), Some("0.6.0"));
        assert_eq!(find(&sent, "x-log-bodyrawsize"), Some("4"));
        assert_eq!(find(&sent, "content-length"), Some("4"));
        assert_eq!(
            find(&sent, "x-log-signaturemethod"),
            (signature == Signature::V1).then_some("hmac-sha1")
        );
        let full: [(&str, &[u8]); 4] = [
            ("X-Log-ApiVersion", b"0.7.0"),
            ("x-log-bodyrawsize", b"99"),
            ("x-log-compresstype", b"lz4"),
            ("x-log-mode", b"batch_group"),
        ];
        let incoming = Incoming {
            headers: &full,
            ..bare
        };
        let sent = sign_and_verify(signature, &incoming, None);
        assert_eq!(find(&sent, "x-log-apiversion"), Some("0.7.0"));
        assert_eq!(find(&sent, "x-log-bodyrawsize"), Some("99"));
        assert_eq!(find(&sent, "x-log-mode"), Some("batch_group"));
    }
}

#[test]
fn parameters_are_signed_decoded() {
    let body = digest_of(b"x");
    for (signature, body) in [Signature::V1, v4()].into_iter().zip(&body) {
        let target = "/logstores/app-log/shards/route?seqid=1&key=a%2Bb+c%3D&processor=%E4%B8%AD";
        sign_and_verify(
            signature,
            &Incoming {
                method: "POST",
                target,
                headers: &[],
                body,
            },
            None,
        );
    }
}

#[test]
fn what_cannot_be_signed_for_sure_is_refused() {
    let [body, _] = digest_of(b"x");
    let refused = |headers: &[(&str, &[u8])]| {
        let incoming = Incoming {
            method: "POST",
            target: "/logstores/app-log",
            headers,
            body: &body,
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

#[test]
fn what_costs_much_is_refused_and_what_is_ordinary_passes() {
    assert_eq!(fits(MAX_HEAD_BYTES), Ok(()));
    assert_eq!(fits(MAX_HEAD_BYTES + 1).unwrap_err().status, 400);
    let rules = rules(Signature::V1);
    let keyed = |size: usize| format!("/logstores/app-log?key={}", "k".repeat(size));
    let before = keyed(0).len();
    let longest = keyed(MAX_SIGNED_BYTES - before);
    assert_eq!(admit(&rules, "POST", &longest, None), Ok(()));
    let longer = keyed(MAX_SIGNED_BYTES - before + 1);
    let denial = admit(&rules, "POST", &longer, None).unwrap_err();
    assert_eq!((denial.status, denial.code), (400, "ParameterInvalid"));
    // Elsewhere nothing is written, however long the way is.
    let other = format!("/other/{longer}");
    assert_eq!(admit(&rules, "POST", &other, None).unwrap_err().status, 403);

    let names: Vec<String> = (0..=MAX_SIGNED).map(|n| format!("x-log-{n}")).collect();
    let value = vec![b'v'; MAX_SIGNED_BYTES];
    let many = |count: usize| -> Vec<(&str, &[u8])> {
        let names = names.iter().take(count);
        names.map(|name| (name.as_str(), b"".as_slice())).collect()
    };
    assert!(Read::new(&many(MAX_SIGNED)).is_ok());
    assert!(Read::new(&many(MAX_SIGNED + 1)).is_err());
    assert!(Read::new(&[("x-log-a", &value[..MAX_SIGNED_BYTES - 7])]).is_ok());
    assert!(Read::new(&[("x-log-a", &value[..MAX_SIGNED_BYTES - 6])]).is_err());
    assert!(Read::new(&[("user-agent", &value)]).is_ok());
}

#[test]
fn what_a_proxy_might_take_for_grpc_is_refused() {
    for kind in [
        "application/x-protobuf",
        "application/json",
        "",
        "application/grp",
    ] {
        assert_eq!(speaks(Some(kind.as_bytes())), Ok(()), "{kind}");
    }
    assert_eq!(speaks(None), Ok(()));
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "APPLICATION/gRPC-web",
        " application/grpc;a",
    ] {
        let denial = speaks(Some(kind.as_bytes())).unwrap_err();
        assert_eq!((denial.status, denial.code), (400, "InvalidContentType"));
    }
}
