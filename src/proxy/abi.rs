//! The entry points that the host calls, under their names in the proxy-wasm ABI 0.2.1.
//!
//! The final module exports nothing else: `make build` removes the SDK's other entry points. Every one of these accepts any
//! argument, in any order.
// The symbols are the interface; no Rust path leads here.
#![allow(unsafe_code, unreachable_pub)]

use super::host;
use super::root::Root;
use super::stream::Stream;
use super::turns;
use crate::worker::lanes::Lanes;
use proxy_wasm::types::Action;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Everything that lives in this instance. An instance is one thread of one worker.
#[derive(Default)]
struct Instance {
    roots: BTreeMap<u32, Root>,
    streams: BTreeMap<u32, Stream>,
    /// Streams whose root context ended before they did.
    orphans: BTreeMap<u32, Stream>,
    lanes: Lanes,
}

impl Instance {
    #[inline]
    fn stream(&mut self, id: u32) -> Option<(&mut Root, &mut Stream)> {
        let stream = self.streams.get_mut(&id)?;
        Some((self.roots.get_mut(&stream.root)?, stream))
    }

    /// Ends a root context, and before it whatever is open in its streams. No host ends a root context before its streams do.
    /// If one does, nothing goes uncounted, and nothing that is waiting goes on.
    #[inline(never)]
    fn end(&mut self, id: u32) {
        let Some(root) = self.roots.get_mut(&id) else {
            return;
        };
        let streams = self.streams.iter();
        let streams = streams.filter(|(_, stream)| stream.root == id);
        let streams: Vec<u32> = streams.map(|(stream, _)| *stream).collect();
        for id in streams {
            if let Some(mut stream) = self.streams.remove(&id) {
                stream.orphaned(root, id);
                self.orphans.insert(id, stream);
            }
        }
        root.end();
    }

    /// The lanes among the root contexts, without this one.
    fn lanes_beside(&self, id: u32) -> Vec<u8> {
        let others = self.roots.iter().filter(|(root, _)| **root != id);
        others.filter_map(|(_, root)| root.lane).collect()
    }

    fn tick(&mut self, id: u32) {
        let lanes = self.lanes_beside(id).len();
        let slot = self.lanes.is_free(id);
        let Some(root) = self.roots.get_mut(&id) else {
            return;
        };
        turns::take(id, root, &mut self.streams);
        let (owner, token) = match root.lane {
            None => (Some(id), root.tick(slot, lanes)),
            Some(_) if !slot => return,
            Some(_) => {
                let roots = self.roots.iter();
                let waiting = roots.filter_map(|(id, root)| Some((*id, root.waiting()?)));
                let owner = self.lanes.next(waiting);
                let root = owner.and_then(|owner| self.roots.get_mut(&owner));
                (owner, root.and_then(Root::tick_for_lane))
            }
        };
        if let (Some(owner), Some(token)) = (owner, token) {
            self.lanes.took(id, token, owner);
        }
    }
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
    /// A root context of this instance [holds](Root::hold) requests, or once did.
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a callback. A host that calls again from within one of its own calls gets the default.
fn with<T: Default>(callback: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with(|instance| match instance.try_borrow_mut() {
        Ok(mut instance) => callback(&mut instance),
        Err(_) => T::default(),
    })
}

/// Runs a callback of a stream. An unknown stream goes on, unless it may be one of those that are held.
fn on_stream(id: u32, callback: impl FnOnce(&mut Root, &mut Stream) -> Action) -> Action {
    let action = with(|instance| {
        let (root, stream) = instance.stream(id)?;
        Some(callback(root, stream))
    });
    action.unwrap_or_else(|| without_root(id))
}

#[cold]
fn without_root(id: u32) -> Action {
    let is_held = with(|instance| Some(instance.orphans.get(&id)?.is_held));
    if is_held.unwrap_or_else(|| HOLDS.get()) {
        Action::Pause
    } else {
        Action::Continue
    }
}

proxy_wasm::main!({});

/// Memory for the host's results.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

/// A root context (parent 0) or a stream begins.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    with(|instance| match parent {
        0 => {
            instance.roots.entry(id).or_default();
        }
        root => {
            instance.streams.entry(id).or_insert(Stream::new(root));
        }
    });
}

/// The instance starts.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_root: u32, _configuration_size: usize) -> bool {
    true
}

/// A root context gets its configuration.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(root: u32, size: usize) -> bool {
    with(|instance| {
        let lanes = instance.lanes_beside(root);
        // No host configures a context twice. If one does, nothing goes uncounted.
        instance.end(root);
        let root = instance.roots.entry(root).or_default();
        let taken = root.configure(size, &lanes);
        HOLDS.set(HOLDS.get() || root.hold() == Action::Pause);
        taken
    })
}

/// The tick.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_tick(root: u32) {
    with(|instance| instance.tick(root));
}

/// Request headers.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(id: u32, _count: usize, end: bool) -> Action {
    on_stream(id, |root, stream| stream.headers(root, id, end))
}

/// A piece of the request body.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_body(id: u32, size: usize, end: bool) -> Action {
    on_stream(id, |root, stream| stream.body(root, id, size, end))
}

/// Request trailers: the end of a request that has them.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_trailers(id: u32, _count: usize) -> Action {
    on_stream(id, |root, stream| stream.trailers(root, id))
}

/// The headers of the response. It is never changed, except that our own answer must have the status we gave it.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(id: u32, _count: usize, _end: bool) -> Action {
    let mut action = Action::Continue;
    on_stream(id, |root, stream| {
        action = stream.response(root, id);
        Action::Continue
    });
    action
}

/// Not used. ngx_wasm_module calls this and the next one without checking that they exist.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_body(_id: u32, _size: usize, _end: bool) -> Action {
    Action::Continue
}

/// See [`proxy_on_response_body`].
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(_id: u32) {}

/// A call has ended.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_http_call_response(
    root: u32,
    token: u32,
    headers: usize,
    body_size: usize,
    _trailers: usize,
) {
    with(|instance| {
        let owner = instance.lanes.answered(root, token);
        if let Some(root) = instance.roots.get_mut(&owner) {
            root.call_done(token, headers, body_size);
        }
    });
}

/// A context should end: `true` if it may.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(id: u32) -> bool {
    // A callback that gets the default must not hold up the host, hence the double negation.
    !with(|instance| {
        if let Some((root, stream)) = instance.stream(id) {
            stream.gone(root, id);
        }
        instance.roots.get_mut(&id).is_some_and(|root| !root.done())
    })
}

/// A context has ended.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(id: u32) {
    with(|instance| {
        if let Some((root, stream)) = instance.stream(id) {
            stream.gone(root, id);
        }
        if instance.streams.remove(&id).is_none() {
            instance.orphans.remove(&id);
        }
        if instance.roots.contains_key(&id) {
            instance.end(id);
            instance.roots.remove(&id);
        }
    });
}
