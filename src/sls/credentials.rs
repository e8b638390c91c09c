//! Where the key comes from: the configuration, or the RAM role of an ECS instance ([`super::metadata`]).
//!
//! While there is none, writes wait; the caller limits how long.

use super::credential::Credential;
use super::metadata::{self, RamRole, Reply};

/// Where credentials come from.
#[derive(Debug)]
pub enum Credentials {
    /// From the configuration.
    Literal(Credential),
    /// From the instance's metadata service.
    RamRole(Box<RamRole>),
}

impl Credentials {
    /// The credential to sign with at `now_ms`. `None`: there is none yet, or it has expired, so writes wait.
    pub fn current(&self, now_ms: u64) -> Option<&Credential> {
        match self {
            Self::Literal(credential) => Some(credential),
            Self::RamRole(role) => role.current(now_ms),
        }
    }

    /// The metadata request to send now, if any. Every one is answered by [`Credentials::on_reply`] or
    /// [`Credentials::on_failure`] with its id. Call again after each answer.
    pub fn next_request(&mut self, now_ms: u64) -> Option<metadata::Request> {
        match self {
            Self::Literal(_) => None,
            Self::RamRole(role) => role.next_request(now_ms),
        }
    }

    /// The metadata service answered request `id`.
    pub fn on_reply(&mut self, now_ms: u64, id: u32, reply: &Reply<'_>) {
        if let Self::RamRole(role) = self {
            role.on_reply(now_ms, id, reply);
        }
    }

    /// Request `id` was refused by the host, timed out or broke off.
    pub fn on_failure(&mut self, now_ms: u64, id: u32) {
        if let Self::RamRole(role) = self {
            role.on_failure(now_ms, id);
        }
    }

    /// SLS refused the credential: asks for a new one, at most once a minute. `false` if there can be no other.
    pub fn ask_refresh(&mut self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::RamRole(role) => {
                role.ask_refresh();
                true
            }
        }
    }

    /// When [`Credentials::next_request`] next has something to do, unix ms.
    pub fn wake_at(&self) -> Option<u64> {
        match self {
            Self::Literal(_) => None,
            Self::RamRole(role) => Some(role.wake_at()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_one_is_always_there_and_never_refreshed() {
        let mut literal = Credentials::Literal(Credential::new("id", "secret", None).unwrap());
        assert!(literal.current(u64::MAX).is_some());
        assert!(literal.next_request(0).is_none() && literal.wake_at().is_none());
        assert!(!literal.ask_refresh());
    }
}
