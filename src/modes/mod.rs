//! What happens to a request in each mode.
//!
//! [`Request`] is what is known of a request between the proxy's callbacks. Each mode is a [`Mode`]: it answers a callback
//! with a [`Step`], and [`Request`] carries out the steps on the [`Stream`] until the request may go on or has to wait. So
//! modes and proxies do not know each other: a proxy implements [`Stream`] and passes on its callbacks.

mod arrival;
mod rewrite;
mod sign;
mod stream;
mod tee;

pub use stream::Stream;

use crate::config;
use crate::header_list::HeaderList;
use crate::meter::Meter;
use crate::worker::Worker;
use crate::worker::signing::LocalAnswer;
use rewrite::Rewrite;
use sign::Sign;
use tee::Tee;

/// What the proxy should do with a request.
#[derive(Debug)]
pub(crate) enum Step {
    /// Let the request, or this piece of it, go on.
    Pass,
    /// Hold it.
    Wait,
    /// Replace its headers, then ask [`Mode::replaced`].
    ReplaceHeaders(Replacement),
    /// Answer it, then ask [`Mode::answered`].
    Answer(LocalAnswer),
}

/// New headers for a request.
#[derive(Debug)]
pub(crate) enum Replacement {
    /// These headers and no others.
    All(HeaderList),
    /// Each replaces those of the same name. The target comes last: after it the request may leave.
    Each(HeaderList),
}

/// What the callback tells the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The request goes on.
    Continue,
    /// The proxy holds it.
    Hold,
}

/// A request in one of the modes. The default methods suit a mode that only watches.
pub(crate) trait Mode: Sized {
    /// The headers are complete. With `end`, so is the request.
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step);

    /// The proxy can hand out `size` bytes of the body.
    fn body(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        end: bool,
    ) -> Step;

    /// The trailers arrived: the request is complete.
    fn trailers(&mut self, worker: &mut Worker, stream: &mut impl Stream) -> Step;

    /// Whether the headers were replaced.
    fn replaced(&mut self, _: &mut Worker, _: &mut impl Stream, _: bool) -> Step {
        Step::Wait
    }

    /// Whether the request was answered.
    fn answered(&mut self, _: &mut Worker, _: &mut impl Stream, _: bool) -> Step {
        Step::Wait
    }

    /// The headers of the response, from the target or from the proxy itself.
    fn response(&mut self, _: &mut Worker, _: &mut impl Stream) {}

    /// The stream is over, whether or not the request was complete. Nothing comes after this.
    fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream);
}

/// A request between the proxy's callbacks.
#[derive(Debug, Default)]
pub struct Request(State);

#[derive(Debug, Default)]
enum State {
    /// Its headers have not arrived.
    #[default]
    New,
    Tee(Tee),
    Rewrite(Box<Rewrite>),
    Sign(Box<Sign>),
}

/// Carries out a request's steps. This terminates: a mode answers a failure with a different step, and uses each at most once.
fn carry_out(
    mode: &mut impl Mode,
    worker: &mut Worker,
    stream: &mut impl Stream,
    mut step: Step,
) -> Flow {
    loop {
        step = match step {
            Step::Pass => return Flow::Continue,
            Step::Wait => return Flow::Hold,
            Step::ReplaceHeaders(headers) => {
                let done = replace(worker, stream, &headers).is_some();
                mode.replaced(worker, stream, done)
            }
            Step::Answer(_) if !stream.may_be_answered() => return Flow::Continue,
            Step::Answer(answer) => {
                let done = stream.answer(&answer);
                mode.answered(worker, stream, done)
            }
        };
    }
}

fn replace(worker: &mut Worker, stream: &mut impl Stream, replacement: &Replacement) -> Option<()> {
    match replacement {
        Replacement::All(headers) => stream.replace_headers(headers),
        Replacement::Each(headers) => {
            for (name, value) in headers.iter() {
                stream.replace_header(name, value)?;
            }
            if !stream.let_leave(headers.get(b":path")?)? {
                worker.unguarded();
            }
            Some(())
        }
    }
}

/// What to do with a request of this mode when nothing is known about it. On nginx nothing is held: the location itself
/// answers whatever was not put in place.
#[must_use]
pub fn unknown(config: &config::Config) -> Flow {
    if config.mode != config::Mode::Tee && config.host.traits().answers_requests {
        Flow::Hold
    } else {
        Flow::Continue
    }
}

impl Request {
    /// The headers are complete. With `end`, so is the request.
    pub fn headers(&mut self, worker: &mut Worker, stream: &mut impl Stream, end: bool) -> Flow {
        // No host reports the headers twice. If one does, nothing goes uncounted.
        self.gone(worker, stream);
        match worker.config().mode {
            config::Mode::Tee => {
                let (mut tee, step) = Tee::headers(worker, stream, end);
                let flow = carry_out(&mut tee, worker, stream, step);
                self.0 = State::Tee(tee);
                flow
            }
            config::Mode::Rewrite { .. } => {
                let (mut rewrite, step) = Rewrite::headers(worker, stream, end);
                let flow = carry_out(&mut rewrite, worker, stream, step);
                self.0 = State::Rewrite(Box::new(rewrite));
                flow
            }
            config::Mode::Sign => {
                let (mut sign, step) = Sign::headers(worker, stream, end);
                let flow = carry_out(&mut sign, worker, stream, step);
                self.0 = State::Sign(Box::new(sign));
                flow
            }
        }
    }

    /// The proxy can hand out `size` bytes of the body: only the new piece if the request goes on, all of it if the request
    /// is held.
    pub fn body(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        end: bool,
    ) -> Flow {
        match &mut self.0 {
            State::New => unknown(worker.config()),
            State::Tee(tee) => {
                let step = tee.body(worker, stream, size, end);
                carry_out(tee, worker, stream, step)
            }
            State::Rewrite(rewrite) => {
                let step = rewrite.body(worker, stream, size, end);
                carry_out(&mut **rewrite, worker, stream, step)
            }
            State::Sign(sign) => {
                let step = sign.body(worker, stream, size, end);
                carry_out(&mut **sign, worker, stream, step)
            }
        }
    }

    /// The trailers arrived: the request is complete.
    pub fn trailers(&mut self, worker: &mut Worker, stream: &mut impl Stream) -> Flow {
        match &mut self.0 {
            State::New => unknown(worker.config()),
            State::Tee(tee) => {
                let step = tee.trailers(worker, stream);
                carry_out(tee, worker, stream, step)
            }
            State::Rewrite(rewrite) => {
                let step = rewrite.trailers(worker, stream);
                carry_out(&mut **rewrite, worker, stream, step)
            }
            State::Sign(sign) => {
                let step = sign.trailers(worker, stream);
                carry_out(&mut **sign, worker, stream, step)
            }
        }
    }

    /// The headers of the response, from the target or from the proxy itself.
    pub fn response(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        match &mut self.0 {
            State::New => {}
            State::Tee(tee) => tee.response(worker, stream),
            State::Rewrite(rewrite) => rewrite.response(worker, stream),
            State::Sign(sign) => sign.response(worker, stream),
        }
    }

    /// In a tick: the turn of a request that waits for one, see [`Worker::next_turn`].
    pub fn turn(&mut self, worker: &mut Worker, stream: &mut impl Stream, meter: &mut Meter) {
        if let State::Sign(sign) = &mut self.0 {
            let step = sign.turn(worker, stream, meter);
            carry_out(&mut **sign, worker, stream, step);
        }
    }

    /// The proxy does not let ticks act on the stream. Nobody can answer the request: it is over, and waits.
    pub fn stuck(&mut self, worker: &mut Worker) {
        if let State::Sign(sign) = &mut self.0 {
            sign.stuck(worker);
        }
    }

    /// The stream is over, whether or not the request was complete. May be called more than once.
    pub fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        // Callbacks that still follow find nothing known.
        match std::mem::take(&mut self.0) {
            State::New => {}
            State::Tee(mut tee) => tee.gone(worker, stream),
            State::Rewrite(mut rewrite) => rewrite.gone(worker, stream),
            State::Sign(mut sign) => sign.gone(worker, stream),
        }
    }

    /// Its headers are those of the copy, and it may go on without this filter.
    #[must_use]
    pub fn is_rewritten(&self) -> bool {
        matches!(&self.0, State::Rewrite(rewrite) if rewrite.is_rewritten())
    }
}
