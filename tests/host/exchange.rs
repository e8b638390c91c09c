//! What the primary saw: one request through the filter, recorded piece by piece.

use super::cost::Cost;
use super::headers::Headers;
use super::request::{Request, Response};
use super::state::ContextId;

/// What a callback returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Continue,
    /// 1, or any other number.
    Pause,
}

/// One callback of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub callback: &'static str,
    pub action: Action,
    pub cost: Cost,
}

/// What went on in one direction, in this order: headers, chunks, trailers, end.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Passed {
    pub headers: Option<Headers>,
    /// Without empty ones.
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<Headers>,
    pub ended: bool,
}

impl Passed {
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

/// An answer that the filter (or the host in its place) gave itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalResponse {
    pub status: u32,
    pub details: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl LocalResponse {
    pub(super) fn too_large() -> Self {
        Self {
            status: 413,
            details: "request_payload_too_large".into(),
            headers: Headers::from_iter([("content-type", "text/plain")]),
            body: b"Payload Too Large".to_vec(),
        }
    }

    /// nginx: `return 204`.
    pub(super) fn of_location() -> Self {
        Self {
            status: 204,
            details: "location".into(),
            headers: Headers::new(),
            body: Vec::new(),
        }
    }

    /// As it begins its way through the filters. To a request that Envoy takes for gRPC it is 200, without a body
    /// (`Utility::prepareLocalReply`).
    pub(super) fn into_response(self, grpc: bool) -> Response {
        let status = if grpc { 200 } else { self.status };
        let mut headers = Headers::from_iter([(":status", status.to_string())]);
        self.headers
            .iter()
            .for_each(|(name, value)| headers.add(name, value));
        if grpc {
            headers.replace("content-type", "application/grpc");
            headers.add("grpc-status", "13");
            headers.add("grpc-message", &self.body);
            return Response {
                headers,
                chunks: Vec::new(),
                trailers: None,
            };
        }
        let chunks = if self.body.is_empty() {
            Vec::new()
        } else {
            vec![self.body]
        };
        Response {
            headers,
            chunks,
            trailers: None,
        }
    }
}

/// One request and its answer, as they left the filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    pub context: ContextId,
    pub root: ContextId,
    /// What went in.
    pub request: Option<Request>,
    /// What went on to the upstream.
    pub upstream: Passed,
    /// What the upstream answered.
    pub response: Option<Response>,
    /// What went on to the client.
    pub downstream: Passed,
    pub local_response: Option<LocalResponse>,
    /// Request and response callbacks in their order.
    pub steps: Vec<Step>,
    pub cost: Cost,
    /// The client went away before the end.
    pub aborted: bool,
    /// The instance trapped in this stream; the client got this status.
    pub failed_with: Option<u16>,
}

impl Exchange {
    pub fn was_paused(&self) -> bool {
        self.steps.iter().any(|step| step.action == Action::Pause)
    }

    /// The primary was neither paused, changed, answered nor failed, in either direction.
    pub fn is_untouched(&self) -> bool {
        self.damage().is_empty()
    }

    pub fn assert_untouched(&self) {
        let damage = self.damage();
        assert!(
            damage.is_empty(),
            "the primary was touched: {}\n{self:#?}",
            damage.join("; ")
        );
    }

    fn damage(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut check = |fine: bool, what: &str| {
            if !fine {
                out.push(what.to_owned());
            }
        };
        check(!self.was_paused(), "a callback paused");
        check(self.local_response.is_none(), "the filter answered");
        check(self.failed_with.is_none(), "the instance trapped");
        let (request, response) = (self.request.as_ref(), self.response.as_ref());
        if let Some(request) = request {
            let whole = !self.aborted;
            let differs = compare(
                &self.upstream,
                &request.headers,
                &request.chunks,
                request.trailers.as_ref(),
                whole,
            );
            differs
                .into_iter()
                .for_each(|what| check(false, &format!("request {what}")));
        }
        if let Some(response) = response {
            let passed = &self.downstream;
            let differs = compare(
                passed,
                &response.headers,
                &response.chunks,
                response.trailers.as_ref(),
                true,
            );
            differs
                .into_iter()
                .for_each(|what| check(false, &format!("response {what}")));
        }
        out
    }
}

/// An aborted request must have passed what had arrived, which the caller knows; then only a prefix is asked for.
fn compare(
    passed: &Passed,
    headers: &Headers,
    chunks: &[Vec<u8>],
    trailers: Option<&Headers>,
    whole: bool,
) -> Vec<&'static str> {
    let mut out = Vec::new();
    let lower = |headers: &Headers| headers.clone().lowercased();
    if passed.headers.as_ref().map(lower) != Some(lower(headers)) {
        out.push("headers differ");
    }
    let (is, was) = (passed.body(), chunks.concat());
    if (whole && is != was) || !was.starts_with(&is) {
        out.push("body differs");
    }
    // nginx has no trailers to pass on.
    if whole && passed.trailers.is_some() && passed.trailers.as_ref() != trailers {
        out.push("trailers differ");
    }
    if whole && !passed.ended {
        out.push("never ended");
    }
    out
}
