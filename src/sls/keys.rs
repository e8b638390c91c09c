//! Whose key is used, and the calls that fetch it: a [`Credentials`] with the bookkeeping for its one call to the metadata
//! service. The SLS leg and mode `sign` each have one.

use super::credential::Credential;
use super::credentials::Credentials;
use super::metadata::{self, RamRole};
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::header_list::HeaderList;
use crate::sls::settings::CredentialSource;
use crate::time::{Millis, Moment};

/// How long after a call's timeout the host may take to report it.
pub const GRACE_MS: u64 = 2_000;

/// A call in flight.
#[derive(Clone, Copy, Debug)]
struct Lookup {
    token: u32,
    id: u32,
    deadline: Millis,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Keys {
    credentials: Credentials,
    upstream: String,
    lookup: Option<Lookup>,
    /// The headers of the call that is leaving.
    headers: HeaderList,
}

impl Keys {
    /// `random` is any number, different in each worker.
    #[must_use]
    pub fn new(source: CredentialSource, random: u64) -> Self {
        let (credentials, upstream) = match source {
            CredentialSource::Literal(credential) => {
                (Credentials::Literal(credential), String::new())
            }
            CredentialSource::EcsRamRole { role, upstream } => (
                Credentials::RamRole(Box::new(RamRole::new(role, random))),
                upstream,
            ),
        };
        Self {
            credentials,
            upstream,
            lookup: None,
            headers: HeaderList::default(),
        }
    }

    /// The key to sign with; `None` while there is none.
    #[must_use]
    pub fn current(&self, now: Millis) -> Option<&Credential> {
        self.credentials.current(now.0)
    }

    /// SLS refused the key: another one is fetched as soon as allowed. `false` if there can be no other.
    pub fn ask_refresh(&mut self) -> bool {
        self.credentials.ask_refresh()
    }

    /// When there is a call to make.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        self.credentials.wake_at().map(Millis)
    }

    /// Whether a call is in flight.
    #[must_use]
    pub fn has_call(&self, now: Millis) -> bool {
        self.lookup.is_some_and(|lookup| now < lookup.deadline)
    }

    /// Prepares the next call, if one is due, and returns its number.
    pub fn next_call(&mut self, now: Millis) -> Option<u32> {
        let request = self.credentials.next_request(now.0)?;
        self.headers = HeaderList::with_capacity(8, 512);
        let list = &mut self.headers;
        list.push(b":method", request.method.as_bytes());
        list.push(b":path", request.path.as_bytes());
        list.push(b":authority", metadata::HOST.as_bytes());
        for (name, value) in request.headers.iter() {
            list.push(name.as_bytes(), value.as_bytes());
        }
        Some(request.id)
    }

    /// The prepared call.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        Call {
            upstream: &self.upstream,
            scheme: "http",
            headers: &self.headers,
            body: &[],
            timeout_ms: u32::try_from(metadata::TIMEOUT_MS).unwrap_or(u32::MAX),
        }
    }

    /// The host took the call.
    pub fn started(&mut self, id: u32, token: u32, now: Millis) {
        self.headers = HeaderList::default();
        let deadline = now.after(metadata::TIMEOUT_MS.saturating_add(GRACE_MS));
        self.lookup = Some(Lookup {
            token,
            id,
            deadline,
        });
    }

    /// The host refused the call.
    pub fn refused(&mut self, id: u32, now: Millis) {
        self.headers = HeaderList::default();
        self.credentials.on_failure(now.0, id);
    }

    /// Whether the answer with this token is expected.
    #[must_use]
    pub fn waits_for(&self, token: u32) -> bool {
        self.lookup.is_some_and(|lookup| lookup.token == token)
    }

    /// An answer came. `false` if it is not [expected](Self::waits_for).
    pub fn answered(&mut self, token: u32, answer: &Answer<'_>, now: Moment) -> bool {
        let Some(lookup) = self.lookup.take_if(|lookup| lookup.token == token) else {
            return false;
        };
        match answer.status {
            Some(status) => {
                let date = (answer.header)("date");
                let reply = metadata::Reply {
                    status,
                    date: date.as_deref(),
                    received_ms: now.wall.0,
                    body: answer.body,
                };
                self.credentials.on_reply(now.steady.0, lookup.id, &reply);
            }
            None => self.credentials.on_failure(now.steady.0, lookup.id),
        }
        true
    }
}
