//! What a walk costs, and where it stops.

use super::*;

/// All places, or the first error, with so many units a step.
fn walk(bytes: &[u8], units: u64) -> Result<Vec<ItemPlace>, Malformed> {
    let mut walker = Walker::default();
    while walker.header(bytes, &mut Meter::new(units)).is_pending() {}
    let mut places = Vec::new();
    loop {
        match walker.next(bytes, &mut Meter::new(units)) {
            Poll::Pending => {}
            Poll::Ready(None) => return Ok(places),
            Poll::Ready(Some(place)) => places.push(place?),
        }
    }
}

#[test]
fn every_step_finds_the_same() {
    let blank = "\n \t".repeat(40_000);
    let long = "x".repeat(200_000);
    let envelope = format!(
        "{blank}{{}}\n{blank}{{\"type\":\"a\"}}\n{long}\n{blank}{{\"type\":\"b\",\"length\":3}}\n{{\n}}\n{{\"type\":\"c\"}}\n{long}"
    );
    let whole = walk(envelope.as_bytes(), u64::MAX).unwrap();
    let lengths: Vec<_> = whole.iter().map(|place| place.length).collect();
    assert_eq!(lengths, [200_000, 3, 200_000]);
    for units in [1, 5_000, 300_000] {
        assert_eq!(walk(envelope.as_bytes(), units).unwrap(), whole);
    }
    for place in whole {
        let item = place.item(envelope.as_bytes()).unwrap();
        assert_eq!(item.payload.len(), place.length);
    }
    let open = format!("{{}}\n{blank}");
    let error = walk(open.as_bytes(), 1).unwrap_err();
    assert_eq!((error.reason, error.offset), (Reason::NoHeader, open.len()));
}

#[test]
fn a_header_must_not_take_too_long() {
    let header = |value: &str| {
        let envelope = format!("{{\"a\":{value}}}\n");
        walk_all(envelope.as_bytes()).map_err(|error| error.reason)
    };
    let text = |text: &str, times: usize| format!("\"{}\"", text.repeat(times));
    for fits in [
        text("x", 170_000),
        text("ä", 45_000),
        text("\\n", 10_000),
        format!("0.{}", "1".repeat(45_000)),
        format!("[{}1]", "1,".repeat(8_000)),
    ] {
        assert_eq!(header(&fits), Ok(()));
    }
    for too_long in [
        text("x", 190_000),
        text("x", 300_000),
        text("ä", 60_000),
        text("\\n", 14_000),
        format!("0.{}", "1".repeat(60_000)),
        format!("[{}1]", "1,".repeat(12_000)),
    ] {
        assert_eq!(header(&too_long), Err(Reason::TooLong));
    }
    // Broken is broken, however long.
    let broken = walk_all(format!("{{]{}", "x".repeat(MAX_HEADER)).as_bytes());
    assert!(matches!(broken.unwrap_err().reason, Reason::Json(_)));
}

fn walk_all(bytes: &[u8]) -> Result<(), Malformed> {
    let header = Walker::default().header(bytes, &mut Meter::unlimited());
    match header {
        Poll::Ready(header) => header.map(drop),
        Poll::Pending => unreachable!("an unlimited meter is never empty"),
    }
}
