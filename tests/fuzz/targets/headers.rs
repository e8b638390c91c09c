//! The headers of a copy: a line `host in_query scheme` of which only the first letters count, then a header in each line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::headers::Case;
use sentry_edge_mirror::host::HostKind;
use sentry_edge_mirror_fuzz::{first_line, header_lines};

fuzz_target!(|data: &[u8]| {
    let (kind, lines) = first_line(data);
    let host = match kind.first() {
        Some(b'n') => HostKind::Nginx,
        _ => HostKind::Envoy,
    };
    let in_query = kind.contains(&b'q');
    let scheme = kind.contains(&b's').then_some(&b"https"[..]);
    Case::new(host, in_query, &header_lines(lines), scheme).check();
});
