//! The texts that are signed. Each is a function only of what goes over the wire. Header values are read from the headers
//! themselves, so a text can be recomputed from a captured request.
//!
//! v1 (`LOG`), joined by one `\n`, none at the end:
//! ```text
//! METHOD / Content-MD5 or nothing / Content-Type or nothing / Date / name:value ... / path?k=v&k=v
//! ```
//! Headers: `x-log-*` and `x-acs-*`, except `x-log-date`. Query: sorted by key, decoded, an empty value keeps its `=`.
//!
//! v4 (`SLS4-HMAC-SHA256`), the canonical request:
//! ```text
//! METHOD / path / query / name:value ... / nothing / names joined by ; / x-log-content-sha256
//! ```
//! Headers: `host`, `content-type`, `x-log-*`, `x-acs-*`. Query: sorted by key, key unchanged, value percent-encoded, an
//! empty value loses its `=`.
//!
//! In both, names are lower case and sorted, values are trimmed, and `x-log-meta-*` is left out: SDKs disagree about it, so
//! we never send one (manual: sls, "Signature v1").

use std::borrow::Cow;

use super::digest;

/// Decoded query parameters in wire order.
pub type Params<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// What both versions sign.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// Decoded.
    pub params: &'a Params<'a>,
    /// All headers of the request, in any order and case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> Parts<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Lower-case names and trimmed values of the headers that `signed` picks, sorted by name.
    fn signed(&self, signed: fn(&str) -> bool) -> Vec<(Cow<'a, str>, &'a str)> {
        let lower = |name: &'a str| {
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(name)
            }
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (lower(name), value.trim()));
        let mut picked: Vec<_> = headers.filter(|(name, _)| signed(name)).collect();
        picked.sort_by(|a, b| a.0.cmp(&b.0));
        picked
    }

    fn sorted_params(&self) -> Vec<&'a (Cow<'a, str>, Cow<'a, str>)> {
        let mut params: Vec<_> = self.params.iter().collect();
        params.sort_by(|a, b| a.0.cmp(&b.0));
        params
    }
}

/// The string to sign of v1.
pub fn v1_string_to_sign(parts: &Parts<'_>) -> String {
    // The server prefers x-log-date to Date if both are there; we send them equal.
    let date = parts
        .header("x-log-date")
        .or_else(|| parts.header("date"))
        .unwrap_or_default();
    let mut out = String::with_capacity(512);
    for line in [
        parts.method,
        parts.header("content-md5").unwrap_or_default(),
        parts.header("content-type").unwrap_or_default(),
        date,
    ] {
        out.push_str(line);
        out.push('\n');
    }
    push_headers(
        &mut out,
        &parts.signed(|name| signable(name) && name != "x-log-date"),
    );
    out.push_str(parts.path);
    let mut separator = '?';
    for (key, value) in parts.sorted_params() {
        out.push(separator);
        out.push_str(key);
        out.push('=');
        out.push_str(value);
        separator = '&';
    }
    out
}

/// The canonical request of v4. Its last line is the header `x-log-content-sha256`.
pub fn v4_canonical_request(parts: &Parts<'_>) -> String {
    let headers = parts.signed(|name| matches!(name, "host" | "content-type") || signable(name));
    let mut out = String::with_capacity(1024);
    out.push_str(parts.method);
    out.push('\n');
    out.push_str(parts.path);
    out.push('\n');
    let mut separator = None;
    for (key, value) in parts.sorted_params() {
        out.extend(separator);
        out.push_str(key);
        if !value.is_empty() {
            out.push('=');
            push_uri_encoded(&mut out, value);
        }
        separator = Some('&');
    }
    out.push('\n');
    push_headers(&mut out, &headers);
    out.push('\n');
    let mut separator = None;
    for (name, _) in &headers {
        out.extend(separator);
        out.push_str(name);
        separator = Some(';');
    }
    out.push('\n');
    out.push_str(parts.header("x-log-content-sha256").unwrap_or_default());
    out
}

/// The string to sign of v4. `date` is `x-log-date`.
pub fn v4_string_to_sign(date: &str, scope: &str, canonical_request: &str) -> String {
    format!(
        "SLS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        digest::sha256_hex(canonical_request.as_bytes())
    )
}

/// The scope of v4: the first eight characters of `x-log-date`, the region and two constants.
pub fn v4_scope(date: &str, region: &str) -> String {
    format!("{}/{region}/sls/aliyun_v4_request", day(date))
}

/// The first eight characters of `x-log-date` of v4.
pub(super) fn day(date: &str) -> &str {
    date.get(..8).unwrap_or(date)
}

/// Percent-encoding of v4: all but `A-Z a-z 0-9 - _ . ~`, upper-case digits, a space as `%20`.
pub fn v4_uri_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_uri_encoded(&mut out, text);
    out
}

fn push_uri_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte))
            }
            _ => digest::push_percent(out, byte),
        }
    }
}

fn signable(name: &str) -> bool {
    (name.starts_with("x-log-") && !name.starts_with("x-log-meta-")) || name.starts_with("x-acs-")
}

fn push_headers(out: &mut String, headers: &[(Cow<'_, str>, &str)]) {
    for (name, value) in headers {
        out.push_str(name);
        out.push(':');
        out.push_str(value);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All vectors are in `tests/conformance/sls`; here is what they do not show.
    const PARTS: Parts<'_> = Parts {
        method: "POST",
        path: "/logstores/a",
        params: &[],
        headers: &[],
    };

    #[test]
    fn v1_prefers_x_log_date_and_takes_any_case() {
        let headers = [
            ("Date", "proxy's"),
            ("X-Log-Date", "ours"),
            ("X-Acs-B", " 2\t"),
            ("x-log-a", "1"),
            ("host", "h"),
        ];
        let text = v1_string_to_sign(&Parts {
            headers: &headers,
            ..PARTS
        });
        assert_eq!(text, "POST\n\n\nours\nx-acs-b:2\nx-log-a:1\n/logstores/a");
        let headers = [("date", "d"), ("content-type", "t"), ("content-md5", "m")];
        assert_eq!(
            v1_string_to_sign(&Parts {
                headers: &headers,
                ..PARTS
            }),
            "POST\nm\nt\nd\n/logstores/a"
        );
    }

    #[test]
    fn v4_scope_of_any_text() {
        assert_eq!(
            v4_scope("20240229T070809Z", "cn-hangzhou"),
            "20240229/cn-hangzhou/sls/aliyun_v4_request"
        );
        assert_eq!(v4_scope("", "r"), "/r/sls/aliyun_v4_request");
        assert_eq!(
            v4_scope("1234567é", "r"),
            "1234567é/r/sls/aliyun_v4_request"
        );
    }

    #[test]
    fn only_what_the_rule_names_is_signed() {
        let headers = [
            ("x-log", "1"),
            ("x-logger", "2"),
            ("authorization", "3"),
            ("x-log-meta-a", "4"),
            ("content-length", "5"),
        ];
        let v1 = v1_string_to_sign(&Parts {
            headers: &headers,
            ..PARTS
        });
        assert_eq!(v1, "POST\n\n\n\n/logstores/a");
        let v4 = v4_canonical_request(&Parts {
            headers: &headers,
            ..PARTS
        });
        assert_eq!(v4, "POST\n/logstores/a\n\n\n\n");
    }
}
