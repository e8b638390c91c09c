//! Mode `tee`: the request goes on at once, whatever happens, and a copy of it is made.

use super::arrival::arrive;
use super::{Mode, Step, Stream};
use crate::worker::Worker;
use crate::worker::collect::Ticket;

/// A request that is watched.
#[derive(Debug)]
pub(crate) struct Tee {
    /// The exchange, while it is being copied.
    exchange: Option<Ticket>,
}

impl Mode for Tee {
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step) {
        let begun = arrive(worker, stream, |worker, plan, head| {
            worker.begin(plan, head)
        });
        let mut tee = Self {
            exchange: begun.flatten(),
        };
        if end {
            tee.end(worker, stream);
        }
        (tee, Step::Pass)
    }

    fn body(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        end: bool,
    ) -> Step {
        if size > 0
            && let Some(exchange) = self.exchange
        {
            self.exchange = worker.chunk(exchange, size, |body| stream.append_body(size, body));
        }
        if end {
            self.end(worker, stream);
        }
        Step::Pass
    }

    fn trailers(&mut self, worker: &mut Worker, stream: &mut impl Stream) -> Step {
        self.end(worker, stream);
        Step::Pass
    }

    fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        if was_complete(worker, stream, exchange) {
            worker.end(exchange, stream.now());
        } else {
            worker.abort(exchange);
        }
    }
}

impl Tee {
    fn end(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        if let Some(exchange) = self.exchange.take() {
            worker.end(exchange, stream.now());
        }
    }
}

/// nginx never says that headers end a request, and has no body callback for a request without a body.
fn was_complete(worker: &Worker, stream: &impl Stream, ticket: Ticket) -> bool {
    let Some(exchange) = worker.exchange(ticket) else {
        return false;
    };
    let is_http_1 = || {
        let protocol = stream.property("ngx\0server_protocol");
        protocol.is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
    };
    !worker.config().host.traits().tells_empty_bodies
        && !exchange.has_body()
        && (exchange.has_no_body() || exchange.announces_no_body() && is_http_1())
}
