//! What a second Sentry gets, of any request.

use crate::settings;
use flate2::Compression;
use flate2::write::GzEncoder;
use oracles::second::check;
use proptest::prelude::*;
use std::io::Write as _;

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#""dsn":"https://first@first.example.com/42""#.to_owned()),
        Just(r#""d\u0073n" : "https://first@first.example.com/42""#.to_owned()),
        Just(r#""dsn":null"#.to_owned()),
        Just(
            r#""trace":{"public_key":"first","trace_id":"771a43a4192642f0b136d5159a501700"}"#
                .to_owned()
        ),
        Just(r#""trace":{"a":{"public_key":"x"},"public_key":7}"#.to_owned()),
        Just(r#""trace":[]"#.to_owned()),
        "\"[a-z]{1,5}\":(\\{\"dsn\":\"[a-z\\\\\\\\\"]{0,3}\"\\}|[0-9]{1,3}|\\[\\])",
    ]
}

fn header() -> impl Strategy<Value = String> {
    let members = prop::collection::vec(member(), 0..4);
    (members, "[ \t\n]{0,2}", "[ \n]{0,1}").prop_map(|(members, before, within)| {
        format!("{before}{{{within}{}{within}}}", members.join(","))
    })
}

fn query() -> impl Strategy<Value = String> {
    let pair = prop_oneof![
        Just("sentry_key=first".to_owned()),
        Just("sentry%5Fkey=first".to_owned()),
        Just("key=first".to_owned()),
        Just("sentry_secret=old".to_owned()),
        "[a-z_+%&=]{0,8}",
    ];
    prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn only_the_names_change(
        header in header(),
        rest in prop::collection::vec(any::<u8>(), 0..200),
        query in query(),
        gzip in any::<bool>(),
    ) {
        let mut body = header.into_bytes();
        body.push(b'\n');
        body.extend(rest);
        let mut headers = vec![(b"x-sentry-auth".to_vec(), b"Sentry sentry_key=first".to_vec())];
        if gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).unwrap();
            body = encoder.finish().unwrap();
            headers.push((b"content-encoding".to_vec(), b"gzip".to_vec()));
        }
        check(query.as_bytes(), &headers, &body);
    }
}
