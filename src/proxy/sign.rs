//! Mode `sign` in the proxy: a request is held until it is complete and signed, or answered here.
//!
//! Whatever fails, a request never goes on as it came: it waits, and is answered.

use super::host::{self, Buffer, Map};
use super::pairs::Pairs;
use super::root::Root;
use super::stream::{Stream, Turn};
use crate::meter::{Meter, TICK};
use crate::worker::Worker;
use crate::worker::signing::{LocalAnswer, REQUEST};
use proxy_wasm::types::Action;
use std::collections::BTreeMap;
use std::task::Poll;

/// The callback that a request is complete in.
#[derive(Clone, Copy)]
enum Within {
    /// One of its own: what that returns lets it go.
    Request,
    /// A tick, which has to ask for it.
    Tick,
}

impl Within {
    fn let_go(self) -> Option<()> {
        match self {
            Self::Request => Some(()),
            Self::Tick => host::continue_request(),
        }
    }
}

pub(super) fn headers(root: &mut Root, stream: &mut Stream, id: u32, end: bool) -> Action {
    let Some(worker) = root.worker() else {
        return Action::Pause;
    };
    let map = host::map(Map::Request).unwrap_or_default();
    let action = match worker.write_begins(id, Pairs::new(&map), map.len()) {
        Ok(write) => {
            stream.turn = Turn::Held(write, map);
            if end {
                conclude(worker, stream, &mut Meter::new(REQUEST), Within::Request)
            } else {
                Action::Pause
            }
        }
        Err(answer) => deny(stream, &answer),
    };
    settle(root);
    action
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) -> Action {
    let (Some(worker), Turn::Held(write, _)) = (root.worker(), &mut stream.turn) else {
        return Action::Pause;
    };
    let mut meter = Meter::new(REQUEST);
    // The host holds all of it, and says how much that is by now.
    let action = match worker.write_grows(write, size, read, &mut meter) {
        Ok(()) if end => conclude(worker, stream, &mut meter, Within::Request),
        Ok(()) => Action::Pause,
        Err(answer) => deny(stream, &answer),
    };
    settle(root);
    action
}

/// Trailers end the request.
pub(super) fn trailers(root: &mut Root, stream: &mut Stream) -> Action {
    let Some(worker) = root.worker() else {
        return Action::Pause;
    };
    let action = conclude(worker, stream, &mut Meter::new(REQUEST), Within::Request);
    settle(root);
    action
}

/// The tick of a root context: the writes that wait take their turns. What they come to is published by the tick.
pub(super) fn tick(id: u32, root: &mut Root, streams: &mut BTreeMap<u32, Stream>) {
    let Some(worker) = root.worker().filter(|worker| worker.has_turns()) else {
        return;
    };
    let begun = host::now();
    if !worker.turns_begin(begun) {
        return;
    }
    let mut meter = Meter::new(TICK);
    while let Some(waiting) = worker.next_turn(&mut meter) {
        // It may have ended; another root context's is not named here.
        let Some(stream) = streams.get_mut(&waiting).filter(|own| own.root == id) else {
            continue;
        };
        match host::enter(waiting) {
            Some(()) => turn(worker, stream, &mut meter),
            None => stuck(worker, stream),
        }
        // Whatever comes next is not about this stream.
        host::enter(id);
    }
    worker.turns_end(begun, host::now());
}

fn turn(worker: &mut Worker, stream: &mut Stream, meter: &mut Meter) {
    let Turn::Held(write, _) = &mut stream.turn else {
        return;
    };
    match worker.write_turn(write, read, meter) {
        Ok(true) => conclude(worker, stream, meter, Within::Tick),
        Ok(false) => return,
        Err(answer) => deny(stream, &answer),
    };
}

/// The host lets no tick act for the stream: it is over, and waits, for nobody can answer it.
fn stuck(worker: &mut Worker, stream: &mut Stream) {
    if let Turn::Held(write, _) = &mut stream.turn {
        worker.write_stuck(write);
        stream.turn = Turn::Answered;
    }
}

fn read(start: usize, size: usize) -> Option<Vec<u8>> {
    host::slice(Buffer::RequestBody, start, size)
}

/// The request is complete: it is signed and let go, or answered, or waits for its turn.
fn conclude(worker: &mut Worker, stream: &mut Stream, meter: &mut Meter, within: Within) -> Action {
    let (mut write, map) = match std::mem::replace(&mut stream.turn, Turn::Answered) {
        Turn::Held(write, map) => (write, map),
        // No host ends a request twice; should one do so, its answer is still counted.
        turn => {
            stream.turn = turn;
            return Action::Pause;
        }
    };
    let now = host::now();
    let answer = match worker.write_ends(&mut write, Pairs::new(&map), now, meter) {
        Poll::Pending => {
            stream.turn = Turn::Held(write, map);
            return Action::Pause;
        }
        Poll::Ready(Ok(headers)) => {
            match host::set_map(Map::Request, &headers).and_then(|()| within.let_go()) {
                Some(()) => {
                    worker.write_left(&mut write);
                    stream.turn = Turn::Signed(write);
                    return Action::Continue;
                }
                None => worker.write_stuck(&mut write),
            }
        }
        Poll::Ready(Err(answer)) => answer,
    };
    deny(stream, &answer)
}

/// The headers of the answer.
pub(super) fn answered(root: &mut Root, stream: &mut Stream) {
    let (Turn::Held(write, _) | Turn::Signed(write)) = &mut stream.turn else {
        return;
    };
    let Some(worker) = root.worker() else { return };
    let text = |name: &str| String::from_utf8(host::header(Map::Response, name)?).ok();
    let status = text(":status").and_then(|status| status.parse().ok());
    worker.write_answered(write, status, &text, host::now);
    settle(root);
}

/// The stream is over.
pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    let (Turn::Held(write, _) | Turn::Signed(write)) = &mut stream.turn else {
        return;
    };
    let Some(worker) = root.worker() else { return };
    worker.write_gone(write);
    stream.turn = Turn::Answered;
    settle(root);
}

/// A host that refuses even this leaves the request waiting, which is better than passing it on.
fn deny(stream: &mut Stream, answer: &LocalAnswer) -> Action {
    stream.turn = Turn::Answered;
    stream.answer(answer.status, &answer.headers, answer.body.as_bytes());
    Action::Pause
}

/// Most requests cause no effect, and then the clock need not be read.
fn settle(root: &mut Root) {
    if root.worker().is_some_and(|worker| worker.has_effects()) {
        root.request_effects(host::now());
    }
}
