//! What a scenario may do, and the macro that runs it everywhere.

use crate::seen::{Seen, sign_books};
pub use sentry_edge_mirror::drive::Refusal;
use test_host::{Call, Profile, Reply, Request, Response};

/// A running edge: the core, or the module in a host.
pub trait Edge: Sized {
    /// On nginx: root contexts, so calls at a time.
    const LANES: u8;

    fn start(profile: Profile, config: &str) -> Self;
    fn profile(&self) -> Profile;

    /// A whole request that only passes: it must come out of the filter as it went in.
    fn send(&mut self, request: &Request);
    /// The client of such a request goes away.
    fn abort(&mut self, stream: u32);
    /// The headers of a request; with `end` they are all of it. Its body and its trailers are not looked at.
    fn headers(&mut self, request: &Request, end: bool) -> u32;
    fn body(&mut self, stream: u32, chunk: &[u8], end: bool);
    fn trailers(&mut self, stream: u32);
    /// The target answers, or the proxy in its place.
    fn respond(&mut self, stream: u32, response: &Response);
    /// The stream ends; a client that goes away looks the same.
    fn close(&mut self, stream: u32);
    fn seen(&self, stream: u32) -> Seen;
    /// So often the host refuses this.
    fn fault(&mut self, refusal: Refusal, times: u32);

    fn advance(&mut self, ms: u64);
    /// The calls since the last time, in their order.
    fn calls(&mut self) -> Vec<Call>;
    fn reply(&mut self, token: u32, reply: &Reply);
    /// The host refuses the next dispatches.
    fn refuse(&mut self, count: u32);
    fn metric(&self, name: &str) -> i64;
    fn is_ticking(&self) -> bool;
    fn log_lines(&self) -> String;
    fn wall_clock_ms(&self) -> u64;

    /// The listener goes away, its streams have ended.
    fn drain(&mut self);
    /// The root context has ended.
    fn is_gone(&self) -> bool;

    /// Envoy's rules bind the core to nothing; nginx sends one call at a time and lane.
    fn is_nginx(&self) -> bool {
        self.profile() == Profile::Nginx
    }

    /// The headers of a request whose body follows piece by piece.
    fn open(&mut self, request: &Request) -> u32 {
        self.headers(request, false)
    }

    /// The headers of a request, which are all of it if it has nothing else.
    fn arrive(&mut self, request: &Request) -> u32 {
        let more = !request.chunks.is_empty() || request.trailers.is_some();
        self.headers(request, !more && !request.streamed && !request.ends_apart)
    }

    /// A whole request; its stream is left open.
    fn upload(&mut self, request: &Request) -> u32 {
        if self.is_nginx() {
            // The body comes in one piece, and nobody says that headers end a request.
            let (stream, body) = (self.open(request), request.body());
            if !body.is_empty() {
                self.body(stream, &body, true);
            }
            return stream;
        }
        let stream = self.arrive(request);
        let last = request.chunks.len().wrapping_sub(1);
        let apart = request.ends_apart || request.trailers.is_some();
        for (index, chunk) in request.chunks.iter().enumerate() {
            self.body(stream, chunk, index == last && !apart);
        }
        if request.ends_apart {
            self.body(stream, b"", true);
        }
        if request.trailers.is_some() {
            self.trailers(stream);
        }
        stream
    }

    /// The target answers with nothing but a status.
    fn answer(&mut self, stream: u32, status: u16) {
        self.respond(stream, &Response::status(status));
    }

    /// Until a request that is complete has gone on, or was answered.
    fn served(&mut self, stream: u32) {
        for _ in 0..10_000 {
            if !self.seen(stream).is_waiting() || !self.is_ticking() {
                return;
            }
            self.advance(1);
        }
        panic!("it waits for ever");
    }

    /// A whole exchange with this answer, if the request gets as far.
    fn exchange(&mut self, request: &Request, response: &Response) -> Seen {
        let stream = self.upload(request);
        self.served(stream);
        if self.seen(stream).headers.is_some() {
            self.respond(stream, response);
        }
        let seen = self.seen(stream);
        self.close(stream);
        seen
    }

    /// A metric of mode `sign`.
    fn sign(&mut self, what: &str) -> i64 {
        self.advance(PUBLISH_MS);
        self.metric(&format!("sentry_edge_mirror.sign.{what}"))
    }

    /// Writes: received, signed, denied and aborted; they add up, and so does what became of the signed ones.
    fn writes(&mut self) -> [i64; 4] {
        self.advance(PUBLISH_MS);
        let books = sign_books(|what| self.metric(&format!("sentry_edge_mirror.sign.{what}")));
        [books.received, books.signed, books.denied, books.aborted]
    }

    /// A metric of the leg. Counters are published every 100 ms at most, so that much passes first.
    fn rum(&mut self, what: &str) -> i64 {
        self.advance(PUBLISH_MS);
        self.metric(&format!("sentry_edge_mirror.rum.{what}"))
    }

    /// A metric of the other leg.
    fn sls(&mut self, what: &str) -> i64 {
        self.advance(PUBLISH_MS);
        self.metric(&format!("sentry_edge_mirror.sls.{what}"))
    }

    /// The SLS leg's logs as (captured, delivered, failed, dropped, pending), which add up.
    fn logs(&mut self) -> [i64; 5] {
        self.advance(PUBLISH_MS);
        let books = ["captured", "delivered", "failed", "dropped", "pending"]
            .map(|what| self.metric(&format!("sentry_edge_mirror.sls.{what}")));
        let [captured, delivered, failed, dropped, pending] = books;
        assert_eq!(
            captured,
            delivered + failed + dropped + pending,
            "{books:?}"
        );
        books
    }

    /// The one call since the last time.
    fn call(&mut self) -> Call {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.into_iter().next().unwrap()
    }

    /// Sends an envelope of project 42 and gives its call.
    fn envelope(&mut self) -> Call {
        self.send(&envelope(42));
        self.advance(5);
        self.call()
    }

    /// Counters and gauges as (captured, delivered, failed, dropped, pending).
    fn books(&mut self) -> [i64; 5] {
        self.advance(PUBLISH_MS);
        ["captured", "delivered", "failed", "dropped", "pending"]
            .map(|what| self.metric(&format!("sentry_edge_mirror.rum.{what}")))
    }

    /// Every exchange has one outcome, and the gauges agree.
    fn check_books(&mut self) {
        let [captured, delivered, failed, dropped, pending] = self.books();
        let gauge = |what: &str| self.metric(&format!("sentry_edge_mirror.rum.{what}"));
        assert_eq!(
            captured,
            delivered + failed + dropped + pending,
            "captured {captured}, delivered {delivered}, failed {failed}, dropped {dropped}, pending {pending}"
        );
        assert!((0..=pending).contains(&gauge("in_flight")));
        let waits = pending + gauge("queued");
        assert_eq!(waits > 0, gauge("pending_bytes") > 0);
    }
}

/// How late a counter may be.
pub const PUBLISH_MS: u64 = 100;

/// The configuration of the scenarios: 42 and 43 mapped, everything else by default, 7 excluded.
pub fn config(extra: &str) -> String {
    config_with_rum("", extra)
}

pub fn config_with_rum(rum: &str, extra: &str) -> String {
    format!(
        r#"{{"host": "HOST", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com",
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}, "43": {{"workspace": "ws", "service_id": "api@43"}}}},
            "default": {{"workspace": "ws", "service_id": "rest@0"}}, "exclude": [7] {rum}}} {extra}}}"#
    )
}

/// The profile's own `host`.
pub fn for_host(profile: Profile, config: &str) -> String {
    for_host_with(profile, 1, config)
}

/// The profile's own `host`, and so many lanes.
pub fn for_host_with(profile: Profile, lanes: u8, config: &str) -> String {
    let host = match (profile, lanes) {
        (Profile::Envoy, _) => r#""envoy""#,
        (Profile::Nginx, 1) => r#""nginx""#,
        (Profile::Nginx, lanes) => &format!(r#""nginx", "lanes": {lanes}"#),
    };
    config.replace(r#""HOST""#, host)
}

/// The configuration of a lane.
pub fn lane(number: u8) -> String {
    format!(r#"{{"host": "nginx", "lane": {number}}}"#)
}

pub fn envelope(project: u64) -> Request {
    Request::post(&format!("/api/{project}/envelope/")).chunk(b"{}\n{\"type\":\"event\"}\n{}\n")
}

/// The scenarios' projects, in mode `rewrite`.
pub fn rewriting(extra: &str) -> String {
    config_with_rum("", &format!(r#", "mode": "rewrite" {extra}"#))
        .replace(r#""upstream": "rum.test:80", "#, "")
}
