//! Reads a request's headers for the legs.

use super::Stream;
use crate::copies::headers::Head;
use crate::header_map::Pairs;
use crate::sls::intake::first;
use crate::worker::Worker;
use crate::worker::exchange::Plan;

/// Reads the headers. If a leg wants the request, passes them to `begin`.
pub(super) fn arrive<T>(
    worker: &mut Worker,
    stream: &impl Stream,
    begin: impl FnOnce(&mut Worker, Plan, &Head<'_, Pairs<'_>>) -> T,
) -> Option<T> {
    let traits = worker.config().host.traits();
    // One call for all headers: crossing into the host costs more than reading some for nothing.
    let map = stream.headers();
    let (method, path) = method_and_path(map.iter());
    let method = method?;
    // `:path` is decoded on nginx: `%0D%0A` in it would end the copy's request line.
    let received = traits.received_target.map(|path| stream.property(path));
    let target = match &received {
        Some(received) => received.as_deref()?,
        None => path?,
    };
    let ingest = &worker.config().ingest;
    let target = ingest.target(target);
    if !ingest.hosts.is_empty() {
        let authority = first(map.iter(), traits.authority);
        if !ingest.serves(authority.unwrap_or_default()) {
            worker.other_host(method, target);
            return None;
        }
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

/// Pseudo headers come first in Envoy; nginx provides them too.
fn method_and_path(headers: Pairs<'_>) -> (Option<&[u8]>, Option<&[u8]>) {
    let (mut method, mut path) = (None, None);
    for (name, value) in headers {
        match name {
            b":method" if method.is_none() => method = Some(value),
            b":path" if path.is_none() => path = Some(value),
            _ => continue,
        }
        if method.is_some() && path.is_some() {
            break;
        }
    }
    (method, path)
}
