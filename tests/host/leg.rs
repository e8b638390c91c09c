//! One direction of a stream: how pieces pass through the filter.
//!
//! Envoy (`Context::decodeData` and the filter manager): a headers callback that pauses stops everything, unless
//! `allow_on_headers_stop_iteration` lets body callbacks come; a body callback that pauses keeps the body, and the
//! next one sees all of it; `proxy_continue_stream` lets the kept pieces go. nginx reads the whole request body first,
//! calls once, with end of stream, and not at all without a body; there are no trailers.

use super::exchange::{Action, LocalResponse, Passed, Step};
use super::headers::Headers;
use super::instance::Host;
use super::options::Profile;
use super::request::Piece;
use super::state::{ContextId, Later, Stream};
use super::trap::Trap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
}

impl Way {
    fn callbacks(self) -> [&'static str; 3] {
        match self {
            Self::Request => [
                "proxy_on_request_headers",
                "proxy_on_request_body",
                "proxy_on_request_trailers",
            ],
            Self::Response => [
                "proxy_on_response_headers",
                "proxy_on_response_body",
                "proxy_on_response_trailers",
            ],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stop {
    #[default]
    No,
    /// Headers wait, body callbacks come.
    Headers,
    /// Everything waits in the host.
    All,
    /// Trailers wait behind the kept body.
    Trailers,
    /// A local response ended this direction.
    Closed,
}

#[derive(Default)]
pub(super) struct Leg {
    pub(super) begun: bool,
    /// Envoy: the filter can reach the headers now (see [`Leg::hide`]).
    pub(super) shown: bool,
    /// The headers as filters see and change them.
    pub(super) map: Headers,
    /// The headers as nginx sends them; Envoy sends `map`.
    pub(super) wire: Headers,
    /// nginx: a mirror subrequest.
    pub(super) mirror: bool,
    pub(super) trailers: Option<Headers>,
    /// The body that a getter sees: the current chunk, or all that is kept.
    pub(super) visible: Option<Vec<u8>>,
    /// nginx: the body lies in a file.
    pub(super) spilled: bool,
    pub(super) passed: Passed,
    stop: Stop,
    headers_end: bool,
    keeping: bool,
    kept_end: bool,
    waiting: Vec<Piece>,
    /// nginx: the request body read so far.
    unread: Vec<u8>,
}

impl Leg {
    /// `map` as filters see it, `wire` as nginx sends it.
    pub(super) fn new(map: Headers, wire: Headers) -> Self {
        Self {
            map,
            wire,
            ..Self::default()
        }
    }

    pub(super) fn close(&mut self) {
        self.stop = Stop::Closed;
        self.waiting.clear();
        self.visible = None;
    }

    /// Once the headers went on, Envoy forgets where they are (`request_headers_ = nullptr` in `decodeHeaders` and
    /// `continueStream`): later callbacks but `on_log` find no map.
    fn hide(&mut self, profile: Profile) {
        self.shown = profile == Profile::Nginx;
    }

    fn pass_headers(&mut self, profile: Profile) {
        if self.passed.headers.is_none() {
            let sent = if profile == Profile::Nginx {
                &self.wire
            } else {
                &self.map
            };
            self.passed.headers = Some(sent.clone());
            self.passed.ended |= self.headers_end;
        }
    }

    fn pass_body(&mut self, profile: Profile, end: bool) {
        self.pass_headers(profile);
        self.stop = Stop::No;
        self.keeping = false;
        let chunk = self.visible.take().unwrap_or_default();
        if !chunk.is_empty() {
            self.passed.chunks.push(chunk);
        }
        self.passed.ended |= end;
    }

    fn pass_trailers(&mut self, profile: Profile) {
        self.pass_headers(profile);
        if self.keeping {
            self.pass_body(profile, false);
        }
        self.passed.trailers = self.trailers.clone();
        self.passed.ended = true;
    }
}

impl Stream {
    pub(super) fn leg(&self, way: Way) -> &Leg {
        if way == Way::Request {
            &self.request
        } else {
            &self.response
        }
    }

    pub(super) fn leg_mut(&mut self, way: Way) -> &mut Leg {
        if way == Way::Request {
            &mut self.request
        } else {
            &mut self.response
        }
    }
}

impl Host {
    fn leg(&mut self, id: ContextId, way: Way) -> &mut Leg {
        let stream = self.state_mut().streams.get_mut(&id);
        stream
            .unwrap_or_else(|| panic!("stream {id} is not open"))
            .leg_mut(way)
    }

    /// A callback of a stream, recorded in its exchange. A missing export continues.
    fn step(
        &mut self,
        id: ContextId,
        callback: &'static str,
        args: &[u32],
    ) -> Result<Action, Trap> {
        let result = self.call(callback, id, args);
        let (exported, cost) = (self.exports(callback), self.last_cost.clone());
        let action = match result {
            Ok(Some(0) | None) => Action::Continue,
            Ok(Some(_)) => Action::Pause,
            Err(trap) => return Err(trap),
        };
        if exported && let Some(stream) = self.state_mut().streams.get_mut(&id) {
            stream.exchange.cost.add(&cost);
            stream.exchange.steps.push(Step {
                callback,
                action,
                cost,
            });
        }
        // A local response stops the stream whatever the callback returned (`stopNextIteration`).
        let answered = self
            .state()
            .later
            .iter()
            .any(|later| matches!(later, Later::LocalResponse(of) if *of == id));
        Ok(if answered { Action::Pause } else { action })
    }

    /// Headers arrive; the leg holds them already.
    pub(super) fn feed_headers(&mut self, id: ContextId, way: Way, end: bool) -> Result<(), Trap> {
        let profile = self.profile();
        let leg = self.leg(id, way);
        (leg.begun, leg.shown, leg.headers_end) = (true, true, end);
        let count = leg
            .map
            .iter()
            .filter(|(name, _)| profile == Profile::Envoy || !name.starts_with(b":"))
            .count();
        let count = self.state().told(count);
        let shown_end = end && profile == Profile::Envoy;
        let action = self.step(id, way.callbacks()[0], &[id, count, u32::from(shown_end)])?;
        let body_callbacks =
            self.state().options.allow_on_headers_stop_iteration && profile == Profile::Envoy;
        if way == Way::Request && action == Action::Continue && self.location_answers(id) {
            return Ok(());
        }
        let leg = self.leg(id, way);
        match action {
            Action::Continue => {
                leg.pass_headers(profile);
                leg.hide(profile);
            }
            Action::Pause if body_callbacks => leg.stop = Stop::Headers,
            Action::Pause => leg.stop = Stop::All,
        }
        Ok(())
    }

    /// nginx: `if ($variable = "") { return 204; } proxy_pass http://target$variable;` in a location that is mirrored to,
    /// after the filter's turn.
    fn location_answers(&mut self, id: ContextId) -> bool {
        let state = self.state_mut();
        let variable = state
            .options
            .target_variable
            .as_ref()
            .map(|name| format!("ngx.{name}"));
        let (Some(variable), Some(stream)) = (variable, state.streams.get_mut(&id)) else {
            return false;
        };
        if !stream.request.mirror || state.profile != Profile::Nginx {
            return false;
        }
        let set = stream
            .properties
            .iter()
            .find(|(name, value)| *name == variable && !value.is_empty());
        if let Some((_, target)) = set {
            stream.request.wire.replace(":path", target);
            return false;
        }
        stream.exchange.local_response = Some(LocalResponse::of_location());
        state.later.push(Later::LocalResponse(id));
        true
    }

    pub(super) fn feed(&mut self, id: ContextId, way: Way, piece: Piece) -> Result<(), Trap> {
        let nginx = self.profile() == Profile::Nginx;
        let leg = self.leg(id, way);
        match (leg.stop, piece) {
            (Stop::Closed, _) => Ok(()),
            (_, Piece::Data(chunk, end)) if nginx && way == Way::Request => {
                leg.unread.extend(chunk);
                if end {
                    self.read_whole_body(id)
                } else {
                    Ok(())
                }
            }
            (_, Piece::Trailers(_)) if nginx && way == Way::Request => self.read_whole_body(id),
            (_, Piece::Trailers(_)) if nginx => Ok(()),
            (Stop::All, piece) => {
                leg.wait(piece);
                Ok(())
            }
            (_, Piece::Data(chunk, end)) => self.feed_data(id, way, chunk, end),
            (_, Piece::Trailers(trailers)) => self.feed_trailers(id, way, trailers),
        }
    }

    /// nginx has the request body together.
    fn read_whole_body(&mut self, id: ContextId) -> Result<(), Trap> {
        let limit = self.state().options.client_body_buffer_size;
        let leg = self.leg(id, Way::Request);
        let body = std::mem::take(&mut leg.unread);
        leg.spilled = body.len() > limit;
        if leg.stop == Stop::All {
            leg.wait(Piece::Data(body, true));
            Ok(())
        } else if body.is_empty() {
            leg.pass_body(Profile::Nginx, true);
            Ok(())
        } else {
            self.feed_data(id, Way::Request, body, true)
        }
    }

    fn feed_data(
        &mut self,
        id: ContextId,
        way: Way,
        chunk: Vec<u8>,
        end: bool,
    ) -> Result<(), Trap> {
        let profile = self.profile();
        let limit = self.state().options.buffer_limit;
        let leg = self.leg(id, way);
        leg.visible.get_or_insert_default().extend(chunk);
        let size = leg.visible.as_ref().map_or(0, Vec::len);
        let size = self.state().told(size);
        let action = self.step(id, way.callbacks()[1], &[id, size, u32::from(end)])?;
        let leg = self.leg(id, way);
        match action {
            Action::Continue => leg.pass_body(profile, end),
            Action::Pause => {
                (leg.keeping, leg.kept_end) = (true, end);
                let too_much = leg.visible.as_ref().is_some_and(|body| body.len() > limit);
                if too_much && way == Way::Request && profile == Profile::Envoy {
                    self.refuse_large_body(id);
                }
            }
        }
        Ok(())
    }

    /// `addDecodedData` over the watermark: Envoy answers by itself.
    fn refuse_large_body(&mut self, id: ContextId) {
        let state = self.state_mut();
        if let Some(stream) = state.streams.get_mut(&id) {
            stream.exchange.local_response = Some(LocalResponse::too_large());
            state.later.push(Later::LocalResponse(id));
        }
    }

    fn feed_trailers(&mut self, id: ContextId, way: Way, trailers: Headers) -> Result<(), Trap> {
        let profile = self.profile();
        let count = self.state().told(trailers.len());
        self.leg(id, way).trailers = Some(trailers);
        let action = self.step(id, way.callbacks()[2], &[id, count])?;
        let leg = self.leg(id, way);
        match action {
            Action::Continue => {
                leg.pass_trailers(profile);
                leg.trailers = None;
            }
            Action::Pause => leg.stop = Stop::Trailers,
        }
        Ok(())
    }

    /// `proxy_continue_stream`.
    pub(super) fn resume(&mut self, id: ContextId, way: Way) -> Result<(), Trap> {
        let profile = self.profile();
        let Some(stream) = self.state_mut().streams.get_mut(&id) else {
            return Ok(());
        };
        let leg = stream.leg_mut(way);
        let stop = leg.stop;
        if !leg.begun || stop == Stop::Closed {
            return Ok(());
        }
        leg.stop = Stop::No;
        leg.pass_headers(profile);
        leg.hide(profile);
        if stop == Stop::Trailers {
            leg.pass_trailers(profile);
        } else if leg.keeping {
            let end = leg.kept_end;
            leg.pass_body(profile, end);
        }
        for piece in std::mem::take(&mut self.leg(id, way).waiting) {
            match piece {
                Piece::Data(chunk, end) => self.feed_data(id, way, chunk, end)?,
                Piece::Trailers(trailers) => self.feed_trailers(id, way, trailers)?,
            }
        }
        Ok(())
    }
}

impl Leg {
    /// What arrives while everything waits is one buffer, however it was cut.
    fn wait(&mut self, piece: Piece) {
        match (self.waiting.last_mut(), piece) {
            (Some(Piece::Data(all, ended)), Piece::Data(chunk, end)) => {
                all.extend(chunk);
                *ended |= end;
            }
            (_, piece) => self.waiting.push(piece),
        }
    }
}
