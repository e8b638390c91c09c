//! Signatures v1 (HMAC-SHA1) and v4 (SLS4-HMAC-SHA256). Signing yields the headers to add. It is done when a call is emitted,
//! again for each attempt, and nothing may touch `host`, `content-type`, `x-log-*` or `x-acs-*` afterwards: the server
//! rebuilds the signed text from what arrives (manual: sls, "Signature v1").
//!
//! ```text
//! v1  x-log-signaturemethod  [x-acs-security-token]  [content-md5]  date  x-log-date (same text, not signed)
//!     authorization: LOG {id}:{base64 HMAC-SHA1(secret, string to sign)}
//! v4  [x-acs-security-token]  x-log-content-sha256  x-log-date
//!     authorization: SLS4-HMAC-SHA256 Credential={id}/{scope},Signature={hex}
//! ```

use super::canonical::{self, Parts};
use super::credential::Credential;
use super::headers::Headers;
use super::signature::Signature;
use super::wire_digest::WireDigest;
use super::{date, digest};

/// The headers that signing adds or replaces, of both versions.
pub const OWN_HEADERS: [&str; 7] = [
    "authorization",
    "content-md5",
    "date",
    "x-acs-security-token",
    "x-log-content-sha256",
    "x-log-date",
    "x-log-signaturemethod",
];

/// Signs a request at `now_ms` (corrected time, see [`super::clock`]) and returns the headers to add to it.
/// `parts.headers` contains none of those yet. `body` is the digest of the body as sent, made for this `signature`.
pub fn sign(
    signature: &Signature,
    credential: &Credential,
    now_ms: u64,
    parts: &Parts<'_>,
    body: &WireDigest,
) -> Headers {
    let mut added = Headers::new();
    if *signature == Signature::V1 {
        added.push("x-log-signaturemethod", "hmac-sha1");
    }
    if let Some(token) = credential.security_token() {
        added.push("x-acs-security-token", token.expose());
    }
    let authorization = match signature {
        Signature::V1 => {
            let date = date::http(now_ms);
            if !body.is_empty() {
                added.push("content-md5", body.hex());
            }
            added.push("date", date.as_str());
            added.push("x-log-date", date);
            let text = with_added(parts, &added, canonical::v1_string_to_sign);
            v1_authorization(credential, &text)
        }
        Signature::V4 { region } => {
            let date = date::basic(now_ms);
            added.push("x-log-content-sha256", body.hex());
            added.push("x-log-date", date.as_str());
            let request = with_added(parts, &added, canonical::v4_canonical_request);
            let scope = canonical::v4_scope(&date, region);
            let text = canonical::v4_string_to_sign(&date, &scope, &request);
            v4_authorization(credential, region, &date, &text)
        }
    };
    added.push("authorization", authorization);
    added
}

/// The Authorization of v1.
pub fn v1_authorization(credential: &Credential, string_to_sign: &str) -> String {
    let secret = credential.access_key_secret().expose();
    let mac = digest::hmac_sha1_base64(secret.as_bytes(), string_to_sign.as_bytes());
    format!("LOG {}:{mac}", credential.access_key_id())
}

/// The Authorization of v4. `date` is `x-log-date`.
pub fn v4_authorization(
    credential: &Credential,
    region: &str,
    date: &str,
    string_to_sign: &str,
) -> String {
    let first = format!("aliyun_v4{}", credential.access_key_secret().expose());
    let key = digest::hmac_sha256(first.as_bytes(), canonical::day(date).as_bytes());
    let links = [region, "sls", "aliyun_v4_request", string_to_sign];
    let mac = links
        .iter()
        .fold(key, |key, link| digest::hmac_sha256(&key, link.as_bytes()));
    let scope = canonical::v4_scope(date, region);
    let id = credential.access_key_id();
    format!(
        "SLS4-HMAC-SHA256 Credential={id}/{scope},Signature={}",
        digest::hex_lower(&mac)
    )
}

fn with_added(parts: &Parts<'_>, added: &Headers, text: fn(&Parts<'_>) -> String) -> String {
    let headers: Vec<(&str, &str)> = parts.headers.iter().copied().chain(added.iter()).collect();
    text(&Parts {
        headers: &headers,
        ..*parts
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: u64 = 1_709_190_489_000;

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| name).collect()
    }

    /// Values are checked against all vectors in `tests/conformance/sls`; this tests what is added, and when.
    #[test]
    fn added_headers_and_their_order() {
        let parts = Parts {
            method: "POST",
            path: "/logstores/a",
            params: &[],
            headers: &[("host", "h")],
        };
        let plain = Credential::new("id", "secret", None).unwrap();
        let sts = Credential::new("STS.id", "secret", Some("token")).unwrap();
        let v4 = Signature::V4 {
            region: "cn-hangzhou".to_owned(),
        };

        let signed = sign(
            &Signature::V1,
            &sts,
            NOW,
            &parts,
            &WireDigest::of(&Signature::V1, b"body"),
        );
        let expected = [
            "x-log-signaturemethod",
            "x-acs-security-token",
            "content-md5",
            "date",
            "x-log-date",
            "authorization",
        ];
        assert_eq!(names(&signed), expected);
        assert_eq!(signed.get("date"), signed.get("x-log-date"));
        let signed = sign(
            &Signature::V1,
            &plain,
            NOW,
            &parts,
            &WireDigest::of(&Signature::V1, b""),
        );
        assert_eq!(
            names(&signed),
            [
                "x-log-signaturemethod",
                "date",
                "x-log-date",
                "authorization"
            ]
        );
        let signed = sign(&v4, &sts, NOW, &parts, &WireDigest::of(&v4, b""));
        assert_eq!(
            names(&signed),
            [
                "x-acs-security-token",
                "x-log-content-sha256",
                "x-log-date",
                "authorization"
            ]
        );
        assert!(names(&signed).iter().all(|name| OWN_HEADERS.contains(name)));
        assert!(
            signed
                .get("authorization")
                .unwrap()
                .contains("Credential=STS.id/20240229/cn-hangzhou/sls/")
        );
    }

    #[test]
    fn a_second_attempt_is_signed_anew() {
        let parts = Parts {
            method: "POST",
            path: "/logstores/a",
            params: &[],
            headers: &[("host", "h")],
        };
        let key = Credential::new("id", "secret", None).unwrap();
        for signature in [
            Signature::V1,
            Signature::V4 {
                region: "cn-hangzhou".to_owned(),
            },
        ] {
            let body = WireDigest::of(&signature, b"x");
            let first = sign(&signature, &key, NOW, &parts, &body);
            let later = sign(&signature, &key, NOW + 1_000, &parts, &body);
            assert_ne!(first.get("authorization"), later.get("authorization"));
            assert_ne!(first.get("x-log-date"), later.get("x-log-date"));
        }
    }
}
