//! What nginx makes of a request target before a filter sees it.
//!
//! `:path` in ngx_wasm_module is `$uri` with the arguments (`ngx_proxy_wasm_maps_get_path`), and `$uri` is decoded
//! (`ngx_http_parse_complex_uri`): `%XX` becomes the byte, also a line break; runs of `/` become one; `.` and `..` are
//! resolved; a fragment is gone. Arguments are kept as received, an empty `?` is dropped. What was received is in
//! `ngx.request_uri` and `request.path`.

/// `:path` of a target. nginx answers what it cannot decode with 400 itself: then no filter runs, and here it is kept.
pub(super) fn decoded(target: &[u8]) -> Vec<u8> {
    let fragment = target.iter().position(|byte| *byte == b'#');
    let target = &target[..fragment.unwrap_or(target.len())];
    let query = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    let Some(path) = unescaped(path) else {
        return target.to_vec();
    };
    let mut uri = resolved(&path);
    if query.len() > 1 {
        uri.extend_from_slice(query);
    }
    uri
}

fn unescaped(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    Some(out)
}

fn resolved(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.into_iter().enumerate() {
        match segment {
            b"" | b"." if index < last => {}
            b"." => kept.push(b""),
            b".." => {
                kept.pop();
                if index == last {
                    kept.push(b"");
                }
            }
            _ => kept.push(segment),
        }
    }
    kept.into_iter()
        .flat_map(|segment| [b"/", segment].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    /// Measured with nginx 1.28.
    #[test]
    fn as_nginx_does() {
        for (target, path) in [
            ("/api/1/envelope/", "/api/1/envelope/"),
            ("//api//1///envelope/", "/api/1/envelope/"),
            ("/api/%31/envelope/?a=%31", "/api/1/envelope/?a=%31"),
            ("/x/../api/./1/envelope/", "/api/1/envelope/"),
            ("/api/1/envelope/..", "/api/1/"),
            ("/api/1/envelope/#f", "/api/1/envelope/"),
            ("/api/1/envelope/?", "/api/1/envelope/"),
            ("/api/1/envelope/%3Fx%0d%0aA:", "/api/1/envelope/?x\r\nA:"),
            ("/?/a//b/..", "/?/a//b/.."),
            ("/%zz", "/%zz"),
        ] {
            assert_eq!(
                decoded(target.as_bytes()).escape_ascii().to_string(),
                path.as_bytes().escape_ascii().to_string()
            );
        }
    }
}
