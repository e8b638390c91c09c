//! The bounded copy of a body.

use sentry_edge_mirror::copies::capture::{Capture, Refusal};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const MAX: usize = 100_000;

/// Takes the pieces; the body, or why there is none.
fn take(announced: Option<u64>, room: usize, pieces: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
    let mut capture = Capture::new(announced, MAX).ok_or(Refusal::TooLarge)?;
    for piece in pieces {
        let left = room.saturating_sub(capture.held());
        capture.push(piece.len(), left, |body| {
            body.extend_from_slice(piece);
            Some(())
        })?;
        assert!(capture.held() <= room.min(MAX), "{} held", capture.held());
    }
    Ok(capture.into_body())
}

fn body(size: usize) -> Vec<u8> {
    (0..=255).cycle().take(size).collect()
}

#[test]
fn any_framing_gives_the_body() {
    let body = body(3_000);
    for size in [1, 7, 1_024, 2_999, 3_000] {
        let pieces: Vec<&[u8]> = body.chunks(size).collect();
        // Announced right, not at all, too small, and as much as is allowed.
        for announced in [Some(3_000), None, Some(1), Some(0), Some(MAX as u64)] {
            assert_eq!(
                take(announced, MAX, &pieces).unwrap(),
                body,
                "pieces of {size}, {announced:?}"
            );
        }
    }
    assert_eq!(take(Some(0), MAX, &[]), Ok(Vec::new()));
    assert_eq!(take(None, MAX, &[b"", b"a", b"", b"b"]), Ok(b"ab".to_vec()));
}

#[test]
fn the_limit_is_exact() {
    let body = body(MAX + 1);
    for (size, end) in [
        (MAX - 1, None),
        (MAX, None),
        (MAX + 1, Some(Refusal::TooLarge)),
    ] {
        for piece in [size, 30_000] {
            let pieces: Vec<&[u8]> = body[..size].chunks(piece).collect();
            let taken = take(None, MAX * 2, &pieces);
            assert_eq!(taken.err(), end, "{size} in pieces of {piece}");
        }
    }
}

#[test]
fn no_announced_length_wraps() {
    for length in [
        MAX as u64 + 1,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) + 5,
        u64::MAX,
    ] {
        assert_eq!(
            take(Some(length), usize::MAX, &[b"x"]),
            Err(Refusal::TooLarge),
            "{length}"
        );
    }
}

#[test]
fn a_chunk_whose_size_would_wrap_is_refused() {
    let mut capture = Capture::new(None, usize::MAX).unwrap();
    let mut push = |size: usize, room: usize| {
        capture.push(size, room, |body| {
            body.push(1);
            Some(())
        })
    };
    assert_eq!(push(1, 10), Ok(()));
    assert_eq!(push(usize::MAX, 10), Err(Refusal::NoRoom));
    // There is room, but not in any machine.
    assert_eq!(push(usize::MAX, usize::MAX), Err(Refusal::NoRoom));
    assert_eq!(capture.held(), 0);
}

#[test]
fn without_room_nothing_is_kept() {
    let body = body(1_000);
    assert_eq!(take(None, 999, &[&body]), Err(Refusal::NoRoom));
    assert_eq!(
        take(Some(1_000), 999, &[&body[..10], &body[10..]]),
        Err(Refusal::NoRoom)
    );
    assert_eq!(
        take(Some(1_000), 1_000, &[&body[..10], &body[10..]]),
        Ok(body)
    );
}

#[test]
fn a_host_that_hands_out_something_else() {
    for given in [&b""[..], b"abcd", b"abcdef"] {
        let mut capture = Capture::new(None, MAX).unwrap();
        let pushed = capture.push(5, MAX, |body| {
            body.extend_from_slice(given);
            Some(())
        });
        assert_eq!(pushed, Err(Refusal::Unreadable));
        assert_eq!(capture.held(), 0);
    }
    let mut capture = Capture::new(None, MAX).unwrap();
    assert_eq!(capture.push(5, MAX, |_| None), Err(Refusal::Unreadable));
}
