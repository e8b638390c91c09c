//! Mode `sign` in the proxy: a request is held until it is complete and signed, or answered here.
//!
//! Whatever fails, a request never goes on as it came: it waits, and is answered.

use super::host::{self, Buffer, Map};
use super::http::Stream;
use super::pairs::Pairs;
use super::root::Root;
use crate::plugin::signing::{LocalAnswer, Write};
use proxy_wasm::types::Action;

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

pub(super) fn headers(root: &mut Root, stream: &mut Stream, end: bool) -> Action {
    let Some(plugin) = root.plugin() else {
        return Action::Pause;
    };
    let map = host::map(Map::Request).unwrap_or_default();
    match plugin.write_begins(Pairs::new(&map), map.len()) {
        Ok(write) => stream.turn = Turn::Held(write, map),
        Err(answer) => return deny(root, stream, &answer),
    }
    if end {
        return self::end(root, stream);
    }
    settle(root);
    Action::Pause
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) -> Action {
    let (Some(plugin), Turn::Held(write, _)) = (root.plugin(), &mut stream.turn) else {
        return Action::Pause;
    };
    // The host holds all of it, and says how much that is by now.
    let read = |start, size| host::slice(Buffer::RequestBody, start, size);
    if let Err(answer) = plugin.write_grows(write, size, read) {
        return deny(root, stream, &answer);
    }
    match end {
        true => self::end(root, stream),
        false => Action::Pause,
    }
}

/// The request is complete.
pub(super) fn end(root: &mut Root, stream: &mut Stream) -> Action {
    let Some(plugin) = root.plugin() else {
        return Action::Pause;
    };
    let (mut write, map) = match std::mem::replace(&mut stream.turn, Turn::Answered) {
        Turn::Held(write, map) => (write, map),
        // No host ends a request twice; should one do so, its answer is still counted.
        turn => {
            stream.turn = turn;
            return Action::Pause;
        }
    };
    let now = host::now();
    let answer = match plugin.write_ends(&mut write, Pairs::new(&map), now) {
        Ok(headers) => match host::set_map(Map::Request, &headers) {
            Some(()) => {
                plugin.write_left(&mut write);
                stream.turn = Turn::Signed(write);
                settle(root);
                return Action::Continue;
            }
            None => plugin.write_stuck(&mut write),
        },
        Err(answer) => answer,
    };
    deny(root, stream, &answer)
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
fn deny(root: &mut Root, stream: &mut Stream, answer: &LocalAnswer) -> Action {
    stream.turn = Turn::Answered;
    let status = u32::from(answer.status);
    host::send_local_response(status, &answer.headers, answer.body.as_bytes());
    settle(root);
    Action::Pause
}

/// Most requests cause no effect, and then the clock need not be read.
fn settle(root: &mut Root) {
    if root.plugin().is_some_and(|plugin| plugin.has_effects()) {
        root.request_effects(host::now());
    }
}
