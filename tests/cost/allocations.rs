//! Allocations of the core for one mirrored request, counted where they can be: natively, in the same code that the
//! module runs. What the host asks for (its results) is counted by the test host and comes on top.
#![allow(unsafe_code)]

use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::headers::Head;
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::effect::Proxy;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Leg, Series};
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use test_host::Request;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// Only counts; the system's allocator does the work, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A proxy that takes every call, with this token, and allocates nothing.
struct Takes(u32);

impl Proxy for Takes {
    fn now(&mut self) -> Millis {
        Millis(0)
    }

    fn dispatch(&mut self, _: &Call<'_>) -> Option<u32> {
        Some(self.0)
    }

    fn add(&mut self, _: Series, _: i64) {}

    fn set(&mut self, _: Series, _: u64) {}

    fn latency(&mut self, _: Leg, _: u64) {}

    fn log(&mut self, _: Level, _: &str) {}

    fn set_tick(&mut self, _: u32) -> bool {
        true
    }
}

/// Allocations and reallocations of `requests` requests after `warm_up` others, answered one by one.
pub(crate) fn count(config: &str, request: &Request, warm_up: u64, requests: u64) -> u64 {
    let mut plugin = Worker::new(Config::parse(config.as_bytes(), &|_| None).unwrap(), 1);
    plugin.start("test");
    plugin.carry_out(&mut Takes(0), Millis(0));
    let pairs: Vec<(&[u8], &[u8])> = request.headers.iter().collect();
    let method = request.headers.get(":method").unwrap();
    let target = request.headers.get(":path").unwrap();
    let mut before = 0;
    for n in 0..warm_up + requests {
        if n == warm_up {
            before = ALLOCATIONS.get();
        }
        let now = Millis(n * 6);
        let Some(destination) = plugin.decide(method, target) else {
            continue;
        };
        let head = Head {
            method,
            target,
            headers: pairs.iter().copied(),
            source: &|| None,
            scheme: None,
        };
        let mut exchange = plugin.begin(destination, &head);
        for chunk in request.chunks.iter().filter(|chunk| !chunk.is_empty()) {
            exchange = plugin.chunk(exchange.unwrap(), chunk.len(), |body| {
                body.extend_from_slice(chunk);
                Some(())
            });
        }
        plugin.end(exchange.unwrap(), now);
        let token = u32::try_from(n).unwrap();
        plugin.carry_out(&mut Takes(token), now);
        let ok = Answer {
            status: Some(200),
            header: &|_| None,
            body: b"",
        };
        plugin.answered(token, &ok, now);
        plugin.carry_out(&mut Takes(token), now);
    }
    ALLOCATIONS.get() - before
}
