//! The metadata service of a test: what it says, and the keys that it has given.

use sentry_edge_mirror::sls::credential::Credential;

/// Key and token of every credential; in no header as they are (but the token in its own), and in no log line.
pub const KEY: &str = "edge-s3cr3t";
pub const TOKEN: &str = "edge-t0ken";
pub const UPSTREAM: &str = "metadata.test:80";
/// Its clock, which nobody else's has to follow.
const CLOCK_S: u64 = 1_795_240_000;
const DATE: &str = "Sat, 21 Nov 2026 05:46:40 GMT";

/// What it says next.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The right thing; a credential lives for so many seconds.
    Right(u32),
    Status(u16),
    Nothing,
    Garbage,
}

/// The keys that there are, by id, and until when each of them may be used.
#[derive(Debug)]
pub struct Keys(Vec<(String, u64)>);

impl Keys {
    /// Only what the service will give, or the one of the configuration.
    pub fn new(role: bool) -> Self {
        if role {
            Self(Vec::new())
        } else {
            Self(vec![("id0".to_owned(), u64::MAX)])
        }
    }

    /// The configuration that says so.
    pub fn json(role: bool) -> String {
        if role {
            format!(r#"{{"ecs_ram_role": {{"upstream": "{UPSTREAM}"}}}}"#)
        } else {
            format!(r#"{{"access_key_id": "id0", "access_key_secret": "{KEY}"}}"#)
        }
    }

    /// Whether a header names one that may be used.
    pub fn covers(&self, authorization: &str, now: u64) -> bool {
        let mut valid = self.0.iter().filter(|(_, until)| now < *until);
        valid.any(|(id, _)| authorization.contains(id.as_str()))
    }

    /// The newest one, while it may be used.
    pub fn current(&self, now: u64) -> Option<Credential> {
        let (id, until) = self.0.last()?;
        let token = (*until < u64::MAX).then_some(TOKEN);
        (now < *until).then(|| Credential::new(id, KEY, token).unwrap())
    }

    /// The service's answer to a request, as status, Date and body.
    pub fn answer(
        &mut self,
        path: &str,
        answer: Answer,
        now: u64,
    ) -> (Option<u16>, &'static str, Vec<u8>) {
        let body = match answer {
            Answer::Nothing => return (None, DATE, Vec::new()),
            Answer::Status(status) => return (Some(status), DATE, KEY.as_bytes().to_vec()),
            // No token, no role, and not all of a credential.
            Answer::Garbage => {
                format!("{{\"Code\": \"Success\",\"AccessKeySecret\":\"{KEY}\"").into_bytes()
            }
            Answer::Right(_) if path.ends_with("/token") => TOKEN.as_bytes().to_vec(),
            Answer::Right(_) if path.ends_with("/security-credentials/") => b"role\n".to_vec(),
            Answer::Right(life) => {
                let id = format!("id{}", self.0.len() + 1);
                let until = now.saturating_add(u64::from(life) * 1_000);
                let expiration = rfc3339(CLOCK_S + u64::from(life));
                let body = format!(
                    r#"{{"Code":"Success","AccessKeyId":"{id}","AccessKeySecret":"{KEY}","SecurityToken":"{TOKEN}","Expiration":"{expiration}"}}"#
                );
                self.0.push((id, until));
                body.into_bytes()
            }
        };
        (Some(200), DATE, body)
    }
}

/// On the day of [`CLOCK_S`] and the next ones of November 2026.
fn rfc3339(seconds: u64) -> String {
    let start_of_month = 1_793_491_200;
    let since = seconds - start_of_month;
    let (day, hour, minute, second) = (
        since / 86_400 + 1,
        since / 3_600 % 24,
        since / 60 % 60,
        since % 60,
    );
    format!("2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
