//! What the modes need from a proxy for one request.

use crate::header_list::HeaderList;
use crate::header_map::HeaderMap;
use crate::time::Millis;
use crate::worker::signing::LocalAnswer;

/// A request in a proxy. `None` or `false` means that the proxy refused.
pub trait Stream {
    /// The proxy's ID for it.
    fn id(&self) -> u32;

    /// The proxy's clock; the same throughout a callback.
    fn now(&self) -> Millis;

    /// The headers of the request; empty if the proxy does not provide them.
    fn headers(&self) -> HeaderMap;

    /// Whatever else the proxy knows, by its proxy-wasm path: parts separated by NUL.
    fn property(&self, path: &str) -> Option<Vec<u8>>;

    /// Appends the `size` bytes of the body that the proxy has now.
    fn append_body(&mut self, size: usize, body: &mut Vec<u8>) -> Option<()>;

    /// `size` bytes of the body that the proxy has now, from `start`.
    fn body(&mut self, start: usize, size: usize) -> Option<Vec<u8>>;

    /// Gives the request these headers and no others.
    fn replace_headers(&mut self, headers: &HeaderList) -> Option<()>;

    /// Sets this header, replacing any of the same name.
    fn replace_header(&mut self, name: &[u8], value: &[u8]) -> Option<()>;

    /// nginx: lets the request leave for this target. `false`: nothing would have kept it.
    fn let_leave(&mut self, target: &[u8]) -> Option<bool>;

    /// nginx: whether it can be answered without closing the client's connection.
    fn may_be_answered(&self) -> bool;

    /// Answers the request in the target's place.
    fn answer(&mut self, answer: &LocalAnswer) -> bool;

    /// A header of the response.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;

    /// The status of the response.
    fn status(&self) -> Option<u16> {
        let status = self.response_header(":status")?;
        std::str::from_utf8(&status).ok()?.parse().ok()
    }
}
