//! The protobuf of PutLogs, read naively.

// Nothing is exported from a test crate.
#![allow(unreachable_pub)]

/// A log group, read by a parser that shares nothing with the encoder: (seconds, contents) of each log, then the rest.
pub type Parsed = (Vec<(u64, Vec<(String, String)>)>, Vec<u8>);

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    unreachable!()
}

fn delimited<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(varint(bytes)).unwrap();
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn string(bytes: &mut &[u8], tag: u8) -> String {
    assert_eq!(bytes[0], tag);
    *bytes = &bytes[1..];
    String::from_utf8(delimited(bytes).to_vec()).expect("UTF-8")
}

pub fn parse(mut group: &[u8]) -> Parsed {
    let mut logs = Vec::new();
    while let [0x0A, rest @ ..] = group {
        group = rest;
        let mut log = delimited(&mut group);
        assert_eq!(log[0], 0x08);
        log = &log[1..];
        let seconds = varint(&mut log);
        let mut contents = Vec::new();
        while let [0x12, rest @ ..] = log {
            log = rest;
            let mut pair = delimited(&mut log);
            contents.push((string(&mut pair, 0x0A), string(&mut pair, 0x12)));
            assert!(pair.is_empty());
        }
        if let [0x25, _, _, _, _, rest @ ..] = log {
            log = rest;
        }
        assert!(log.is_empty());
        logs.push((seconds, contents));
    }
    (logs, group.to_vec())
}
