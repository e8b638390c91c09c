//! Mode `sign`: a write is held until it is complete and signed, or answered here.
//!
//! Whatever fails, a request never goes on unsigned: it waits and is answered.

use super::{Mode, Replacement, Step, Stream};
use crate::header_map::HeaderMap;
use crate::meter::Meter;
use crate::worker::Worker;
use crate::worker::signing::{LocalAnswer, REQUEST, Write};
use std::task::Poll;

/// Where a request is.
#[derive(Debug)]
enum Stage {
    /// It is held, with its headers.
    Held(HeaderMap),
    /// It went on, or is about to go on.
    Signed,
    /// It was answered here, or is over.
    Over,
}

/// A write to be signed.
#[derive(Debug)]
pub(crate) struct Sign {
    stage: Stage,
    /// `None`: it was answered at once.
    write: Option<Write>,
}

impl Mode for Sign {
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step) {
        let map = stream.headers();
        match worker.write_begins(stream.id(), map.iter(), map.size()) {
            Ok(write) => {
                let mut sign = Self {
                    stage: Stage::Held(map),
                    write: Some(write),
                };
                let step = if end {
                    sign.conclude(worker, stream, &mut Meter::new(REQUEST))
                } else {
                    Step::Wait
                };
                (sign, step)
            }
            Err(answer) => {
                let sign = Self {
                    stage: Stage::Over,
                    write: None,
                };
                (sign, Step::Answer(answer))
            }
        }
    }

    fn body(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        end: bool,
    ) -> Step {
        let (Stage::Held(_), Some(write)) = (&self.stage, &mut self.write) else {
            return Step::Wait;
        };
        let mut meter = Meter::new(REQUEST);
        // The proxy holds the whole body and reports how large it is by now.
        let read = |start, size| stream.body(start, size);
        match worker.write_grows(write, size, read, &mut meter) {
            Ok(()) if end => self.conclude(worker, stream, &mut meter),
            Ok(()) => Step::Wait,
            Err(answer) => self.deny(answer),
        }
    }

    fn trailers(&mut self, worker: &mut Worker, stream: &mut impl Stream) -> Step {
        self.conclude(worker, stream, &mut Meter::new(REQUEST))
    }

    fn replaced(&mut self, worker: &mut Worker, _: &mut impl Stream, done: bool) -> Step {
        let Some(write) = &mut self.write else {
            return Step::Wait;
        };
        if done {
            worker.write_left(write);
            return Step::Pass;
        }
        let answer = worker.write_stuck(write);
        self.deny(answer)
    }

    fn response(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let (Stage::Held(_) | Stage::Signed, Some(write)) = (&self.stage, &mut self.write) else {
            return;
        };
        let text = |name: &str| String::from_utf8(stream.response_header(name)?).ok();
        worker.write_answered(write, stream.status(), &text, || stream.now());
    }

    fn gone(&mut self, worker: &mut Worker, _: &mut impl Stream) {
        let (Stage::Held(_) | Stage::Signed, Some(write)) = (&self.stage, &mut self.write) else {
            return;
        };
        worker.write_gone(write);
        self.stage = Stage::Over;
    }
}

impl Sign {
    /// In a tick: the turn of a write that waits for one.
    pub(super) fn turn(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        meter: &mut Meter,
    ) -> Step {
        let (Stage::Held(_), Some(write)) = (&self.stage, &mut self.write) else {
            return Step::Wait;
        };
        let read = |start, size| stream.body(start, size);
        match worker.write_turn(write, read, meter) {
            Ok(true) => self.conclude(worker, stream, meter),
            Ok(false) => Step::Wait,
            Err(answer) => self.deny(answer),
        }
    }

    /// The proxy does not let ticks act on it. Nobody can answer it, so it waits.
    pub(super) fn stuck(&mut self, worker: &mut Worker) {
        if let (Stage::Held(_), Some(write)) = (&self.stage, &mut self.write) {
            worker.write_stuck(write);
            self.stage = Stage::Over;
        }
    }

    /// The request is complete: it is signed, answered, or waits for its turn.
    fn conclude(&mut self, worker: &mut Worker, stream: &impl Stream, meter: &mut Meter) -> Step {
        // No host ends a request twice. If one does, its response is still counted.
        let (Stage::Held(map), Some(write)) = (&self.stage, &mut self.write) else {
            return Step::Wait;
        };
        match worker.write_ends(write, map.iter(), stream.now(), meter) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(headers)) => {
                self.stage = Stage::Signed;
                Step::ReplaceHeaders(Replacement::All(headers))
            }
            Poll::Ready(Err(answer)) => self.deny(answer),
        }
    }

    /// If the host refuses even this, the request keeps waiting, which is better than passing it on.
    fn deny(&mut self, answer: LocalAnswer) -> Step {
        self.stage = Stage::Over;
        Step::Answer(answer)
    }
}
