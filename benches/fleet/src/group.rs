//! The logs of a write: which envelopes they are of. (manual: sls, "The log group")

/// The number of each log's envelope, which stands in its `event_id`. Of a body that cannot be read: none.
#[must_use]
pub fn numbers(wire: &[u8], raw_size: usize) -> Vec<usize> {
    let raw = lz4_flex::block::decompress(wire, raw_size).unwrap_or_default();
    fields(&raw)
        .filter(|(field, _)| *field == 1)
        .filter_map(|(_, log)| number(log))
        .collect()
}

fn number(log: &[u8]) -> Option<usize> {
    let contents = fields(log).filter(|(field, _)| *field == 2);
    let mut pairs = contents.map(|(_, content)| {
        let mut parts = fields(content).map(|(_, text)| text);
        (parts.next(), parts.next())
    });
    let (_, id) = pairs.find(|(key, _)| *key == Some(b"event_id"))?;
    usize::from_str_radix(std::str::from_utf8(id?).ok()?, 16).ok()
}

/// Fields of a message that have a length; others are passed over.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut rest)?;
            let size = match key & 7 {
                0 => {
                    varint(&mut rest)?;
                    continue;
                }
                5 => 4,
                2 => usize::try_from(varint(&mut rest)?).ok()?,
                _ => return None,
            };
            let (field, after) = rest.split_at_checked(size)?;
            rest = after;
            if key & 7 == 2 {
                return Some((key >> 3, field));
            }
        }
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
