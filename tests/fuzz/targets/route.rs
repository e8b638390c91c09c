//! Which request is ingest traffic, and where its copy goes: `METHOD target`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::route::{Kind, check, path_of_copy, reference};
use sentry_edge_mirror::sentry::auth;

fuzz_target!(|data: &[u8]| {
    let space = data.iter().position(|byte| *byte == b' ');
    let (method, target) = data.split_at(space.unwrap_or(0));
    let target = target.strip_prefix(b" ").unwrap_or(target);
    check(method, target);
    if let Some(copy) = path_of_copy(method, target, true) {
        assert_eq!(
            reference(method, &copy),
            Kind::Copy,
            "a copy is never mirrored again"
        );
        check(method, &copy);
    }
    let _ = auth::in_query(target);
});
