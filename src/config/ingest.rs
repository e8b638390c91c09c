//! Which requests are for this Sentry: `hosts` and `dsn_path`.

use super::reader::{Object, Reader};
use crate::sentry::ingest::{HostPattern, Ingest};

/// Every request is compared with each of them.
const MAX_HOSTS: usize = 100;

/// Reads both keys.
pub(super) fn read(reader: &mut Reader<'_>, root: &mut Object<'_>) -> Option<Ingest> {
    let hosts = hosts(reader, root);
    let dsn_path = dsn_path(reader, root);
    Some(Ingest {
        hosts: hosts?,
        dsn_path: dsn_path?,
    })
}

/// Takes the keys where they have no meaning: each is a problem.
pub(super) fn foreign(reader: &mut Reader<'_>, root: &mut Object<'_>) {
    for key in ["hosts", "dsn_path"] {
        if let Some(field) = root.take_foreign(key) {
            let what = format!(
                "mode sign has requests for SLS and not for Sentry, got {}",
                field.node.kind()
            );
            reader.problem(&field.path, what);
        }
    }
}

fn hosts(reader: &mut Reader<'_>, root: &mut Object<'_>) -> Option<Vec<HostPattern>> {
    let Some(field) = root.take("hosts") else {
        return Some(Vec::new());
    };
    let entries = reader.list(&field)?;
    if entries.is_empty() || entries.len() > MAX_HOSTS {
        let what = format!(
            "expected 1 to {MAX_HOSTS} hosts (without the key it is every host), got {}",
            entries.len()
        );
        reader.problem(&field.path, what);
        return None;
    }
    let hosts = entries.iter().map(|entry| {
        let text = reader.string(entry)?;
        let host = HostPattern::parse(&text);
        if host.is_none() {
            let what =
                "expected a host without a port, such as sentry.example.com or *.example.com";
            reader.problem(&entry.path, format!("{what}, got {text:?}"));
        }
        host
    });
    // Collected first, so that every problem is reported at once.
    let hosts: Vec<Option<HostPattern>> = hosts.collect();
    hosts.into_iter().collect()
}

fn dsn_path(reader: &mut Reader<'_>, root: &mut Object<'_>) -> Option<String> {
    let Some(field) = root.take("dsn_path") else {
        return Some(String::new());
    };
    let text = reader.string(&field)?;
    let path = text.strip_suffix('/').unwrap_or(&text);
    let named = |segment: &str| {
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%' | b'\\');
        !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(plain)
    };
    let mut segments = path.split('/');
    let rooted = segments.next() == Some("");
    let good = path.is_empty() || rooted && segments.clone().all(named);
    // Such requests are recognised without the key, or never.
    let first = segments.next();
    if good && !matches!(first, Some("api" | "rum")) {
        return Some(path.to_owned());
    }
    let what =
        "expected the path of the DSN before the project id, such as /sentry, and not /api or /rum";
    reader.problem(&field.path, format!("{what}, got {text:?}"));
    None
}
