//! Asks an admin endpoint: plain HTTP to the address that was given, and nowhere else; bounded in time and size.

use super::super::status::Failure;
use std::time::{Duration, SystemTime};
use ureq::Agent;

/// An answer, from the status line to the last byte. Envoy compiles modules in the thread that answers.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A dump of a gateway with thousands of routes.
const MAX_BYTES: u64 = 64 << 20;

pub(super) struct Admin {
    agent: Agent,
    /// Without a slash at the end.
    base: String,
}

pub(super) struct Answer {
    pub(super) text: String,
    /// Envoy's clock, and ours when its answer began.
    pub(super) clocks: Option<(SystemTime, SystemTime)>,
}

impl Admin {
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let address = url
            .strip_prefix("http://")
            .unwrap_or(url)
            .trim_end_matches('/');
        let expected =
            "expected the address of Envoy's admin endpoint, as in http://127.0.0.1:9901";
        if address.contains("://") {
            return Err(Failure(format!("{expected}, got another scheme")));
        }
        // A name and a password would end up in a log sooner or later; Envoy's endpoint has neither.
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if address.is_empty() || !address.bytes().all(valid) {
            return Err(Failure(format!(
                "{expected}, got more or less than host and port"
            )));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .proxy(None)
            .http_status_as_error(false)
            .build();
        Ok(Self {
            agent: config.into(),
            base: format!("http://{address}"),
        })
    }

    /// # Errors
    /// There was no answer, or another one than 200.
    pub(super) fn get(&self, path: &str) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.base);
        let shown = path.split('?').next().unwrap_or_default();
        let failure = |what: String| Failure(format!("{}{shown}: {what}", self.base));
        let mut answer = self
            .agent
            .get(&url)
            .call()
            .map_err(|error| failure(error.to_string()))?;
        let now = SystemTime::now();
        if answer.status() != 200 {
            return Err(failure(format!(
                "expected status 200, got {}",
                answer.status().as_u16()
            )));
        }
        let date = answer
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let body = answer.body_mut().with_config().limit(MAX_BYTES);
        let text = body
            .read_to_string()
            .map_err(|error| failure(error.to_string()))?;
        Ok(Answer {
            text,
            clocks: date.map(|date| (date, now)),
        })
    }

    /// What a filter in front of the endpoint may keep from us.
    pub(super) fn optional(&self, path: &str) -> Option<Answer> {
        self.get(path).ok()
    }
}
