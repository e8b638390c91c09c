//! Mode `tee`: the request goes on at once, whatever happens, and a copy of it is made.

use super::arrival::arrive;
use super::{Mode, Step, Stream};
use crate::delivery::outbox::Id;
use crate::worker::Worker;
use crate::worker::collect::Ticket;
use crate::worker::primary::is_refusal;

/// A request that is watched.
#[derive(Debug)]
pub(crate) struct Tee {
    /// The exchange, while it is being copied.
    exchange: Option<Ticket>,
    /// Its copy, while that waits for the primary's answer.
    unanswered: Option<Id>,
    /// The primary has answered before the request was complete.
    answered: bool,
}

impl Mode for Tee {
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step) {
        let begun = arrive(worker, stream, |worker, plan, head| {
            worker.begin(plan, head)
        });
        let mut tee = Self {
            exchange: begun.flatten(),
            unanswered: None,
            answered: false,
        };
        if end {
            tee.end_of_headers(worker, stream);
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

    fn response(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        if let Some(copy) = self.unanswered.take() {
            let refused = is_refusal(stream.status());
            worker.primary_answered(copy, refused, stream.now());
        } else if let Some(exchange) = self.exchange
            && worker.awaits_answer(exchange)
        {
            self.answered = true;
            if is_refusal(stream.status()) {
                self.exchange = worker.refused_early(exchange);
            }
        }
    }

    fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        if let Some(copy) = self.unanswered.take() {
            // Without an answer nobody knows that it was refused.
            worker.primary_answered(copy, false, stream.now());
        }
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
    /// The headers are all of it. If they announce a body all the same, the request is malformed: Envoy refuses it, but
    /// 1.36 does so only after its filters have seen it (HTTP/2, END_STREAM with `content-length: 2`). The primary never
    /// gets it.
    fn end_of_headers(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let Some(ticket) = self.exchange else { return };
        let exchange = worker.exchange(ticket);
        if exchange.is_some_and(|exchange| exchange.announces_more_than(0)) {
            self.exchange = None;
            worker.abort(ticket);
        } else {
            self.end(worker, stream);
        }
    }

    fn end(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        self.unanswered = worker.end_with(exchange, stream.now(), self.answered);
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
