//! The credential of an ECS instance's RAM role, from the instance's metadata service: a state machine that says which
//! request to send next and reads the answers. It has no connection, no clock and no randomness of its own (manual: sls,
//! "Role and metadata service").
//!
//! ```text
//! PUT /latest/api/token                                       -> a token (hardened mode); refused: plain mode
//! GET /latest/meta-data/ram/security-credentials/             -> the role's name, unless it is configured
//! GET /latest/meta-data/ram/security-credentials/{role}       -> JSON: Code, AccessKeyId, ..., Expiration
//! ```
//! A GET that fails with a token is tried once without. Such a round takes place when there is no credential, from 15 minutes
//! before it expires (less a jitter, so that workers do not all come at once), and after SLS refused it: at most once a
//! minute. The old credential stays in use until it expires. Only if there is none and the service cannot be reached at all
//! do rounds come sooner: after 1 s, 2 s, 4 s, ...
//!
//! Not supported: `ALIBABA_CLOUD_IMDSV1_DISABLED` and the like. Plain mode is always the second choice.

use serde_json::Value;

use super::credential::Credential;
use super::headers::Headers;
use super::{date, names};
use crate::secret::Secret;

/// The `Host` of every metadata request.
pub const HOST: &str = "100.100.100.200";
/// How long to wait for an answer, in ms: it comes from the same machine.
pub const TIMEOUT_MS: u64 = 2_000;
/// How much of an answer is read, in bytes: a credential has about 1 KiB.
pub const MAX_REPLY_BYTES: usize = 16_384;

const TOKEN_PATH: &str = "/latest/api/token";
const ROLE_PATH: &str = "/latest/meta-data/ram/security-credentials/";
/// The longest lifetime of a metadata token; it is used for one round only.
const TOKEN_TTL_S: &str = "21600";
const REFRESH_BEFORE_MS: u64 = 15 * 60_000;
const JITTER_MS: u64 = 5 * 60_000;
const ROUND_MS: u64 = 60_000;
const FIRST_BACKOFF_MS: u64 = 1_000;
/// If nothing at all was reported about a request for this long, it counts as lost.
const LOST_MS: u64 = 3 * TIMEOUT_MS;

/// A request to the metadata service.
#[derive(Debug)]
pub struct Request {
    /// Identifies the request in [`RamRole::on_reply`] and [`RamRole::on_failure`].
    pub id: u32,
    /// `PUT` or `GET`.
    pub method: &'static str,
    /// The path, without a query.
    pub path: String,
    /// All headers but `Host`, which is [`HOST`]. The body is empty.
    pub headers: Headers,
}

/// An answer of the metadata service.
#[derive(Clone, Copy)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// The header `Date`: relative to it the expiry is right even if the local clock is wrong.
    pub date: Option<&'a str>,
    /// The local clock, unix ms, for an answer without `Date`.
    pub received_ms: u64,
    /// The body, or its beginning of at least [`MAX_REPLY_BYTES`].
    pub body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Token,
    Role,
    Keys,
}

#[derive(Debug)]
enum State {
    /// No round is in progress, and none begins before this time.
    Idle { not_before_ms: u64 },
    /// The next request of the round, to be sent now.
    Ready { step: Step, token: Option<Secret> },
    /// A request is in flight.
    Waiting {
        step: Step,
        token: Option<Secret>,
        lost_ms: u64,
    },
}

/// The RAM role of this instance.
#[derive(Debug)]
pub struct RamRole {
    configured: Option<String>,
    discovered: Option<String>,
    jitter_ms: u64,
    state: State,
    id: u32,
    round_ms: u64,
    unreachable: u32,
    asked: bool,
    current: Option<Credential>,
    refresh_ms: u64,
}

impl RamRole {
    /// `None` for `role`: the service is asked for it. A configured role has passed [`names::role`].
    /// `random` is any number, drawn once per worker.
    pub fn new(role: Option<String>, random: u64) -> Self {
        Self {
            configured: role,
            discovered: None,
            jitter_ms: random % JITTER_MS,
            state: State::Idle { not_before_ms: 0 },
            id: 0,
            round_ms: 0,
            unreachable: 0,
            asked: false,
            current: None,
            refresh_ms: 0,
        }
    }

    /// The credential, while it is valid.
    pub fn current(&self, now_ms: u64) -> Option<&Credential> {
        self.current
            .as_ref()
            .filter(|credential| credential.is_valid(now_ms))
    }

    /// SLS refused the credential: the next round starts as soon as one is allowed.
    pub fn ask_refresh(&mut self) {
        self.asked = true;
    }

    /// When [`RamRole::next_request`] next has something to do.
    pub fn wake_at(&self) -> u64 {
        match &self.state {
            State::Ready { .. } => 0,
            State::Waiting { lost_ms, .. } => *lost_ms,
            State::Idle { not_before_ms } if self.asked || self.current.is_none() => *not_before_ms,
            State::Idle { not_before_ms } => (*not_before_ms).max(self.refresh_ms),
        }
    }

    /// The request to send now, if any.
    pub fn next_request(&mut self, now_ms: u64) -> Option<Request> {
        if let State::Waiting { lost_ms, .. } = &self.state
            && now_ms >= *lost_ms
        {
            self.end_round(now_ms, false);
        }
        if matches!(self.state, State::Idle { .. }) && now_ms >= self.wake_at() {
            self.round_ms = now_ms;
            self.state = State::Ready {
                step: Step::Token,
                token: None,
            };
        }
        let State::Ready { step, token } = &mut self.state else {
            return None;
        };
        let (step, token) = (*step, token.take());
        self.id = self.id.wrapping_add(1);
        let mut headers = Headers::new();
        let (method, path) = match step {
            Step::Token => {
                headers.push("x-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_TTL_S);
                ("PUT", TOKEN_PATH.to_owned())
            }
            Step::Role => ("GET", ROLE_PATH.to_owned()),
            Step::Keys => (
                "GET",
                format!("{ROLE_PATH}{}", self.role().unwrap_or_default()),
            ),
        };
        if let Some(token) = &token {
            headers.push("x-aliyun-ecs-metadata-token", token.expose());
        }
        self.state = State::Waiting {
            step,
            token,
            lost_ms: now_ms.saturating_add(LOST_MS),
        };
        Some(Request {
            id: self.id,
            method,
            path,
            headers,
        })
    }

    /// Request `id` was answered. Answers to any request but the last are ignored.
    pub fn on_reply(&mut self, now_ms: u64, id: u32, reply: &Reply<'_>) {
        // The service answers with 200 or 4xx. This is the proxy, which finds nobody there.
        if reply.status >= 500 {
            return self.on_failure(now_ms, id);
        }
        let Some((step, token)) = self.take_waiting(id) else {
            return;
        };
        self.unreachable = 0;
        let body = reply.body.get(..MAX_REPLY_BYTES).unwrap_or(reply.body);
        let text = std::str::from_utf8(body)
            .ok()
            .filter(|_| reply.status == 200);
        let done = match step {
            Step::Token => {
                let token = text
                    .map(str::trim)
                    .filter(|token| is_token(token))
                    .map(Secret::from);
                self.go_on(token);
                return;
            }
            Step::Role => text
                .and_then(|text| text.lines().next())
                .map(str::trim)
                .and_then(|name| {
                    names::role(name).ok()?;
                    self.discovered = Some(name.to_owned());
                    Some(())
                }),
            Step::Keys => text.and_then(|text| self.accept(now_ms, reply, text)),
        };
        match (done, step) {
            (Some(()), Step::Keys) => self.end_round(now_ms, true),
            (Some(()), _) => self.go_on(token),
            (None, _) if token.is_some() => self.state = State::Ready { step, token: None },
            (None, _) => {
                // The role may have been replaced by another: ask for its name again.
                self.discovered = None;
                self.end_round(now_ms, true);
            }
        }
    }

    /// Request `id` got no answer.
    pub fn on_failure(&mut self, now_ms: u64, id: u32) {
        match self.take_waiting(id) {
            // Where hardened mode is unknown, the PUT may well find nobody.
            Some((Step::Token, _)) => self.go_on(None),
            Some((step, Some(_))) => self.state = State::Ready { step, token: None },
            Some((_, None)) => self.end_round(now_ms, false),
            None => {}
        }
    }

    fn role(&self) -> Option<&str> {
        self.configured.as_deref().or(self.discovered.as_deref())
    }

    fn take_waiting(&mut self, id: u32) -> Option<(Step, Option<Secret>)> {
        match &mut self.state {
            State::Waiting { step, token, .. } if id == self.id => Some((*step, token.take())),
            _ => None,
        }
    }

    fn go_on(&mut self, token: Option<Secret>) {
        let step = if self.role().is_some() {
            Step::Keys
        } else {
            Step::Role
        };
        self.state = State::Ready { step, token };
    }

    /// Ends the round. `reached`: the service answered, so it must not be asked again within the minute.
    fn end_round(&mut self, now_ms: u64, reached: bool) {
        let minute = self.round_ms.saturating_add(ROUND_MS);
        let not_before_ms = if reached || self.current(now_ms).is_some() {
            minute
        } else {
            let backoff = FIRST_BACKOFF_MS
                .saturating_mul(1 << self.unreachable.min(6))
                .min(ROUND_MS);
            self.unreachable = self.unreachable.saturating_add(1);
            now_ms.saturating_add(backoff)
        };
        self.state = State::Idle { not_before_ms };
    }

    fn accept(&mut self, now_ms: u64, reply: &Reply<'_>, text: &str) -> Option<()> {
        let json: Value = serde_json::from_str(text).ok()?;
        let field = |name: &str| json.get(name).and_then(Value::as_str);
        if !field("Code")?.eq_ignore_ascii_case("Success") {
            return None;
        }
        // Its own Date says how long the credential remains valid, whatever the local clock says.
        let then = reply.date.and_then(date::parse_http);
        let then = then.unwrap_or(reply.received_ms);
        let life_ms = date::parse_rfc3339(field("Expiration")?)?
            .checked_sub(then)
            .filter(|life| *life > 0)?;
        let expires_ms = now_ms.saturating_add(life_ms);
        let token = Some(field("SecurityToken")?);
        let credential =
            Credential::new(field("AccessKeyId")?, field("AccessKeySecret")?, token).ok()?;
        self.current = Some(credential.expiring(expires_ms));
        self.refresh_ms = expires_ms
            .saturating_sub(REFRESH_BEFORE_MS)
            .saturating_sub(self.jitter_ms);
        self.asked = false;
        Some(())
    }
}

fn is_token(text: &str) -> bool {
    (1..=1_024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
