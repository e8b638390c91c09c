//! What a request is in Sentry's terms. Knows nothing of mirrors, targets or hosts.

pub mod auth;
pub mod category;
pub mod decode;
pub mod dot_segment;
pub mod dsn;
pub mod envelope;
pub mod first_line;
pub mod ingest;
pub mod project;
pub mod rate_limits;
pub mod route;
pub mod timestamp;
