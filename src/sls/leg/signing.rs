//! A write is signed when it leaves, again for every attempt. Its body was hashed once, when it was packed.

use super::SlsLeg;
use crate::delivery::outbox::Id;
use crate::header_list::HeaderList;
use crate::sls::put_logs;
use crate::time::{Millis, Moment};

impl SlsLeg {
    /// Whether there is a key to sign with.
    pub(super) fn may_write(&self, now: Millis) -> bool {
        self.keys.current(now).is_some()
    }

    /// Signs a write that is leaving.
    pub(super) fn sign(&mut self, id: Id, now: Moment) {
        let entry = self.outbox.get(id);
        let credential = self.keys.current(now.steady);
        let (Some(entry), Some(credential)) = (entry, credential) else {
            return;
        };
        let (batch, now_ms) = (&entry.payload, self.clock.now(now.wall.0));
        let request = put_logs::build(
            batch.destination(),
            batch.body(),
            &self.config.signature,
            credential,
            now_ms,
        );
        self.headers = HeaderList::with_capacity(16, 1_024);
        let list = &mut self.headers;
        list.push(b":method", request.method.as_bytes());
        list.push(b":path", request.path.as_bytes());
        list.push(b":authority", request.host.as_bytes());
        for (name, value) in request.headers.iter() {
            list.push(name.as_bytes(), value.as_bytes());
        }
        self.signed.insert(id, self.clock.offset_ms());
    }
}
