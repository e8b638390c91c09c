//! What the modes ask of a proxy, for one request.

use crate::header_list::HeaderList;
use crate::header_map::HeaderMap;
use crate::time::Millis;
use crate::worker::signing::LocalAnswer;

/// A request in a proxy. What gives an `Option` or a `bool` is none, or `false`, where the proxy refuses.
pub trait Stream {
    /// The proxy's name of it.
    fn id(&self) -> u32;

    /// The proxy's clock; the same throughout a callback.
    fn now(&self) -> Millis;

    /// The headers of the request; empty if the proxy does not hand them out.
    fn headers(&self) -> HeaderMap;

    /// What the proxy knows besides, by the path of proxy-wasm: parts with a NUL between them.
    fn property(&self, path: &str) -> Option<Vec<u8>>;

    /// Appends `size` bytes of the body that the proxy has now.
    fn append_body(&mut self, size: usize, body: &mut Vec<u8>) -> Option<()>;

    /// So many bytes of the body that the proxy has now, from an offset.
    fn body(&mut self, start: usize, size: usize) -> Option<Vec<u8>>;

    /// Gives the request these headers and no others.
    fn replace_headers(&mut self, headers: &HeaderList) -> Option<()>;

    /// Gives the request this header in place of its namesake.
    fn replace_header(&mut self, name: &[u8], value: &[u8]) -> Option<()>;

    /// nginx: lets the request leave, to this target. `false`: nothing would have kept it.
    fn let_leave(&mut self, target: &[u8]) -> Option<bool>;

    /// nginx: whether an answer would not close the client's connection.
    fn may_be_answered(&self) -> bool;

    /// Answers the request in the target's place.
    fn answer(&mut self, answer: &LocalAnswer) -> bool;

    /// A header of the answer.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;

    /// The status of the answer.
    fn status(&self) -> Option<u16> {
        let status = self.response_header(":status")?;
        std::str::from_utf8(&status).ok()?.parse().ok()
    }
}
