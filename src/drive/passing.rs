//! A request in a simulated proxy.

use super::{Driver, Header, owned};
use crate::header_list::HeaderList;
use crate::header_map::HeaderMap;
use crate::meter::{Meter, TICK};
use crate::modes::{self, Flow, Request};
use crate::time::Millis;
use crate::worker::Worker;
use crate::worker::signing::LocalAnswer;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a proxy may refuse to do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Providing its headers.
    Headers,
    /// Replacing its headers.
    Replace,
    /// Providing its body.
    Body,
    /// Answering it.
    Answer,
    /// Letting it go on from a tick.
    Continue,
    /// Letting a tick act on it.
    Enter,
}

/// A request in a simulated proxy.
#[derive(Debug, Default)]
pub struct Passing {
    request: Request,
    /// What the modes see of it, and what they did to it.
    pub stream: Stream,
}

/// What the modes see of a request, and what they did to it.
#[derive(Debug, Default)]
pub struct Stream {
    /// The proxy's ID for it.
    pub id: u32,
    /// The headers as they are now.
    pub headers: Vec<Header>,
    /// The client's address, `ip:port`.
    pub peer: Option<Vec<u8>>,
    /// The response's headers.
    pub response: Vec<Header>,
    /// Whether it goes on.
    pub goes_on: bool,
    /// The part of its body that went on.
    pub passed: Vec<u8>,
    /// Whether all of it has come.
    pub ended: bool,
    /// The answer it was given here.
    pub answered: Option<LocalAnswer>,
    /// What the proxy has of the body: all of it, or the last piece if the request goes on.
    body: Vec<u8>,
    in_tick: bool,
    now: Millis,
    /// The driver's refusals, while a callback runs.
    refusals: RefCell<BTreeMap<Refusal, u32>>,
}

impl Passing {
    /// A request with these headers; the methods make its callbacks.
    #[must_use]
    pub fn new(id: u32, headers: Vec<Header>) -> Self {
        let stream = Stream {
            id,
            headers,
            ..Stream::default()
        };
        Self {
            request: Request::default(),
            stream,
        }
    }

    /// Its headers arrive; with `end` they are all of it.
    pub fn headers(&mut self, driver: &mut Driver, end: bool) {
        self.stream.ended = end;
        self.callback(driver, |request, worker, stream| {
            request.headers(worker, stream, end)
        });
    }

    /// A piece of its body arrives.
    pub fn piece(&mut self, driver: &mut Driver, piece: &[u8], end: bool) {
        self.stream.body.extend_from_slice(piece);
        self.stream.ended = end;
        let size = self.stream.body.len();
        self.callback(driver, |request, worker, stream| {
            request.body(worker, stream, size, end)
        });
    }

    /// Its trailers arrive.
    pub fn trailers(&mut self, driver: &mut Driver) {
        self.stream.ended = true;
        self.callback(driver, |request, worker, stream| {
            request.trailers(worker, stream)
        });
    }

    /// The headers of its response arrive.
    pub fn respond(&mut self, driver: &mut Driver, response: Vec<Header>) {
        self.stream.response = response;
        self.callback(driver, |request, worker, stream| {
            request.response(worker, stream);
            Flow::Hold
        });
    }

    /// It is over.
    pub fn gone(&mut self, driver: &mut Driver) {
        self.callback(driver, |request, worker, stream| {
            request.gone(worker, stream);
            Flow::Hold
        });
    }

    fn callback(
        &mut self,
        driver: &mut Driver,
        run: impl FnOnce(&mut Request, &mut Worker, &mut Stream) -> Flow,
    ) {
        self.stream.now = driver.written.now;
        self.stream.refusals.swap(&driver.refusals);
        if run(&mut self.request, &mut driver.worker, &mut self.stream) == Flow::Continue {
            self.stream.go_on();
        }
        self.stream.refusals.swap(&driver.refusals);
        driver.settle();
    }

    fn turn(&mut self, driver: &mut Driver, meter: &mut Meter) {
        self.stream.now = driver.written.now;
        self.stream.refusals.swap(&driver.refusals);
        if self.stream.is_refused(Refusal::Enter) {
            self.request.stuck(&mut driver.worker);
        } else {
            self.stream.in_tick = true;
            self.request
                .turn(&mut driver.worker, &mut self.stream, meter);
            self.stream.in_tick = false;
        }
        self.stream.refusals.swap(&driver.refusals);
    }
}

/// What a tick does first: the waiting requests take their turns.
pub fn turns(driver: &mut Driver, requests: &mut BTreeMap<u32, Passing>) {
    let now = driver.written.now;
    if !driver.worker.has_turns() || !driver.worker.turns_begin(now) {
        return;
    }
    let mut meter = Meter::new(TICK);
    while let Some(id) = driver.worker.next_turn(&mut meter) {
        if let Some(request) = requests.get_mut(&id) {
            request.turn(driver, &mut meter);
        }
    }
    driver.worker.turns_end(now, now);
}

impl Stream {
    fn go_on(&mut self) {
        self.goes_on = true;
        self.passed.append(&mut self.body);
    }

    fn is_refused(&self, what: Refusal) -> bool {
        let mut refusals = self.refusals.borrow_mut();
        let left = refusals.get_mut(&what).filter(|left| **left > 0);
        let is_refused = left.is_some();
        if let Some(left) = left {
            *left = left.saturating_sub(1);
        }
        is_refused
    }

    fn unless(&self, refused: Refusal) -> Option<()> {
        (!self.is_refused(refused)).then_some(())
    }
}

impl modes::Stream for Stream {
    fn id(&self) -> u32 {
        self.id
    }

    fn now(&self) -> Millis {
        self.now
    }

    fn headers(&self) -> HeaderMap {
        let mut list = HeaderList::default();
        if !self.is_refused(Refusal::Headers) {
            for (name, value) in &self.headers {
                list.push(name, value);
            }
        }
        HeaderMap::from(&list)
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        match path {
            "source\0address" => self.peer.clone(),
            "ngx\0request_uri" => {
                let mut headers = self.headers.iter();
                let (_, target) = headers.find(|(name, _)| name == b":path")?;
                Some(target.clone())
            }
            "ngx\0server_protocol" => Some(b"HTTP/1.1".to_vec()),
            _ => None,
        }
    }

    fn append_body(&mut self, size: usize, body: &mut Vec<u8>) -> Option<()> {
        self.unless(Refusal::Body)?;
        body.extend_from_slice(self.body.get(..size)?);
        Some(())
    }

    fn body(&mut self, start: usize, size: usize) -> Option<Vec<u8>> {
        self.unless(Refusal::Body)?;
        let (_, rest) = self.body.split_at_checked(start)?;
        Some(rest.get(..size)?.to_vec())
    }

    fn replace_headers(&mut self, headers: &HeaderList) -> Option<()> {
        self.unless(Refusal::Replace)?;
        if self.in_tick {
            self.unless(Refusal::Continue)?;
        }
        self.headers = headers.iter().map(owned).collect();
        if self.in_tick {
            self.go_on();
        }
        Some(())
    }

    fn replace_header(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        self.unless(Refusal::Replace)?;
        let same = |own: &&mut Header| own.0.eq_ignore_ascii_case(name);
        match self.headers.iter_mut().find(same) {
            Some((_, own)) => *own = value.to_vec(),
            None => self.headers.push((name.to_vec(), value.to_vec())),
        }
        Some(())
    }

    fn let_leave(&mut self, _: &[u8]) -> Option<bool> {
        Some(true)
    }

    fn may_be_answered(&self) -> bool {
        true
    }

    fn answer(&mut self, answer: &LocalAnswer) -> bool {
        let done = !self.is_refused(Refusal::Answer);
        if done {
            self.answered = Some(answer.clone());
        }
        done
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        let same = |own: &&Header| own.0.eq_ignore_ascii_case(name.as_bytes());
        self.response
            .iter()
            .find(same)
            .map(|(_, value)| value.clone())
    }
}
