//! Scripted requests and responses: what arrives at the proxy, piece by piece.

use super::headers::Headers;
use super::options::Profile;
use std::net::SocketAddr;

/// A request as the client sends it. Pseudo headers stand first, as both hosts show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub headers: Headers,
    /// Body as it is read from the socket. No chunk at all: the headers end the stream.
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<Headers>,
    /// The end of the stream arrives alone, in an empty piece after the last chunk (chunked HTTP/1, an empty DATA
    /// frame) and not with the last chunk.
    pub ends_apart: bool,
    /// The test feeds the body by hand ([`Host::body`](super::Host::body)), so the headers do not end the stream.
    pub streamed: bool,
    /// Properties of the stream: `source.address`, `ngx.request_id`, ... by their dotted path.
    pub properties: Vec<(String, Vec<u8>)>,
    /// nginx: the filter runs in a subrequest of the `mirror` module at this internal location.
    pub mirrored_to: Option<String>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        let pseudo = [
            (":method", method),
            (":scheme", "http"),
            (":authority", "ingest.test"),
            (":path", path),
        ];
        Self {
            headers: Headers::from_iter(pseudo),
            chunks: Vec::new(),
            trailers: None,
            ends_apart: false,
            streamed: false,
            properties: vec![("source.address".into(), b"192.0.2.7:50000".to_vec())],
            mirrored_to: None,
        }
    }

    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    pub fn authority(mut self, value: impl AsRef<[u8]>) -> Self {
        self.headers.replace(":authority", value);
        self
    }

    pub fn chunk(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.chunks.push(bytes.as_ref().to_vec());
        self
    }

    /// The body in pieces of at most `size` bytes. An empty body becomes one empty chunk.
    pub fn body_in(mut self, bytes: &[u8], size: usize) -> Self {
        if bytes.is_empty() {
            self.chunks.push(Vec::new());
        }
        self.chunks.extend(bytes.chunks(size).map(<[u8]>::to_vec));
        self
    }

    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.get_or_insert_default().add(name, value);
        self
    }

    pub fn ends_apart(mut self) -> Self {
        self.ends_apart = true;
        self
    }

    pub fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    pub fn property(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        self.properties.retain(|(known, _)| known != path);
        self.properties.push((path.into(), value.as_ref().to_vec()));
        self
    }

    pub fn without_property(mut self, path: &str) -> Self {
        self.properties.retain(|(known, _)| known != path);
        self
    }

    pub fn mirrored_to(mut self, location: &str) -> Self {
        self.mirrored_to = Some(location.into());
        self
    }

    /// Property `source.address`: in Envoy `ip:port`, IPv6 in brackets, as the test says it; in nginx the bare address.
    pub fn peer(&self, profile: Profile) -> Option<Vec<u8>> {
        let said = self
            .properties
            .iter()
            .find(|(path, _)| path == "source.address");
        let (_, said) = said?;
        let socket = str::from_utf8(said)
            .ok()
            .and_then(|said| said.parse::<SocketAddr>().ok());
        match (profile, socket) {
            (Profile::Nginx, Some(socket)) => Some(socket.ip().to_string().into_bytes()),
            _ => Some(said.clone()),
        }
    }

    /// The whole body.
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// What Envoy takes for gRPC when the request arrives (`Grpc::Common::isGrpcRequestHeaders`).
    pub(super) fn is_grpc(&self) -> bool {
        let kind = self.headers.get("content-type").unwrap_or_default();
        let rest = kind.strip_prefix(b"application/grpc".as_slice());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
    }

    pub(super) fn ends_with_headers(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_none() && !self.ends_apart && !self.streamed
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        pieces(&self.chunks, self.trailers.as_ref(), self.ends_apart)
    }
}

/// The upstream's answer to the primary request.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub headers: Headers,
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<Headers>,
}

impl Response {
    pub fn status(status: u16) -> Self {
        Self {
            headers: Headers::from_iter([(":status", status.to_string())]),
            chunks: Vec::new(),
            trailers: None,
        }
    }

    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    pub fn chunk(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.chunks.push(bytes.as_ref().to_vec());
        self
    }

    pub(super) fn ends_with_headers(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_none()
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        pieces(&self.chunks, self.trailers.as_ref(), false)
    }
}

/// One arrival after the headers.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Data(Vec<u8>, bool),
    Trailers(Headers),
}

fn pieces(chunks: &[Vec<u8>], trailers: Option<&Headers>, ends_apart: bool) -> Vec<Piece> {
    let last = chunks.len().wrapping_sub(1);
    let mut out = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        out.push(Piece::Data(
            chunk.clone(),
            index == last && trailers.is_none() && !ends_apart,
        ));
    }
    match trailers {
        Some(trailers) => out.push(Piece::Trailers(trailers.clone())),
        None if ends_apart => out.push(Piece::Data(Vec::new(), true)),
        None => {}
    }
    out
}
