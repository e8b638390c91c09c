//! Which signature a request gets.

/// The signature version, with what only it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// HMAC-SHA1.
    V1,
    /// SLS4-HMAC-SHA256.
    V4 {
        /// The region id, such as `cn-hangzhou`.
        region: String,
    },
}
