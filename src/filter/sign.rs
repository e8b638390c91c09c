//! Mode `sign` in the proxy: a request is held until it is complete and signed, or answered here.
//!
//! Whatever fails, a request never goes on as it came: it waits, and is answered.

use super::host::{self, Buffer, Map};
use super::http::Stream;
use super::pairs::Pairs;
use super::root::Root;
use crate::meter::{Meter, TICK};
use crate::plugin::Plugin;
use crate::plugin::signing::{LocalAnswer, REQUEST, Write};
use proxy_wasm::types::Action;
use std::collections::BTreeMap;
use std::task::Poll;

/// Where a request is.
#[derive(Default)]
pub(super) enum Turn {
    /// Its headers have not come.
    #[default]
    New,
    /// It is held, with its headers in the host's format.
    Held(Box<Write>, Vec<u8>),
    /// It went on.
    Signed(Box<Write>),
    /// It was answered here, or is over.
    Answered,
}

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
    let Some(plugin) = root.plugin() else {
        return Action::Pause;
    };
    let map = host::map(Map::Request).unwrap_or_default();
    let action = match plugin.write_begins(id, Pairs::new(&map), map.len()) {
        Ok(write) => {
            stream.turn = Turn::Held(write, map);
            match end {
                true => conclude(plugin, stream, &mut Meter::new(REQUEST), Within::Request),
                false => Action::Pause,
            }
        }
        Err(answer) => deny(stream, &answer),
    };
    settle(root);
    action
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) -> Action {
    let (Some(plugin), Turn::Held(write, _)) = (root.plugin(), &mut stream.turn) else {
        return Action::Pause;
    };
    let mut meter = Meter::new(REQUEST);
    // The host holds all of it, and says how much that is by now.
    let action = match plugin.write_grows(write, size, read, &mut meter) {
        Ok(()) if end => conclude(plugin, stream, &mut meter, Within::Request),
        Ok(()) => Action::Pause,
        Err(answer) => deny(stream, &answer),
    };
    settle(root);
    action
}

/// Trailers end the request.
pub(super) fn trailers(root: &mut Root, stream: &mut Stream) -> Action {
    let Some(plugin) = root.plugin() else {
        return Action::Pause;
    };
    let action = conclude(plugin, stream, &mut Meter::new(REQUEST), Within::Request);
    settle(root);
    action
}

/// The tick of a root context: the writes that wait take their turns. What they come to is published by the tick.
pub(super) fn tick(id: u32, root: &mut Root, streams: &mut BTreeMap<u32, Stream>) {
    let Some(plugin) = root.plugin().filter(|plugin| plugin.has_turns()) else {
        return;
    };
    let begun = host::now();
    if !plugin.turns_begin(begun) {
        return;
    }
    let mut meter = Meter::new(TICK);
    while let Some(waiting) = plugin.next_turn(&mut meter) {
        // It may have ended; another root context's is not named here.
        let Some(stream) = streams.get_mut(&waiting).filter(|own| own.root == id) else {
            continue;
        };
        match host::enter(waiting) {
            Some(()) => turn(plugin, stream, &mut meter),
            None => stuck(plugin, stream),
        }
        // Whatever comes next is not about this stream.
        host::enter(id);
    }
    plugin.turns_end(begun, host::now());
}

fn turn(plugin: &mut Plugin, stream: &mut Stream, meter: &mut Meter) {
    let Turn::Held(write, _) = &mut stream.turn else {
        return;
    };
    match plugin.write_turn(write, read, meter) {
        Ok(true) => conclude(plugin, stream, meter, Within::Tick),
        Ok(false) => return,
        Err(answer) => deny(stream, &answer),
    };
}

/// The host lets no tick act for the stream: it is over, and waits, for nobody can answer it.
fn stuck(plugin: &mut Plugin, stream: &mut Stream) {
    if let Turn::Held(write, _) = &mut stream.turn {
        plugin.write_stuck(write);
        stream.turn = Turn::Answered;
    }
}

fn read(start: usize, size: usize) -> Option<Vec<u8>> {
    host::slice(Buffer::RequestBody, start, size)
}

/// The request is complete: it is signed and let go, or answered, or waits for its turn.
fn conclude(plugin: &mut Plugin, stream: &mut Stream, meter: &mut Meter, within: Within) -> Action {
    let (mut write, map) = match std::mem::replace(&mut stream.turn, Turn::Answered) {
        Turn::Held(write, map) => (write, map),
        // No host ends a request twice; should one do so, its answer is still counted.
        turn => {
            stream.turn = turn;
            return Action::Pause;
        }
    };
    let now = host::now();
    let answer = match plugin.write_ends(&mut write, Pairs::new(&map), now, meter) {
        Poll::Pending => {
            stream.turn = Turn::Held(write, map);
            return Action::Pause;
        }
        Poll::Ready(Ok(headers)) => {
            match host::set_map(Map::Request, &headers).and_then(|()| within.let_go()) {
                Some(()) => {
                    plugin.write_left(&mut write);
                    stream.turn = Turn::Signed(write);
                    return Action::Continue;
                }
                None => plugin.write_stuck(&mut write),
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
    let Some(plugin) = root.plugin() else { return };
    let text = |name: &str| String::from_utf8(host::header(Map::Response, name)?).ok();
    let status = text(":status").and_then(|status| status.parse().ok());
    plugin.write_answered(write, status, &text, host::now);
    settle(root);
}

/// The stream is over.
pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    let (Turn::Held(write, _) | Turn::Signed(write)) = &mut stream.turn else {
        return;
    };
    let Some(plugin) = root.plugin() else { return };
    plugin.write_gone(write);
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
    if root.plugin().is_some_and(|plugin| plugin.has_effects()) {
        root.request_effects(host::now());
    }
}
