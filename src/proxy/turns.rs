//! Gives the requests that wait for a tick their turns. The tick publishes the results.

use super::host;
use super::root::Root;
use super::stream::Stream;
use crate::meter::{Meter, TICK};
use std::collections::BTreeMap;

/// The tick of a root context.
pub(super) fn take(id: u32, root: &mut Root, streams: &mut BTreeMap<u32, Stream>) {
    if !root.worker().is_some_and(|worker| worker.has_turns()) {
        return;
    }
    let begun = host::now();
    if !root
        .worker()
        .is_some_and(|worker| worker.turns_begin(begun))
    {
        return;
    }
    let mut meter = Meter::new(TICK);
    while let Some(waiting) = root
        .worker()
        .and_then(|worker| worker.next_turn(&mut meter))
    {
        // It may have ended. Another root context's stream is not touched here.
        let Some(stream) = streams.get_mut(&waiting).filter(|own| own.root == id) else {
            continue;
        };
        stream.turn(root, waiting, &mut meter);
        // What follows is not about this stream.
        host::enter(id);
    }
    if let Some(worker) = root.worker() {
        worker.turns_end(begun, host::now());
    }
}
