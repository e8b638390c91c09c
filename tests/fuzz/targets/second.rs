//! A copy for a second Sentry: a query in the first line, a header in each line behind it, an empty line, and the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::second::check;
use sentry_edge_mirror_fuzz::{first_line, head_and_body, header_lines};

fuzz_target!(|data: &[u8]| {
    let (head, body) = head_and_body(data);
    let (query, lines) = first_line(head);
    check(query, &header_lines(lines), body);
});
