//! Mode `tee`: the request always goes on at once, and a copy of it is made.

use super::arrival::arrive;
use super::{Mode, Step, Stream};
use crate::worker::Worker;
use crate::worker::collect::Ticket;
use crate::worker::primary::{Waiting, is_refusal};

/// A request that is watched.
#[derive(Debug)]
pub(crate) enum Tee {
    /// Nothing of it is copied, or nothing more.
    Passing,
    /// It is being copied. `answered`: the primary has answered it already.
    Copying { exchange: Ticket, answered: bool },
    /// Copies of it wait for the primary's answer.
    Unanswered(Vec<Waiting>),
}

impl Mode for Tee {
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step) {
        let begun = arrive(worker, stream, |worker, plan, head| {
            worker.begin(plan, head)
        });
        let mut tee = Self::of(begun.flatten(), false);
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
            && let Self::Copying { exchange, answered } = *self
        {
            let exchange = worker.chunk(exchange, size, |body| stream.append_body(size, body));
            *self = Self::of(exchange, answered);
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
        match *self {
            Self::Unanswered(ref mut copies) => {
                let copies = std::mem::take(copies);
                *self = Self::Passing;
                let refused = is_refusal(stream.status());
                worker.primary_answered(&copies, refused, stream.now());
            }
            Self::Copying { exchange, .. } if worker.awaits_answer(exchange) => {
                let goes_on = if is_refusal(stream.status()) {
                    worker.refused_early(exchange)
                } else {
                    Some(exchange)
                };
                *self = Self::of(goes_on, true);
            }
            Self::Copying { .. } | Self::Passing => {}
        }
    }

    fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        match std::mem::replace(self, Self::Passing) {
            Self::Passing => {}
            // Without a response nobody knows whether it was refused.
            Self::Unanswered(copies) => worker.primary_answered(&copies, false, stream.now()),
            Self::Copying { exchange, .. } if was_complete(worker, stream, exchange) => {
                worker.end(exchange, stream.now());
            }
            Self::Copying { exchange, .. } => worker.abort(exchange),
        }
    }
}

impl Tee {
    fn of(exchange: Option<Ticket>, answered: bool) -> Self {
        match exchange {
            Some(exchange) => Self::Copying { exchange, answered },
            None => Self::Passing,
        }
    }

    /// The headers end the request. If they announce a body all the same, the request is malformed. Envoy refuses it, but
    /// 1.36 does so only after its filters have seen it (HTTP/2, END_STREAM with `content-length: 2`). The primary never gets
    /// it.
    fn end_of_headers(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let Self::Copying { exchange, .. } = *self else {
            return;
        };
        let announced = worker.exchange(exchange);
        if announced.is_some_and(|announced| announced.announces_more_than(0)) {
            *self = Self::Passing;
            worker.abort(exchange);
        } else {
            self.end(worker, stream);
        }
    }

    fn end(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        if let Self::Copying { exchange, answered } = *self {
            let waits = worker.end_with(exchange, stream.now(), answered);
            *self = if waits.is_empty() {
                Self::Passing
            } else {
                Self::Unanswered(waits)
            };
        }
    }
}

/// nginx never reports that headers end a request, and has no body callback for a request without a body.
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
