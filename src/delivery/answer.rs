//! The answer to a call.

/// What an answer says.
pub struct Answer<'a> {
    /// `:status`. Without it there was no answer.
    pub status: Option<u16>,
    /// Looks up a header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The body, or its beginning.
    pub body: &'a [u8],
}
