//! The headers of a request, read for the legs.

use super::Stream;
use crate::header_map::Pairs;
use crate::rum::headers::Head;
use crate::worker::Worker;
use crate::worker::exchange::Plan;

/// Reads the headers, and gives `begin` those of a request that a leg wants.
pub(super) fn arrive<T>(
    worker: &mut Worker,
    stream: &impl Stream,
    begin: impl FnOnce(&mut Worker, Plan, &Head<'_, Pairs<'_>>) -> T,
) -> Option<T> {
    let traits = worker.config().host.traits();
    // One call for everything: a crossing costs more than what is read for nothing.
    let map = stream.headers();
    let Pseudo {
        method,
        path,
        authority,
    } = Pseudo::of(map.iter(), traits.authority);
    let method = method?;
    // `:path` is decoded on nginx: `%0D%0A` in it would end the copy's request line.
    let received = traits.received_target.map(|path| stream.property(path));
    let target = match &received {
        Some(received) => received.as_deref()?,
        None => path?,
    };
    let ingest = &worker.config().ingest;
    let target = ingest.target(target);
    if !ingest.serves(authority.unwrap_or_default()) {
        worker.other_host(method, target);
        return None;
    }
    let plan = worker.decide(method, target)?;
    let source = || stream.property("source\0address");
    let scheme = traits.client_scheme.and_then(|path| stream.property(path));
    let head = Head {
        method,
        target,
        headers: map.iter(),
        source: &source,
        scheme: scheme.as_deref(),
    };
    Some(begin(worker, plan, &head))
}

/// What says what a request is.
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    /// In Envoy they come first. `authority` is the name of the header that says it.
    fn of(headers: Pairs<'a>, authority: &[u8]) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let slot = match name {
                b":method" => &mut found.method,
                b":path" => &mut found.path,
                _ if name.len() == authority.len() && name.eq_ignore_ascii_case(authority) => {
                    &mut found.authority
                }
                _ => continue,
            };
            slot.get_or_insert(value);
            if found.method.is_some() && found.path.is_some() && found.authority.is_some() {
                break;
            }
        }
        found
    }
}
