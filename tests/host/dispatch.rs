//! Calls that the guest dispatches, and the answers that a test gives them.
//!
//! Hosts deliver an answer to the ROOT context of the caller. A test may also do what hosts must not: answer twice,
//! after the caller is gone, or with a token that was never given out.

use super::clock::MILLISECOND;
use super::headers::Headers;
use super::instance::Host;
use super::options::Profile;
use super::state::ContextId;
use super::trap::Trap;

/// A dispatched call that the host accepted.
#[derive(Clone)]
pub struct Call {
    pub token: u32,
    /// Who gets the answer.
    pub root: ContextId,
    /// The context that was running; differs from `root` when an http context dispatched.
    pub context: ContextId,
    /// The callback that was running.
    pub callback: &'static str,
    /// Envoy cluster, or `host:port` on nginx.
    pub upstream: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    pub timeout_ms: u32,
    /// When, in milliseconds since the start ([`Host::now_ms`]).
    pub at_ms: u64,
}

impl Call {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.text(name)
    }

    pub fn path(&self) -> String {
        self.header(":path").unwrap_or_default()
    }
}

/// An answer to a call.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    /// nginx: what `:dispatch_status` says.
    pub dispatch_status: &'static str,
    /// The body ends before the size that the callback was told: its getter then refuses (nginx).
    pub cut_short: bool,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        let headers = Headers::from_iter([(":status", status.to_string())]);
        Self {
            headers,
            dispatch_status: "ok",
            ..Self::default()
        }
    }

    /// No answer came: 0 headers. Envoy reports a reset connection so.
    pub fn empty() -> Self {
        Self::failed("broken connection")
    }

    /// No answer came, with nginx's reason: `timeout`, `broken connection`, `tls handshake failure`,
    /// `resolver failure`, `reader failure`.
    pub fn failed(dispatch_status: &'static str) -> Self {
        Self {
            dispatch_status,
            ..Self::default()
        }
    }

    /// What this host gives when the call's timeout passes: Envoy's router answers 504 by itself.
    pub fn timeout(profile: Profile) -> Self {
        match profile {
            Profile::Envoy => Self::status(504)
                .header("content-type", "text/plain")
                .body("upstream request timeout"),
            Profile::Nginx => Self::failed("timeout"),
        }
    }

    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    pub fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_vec();
        self
    }

    pub fn cut_short(mut self) -> Self {
        self.cut_short = true;
        self
    }
}

/// A call that the host still waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) root: ContextId,
    /// Monotonic nanoseconds.
    pub(super) deadline: u64,
}

impl Flight {
    pub(super) fn new(root: ContextId, now: u64, timeout_ms: u32) -> Self {
        // A timeout of 0 is none.
        let deadline = match timeout_ms {
            0 => u64::MAX,
            ms => now + u64::from(ms) * MILLISECOND,
        };
        Self { root, deadline }
    }
}

impl Host {
    /// All calls since the last [`Host::take_calls`], answered or not.
    pub fn calls(&self) -> &[Call] {
        &self.state().calls
    }

    /// Hands out the recorded calls and forgets them; long runs need this to keep memory flat.
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.state_mut().calls)
    }

    /// The one call that was made (since the last `take_calls`); another number of calls fails the test.
    pub fn only_call(&self) -> Call {
        match self.calls() {
            [call] => call.clone(),
            calls => panic!(
                "expected one dispatched call, got {}: {calls:#?}",
                calls.len()
            ),
        }
    }

    /// Tokens of the calls that the host still waits for, oldest first.
    pub fn in_flight(&self) -> Vec<u32> {
        self.state().in_flight.keys().copied().collect()
    }

    /// Answers a call.
    pub fn reply(&mut self, token: u32, reply: &Reply) {
        self.try_reply(token, reply)
            .unwrap_or_else(|trap| trap.raise());
    }

    /// Answers a call with a failure: 0 headers.
    pub fn reply_empty(&mut self, token: u32) {
        self.reply(token, &Reply::empty());
    }

    /// Answers a call. A token that is not in flight (answered before, or never given out) is delivered to the newest
    /// root context: no host does that, and the guest must survive it.
    pub fn try_reply(&mut self, token: u32, reply: &Reply) -> Result<(), Trap> {
        let root = match self.state().in_flight.get(&token) {
            Some(flight) => flight.root,
            None => self.current_root(),
        };
        self.try_reply_to(root, token, reply)
    }

    /// Answers a call to the context of the test's choice.
    pub fn try_reply_to(
        &mut self,
        context: ContextId,
        token: u32,
        reply: &Reply,
    ) -> Result<(), Trap> {
        let profile = self.profile();
        let state = self.state_mut();
        state.in_flight.remove(&token);
        state.reply = Some(reply.clone());
        let size = reply.body.len() + usize::from(reply.cut_short);
        // nginx counts the lines that were received: without the status.
        let counted =
            |(name, _): &(&[u8], &[u8])| profile == Profile::Envoy || !name.starts_with(b":");
        let sizes = [
            reply.headers.iter().filter(counted).count(),
            size,
            reply.trailers.len(),
        ]
        .map(|size| self.state().told(size));
        let result = self.call(
            "proxy_on_http_call_response",
            context,
            &[context, token, sizes[0], sizes[1], sizes[2]],
        );
        self.state_mut().reply = None;
        result?;
        self.settle()
    }

    /// The timeout of a call passes.
    pub fn time_out(&mut self, token: u32) -> Result<(), Trap> {
        let reply = Reply::timeout(self.profile());
        self.try_reply(token, &reply)
    }
}
