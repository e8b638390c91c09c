//! How long bodies look in a failed assertion: size and beginning, as text.

use std::fmt;

use super::dispatch::Call;
use super::exchange::Passed;
use super::request::{Request, Response};

/// Enough to recognise an envelope by its first line.
const SHOWN: usize = 120;

struct Body<'a>(&'a [u8]);

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        let more = if shown.len() < self.0.len() {
            "..."
        } else {
            ""
        };
        write!(
            f,
            "{} bytes \"{}{more}\"",
            self.0.len(),
            shown.escape_ascii()
        )
    }
}

fn bodies(chunks: &[Vec<u8>]) -> Vec<Body<'_>> {
    chunks.iter().map(|chunk| Body(chunk)).collect()
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("token", &self.token)
            .field("root", &self.root)
            .field("context", &self.context)
            .field("callback", &self.callback)
            .field("upstream", &self.upstream)
            .field("headers", &self.headers)
            .field("body", &Body(&self.body))
            .field("trailers", &self.trailers)
            .field("timeout_ms", &self.timeout_ms)
            .field("at_ms", &self.at_ms)
            .finish()
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed")
            .field("headers", &self.headers)
            .field("chunks", &bodies(&self.chunks))
            .field("trailers", &self.trailers)
            .field("ended", &self.ended)
            .finish()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("headers", &self.headers)
            .field("chunks", &bodies(&self.chunks))
            .field("trailers", &self.trailers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("headers", &self.headers)
            .field("chunks", &bodies(&self.chunks))
            .field("trailers", &self.trailers)
            .finish()
    }
}
