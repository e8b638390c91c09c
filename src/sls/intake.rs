//! Envelopes on their way into logs: which requests are wanted, what of their headers is needed, and what waits to be
//! read.
//!
//! A request callback only puts an envelope here: decoding, records and scrubbing take milliseconds and are done in ticks,
//! a little at a time ([`super::leg`]).

use crate::config::Destination;
use crate::mirror::headers::Pair;
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{Route, recognise};
use crate::time::Millis;
use std::collections::VecDeque;
use std::rc::Rc;

/// Whether a request becomes logs: the project, or why not, and whose it is; `None` for what is not ingest traffic.
#[must_use]
pub fn decide(
    method: &[u8],
    target: &[u8],
) -> Option<Result<u64, (SkipReason, Option<ProjectId>)>> {
    Some(match recognise(method, target)? {
        Route::Envelope(id) => Ok(id.get()),
        Route::Other(id) => Err((SkipReason::Route, Some(id))),
        Route::Mirrored => Err((SkipReason::Loop, None)),
    })
}

/// What is needed of an envelope's request.
#[derive(Debug)]
pub struct Head {
    /// The project of the path.
    pub project: u64,
    /// Where RUM has the project: its service id is RUM's `app.id`.
    pub app: Option<Rc<Destination>>,
    /// The first Content-Encoding, empty without one.
    pub encoding: Vec<u8>,
}

/// The first value of a header. Names are in lower case in Envoy, and as the client wrote them on nginx.
pub fn first<'a>(headers: impl Iterator<Item = Pair<'a>>, name: &[u8]) -> Option<&'a [u8]> {
    let mut headers = headers;
    headers
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// An envelope that waits to be read.
#[derive(Debug)]
pub struct Envelope {
    /// Of its request.
    pub head: Head,
    /// The body as received; the RUM leg has the same.
    pub body: Rc<Vec<u8>>,
    /// When it was complete, on the host's clock.
    pub received: Millis,
}

impl Envelope {
    /// What it costs beside its buffers.
    const OVERHEAD: usize = 256;

    /// What it is charged with, wholly, although the other leg may hold the same body.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body
            .capacity()
            .saturating_add(self.head.encoding.capacity())
            .saturating_add(Self::OVERHEAD)
    }
}

/// The envelopes that wait, in their order.
#[derive(Debug, Default)]
pub struct Intake {
    waiting: VecDeque<Envelope>,
    bytes: usize,
}

impl Intake {
    /// Puts one at the end.
    pub fn push(&mut self, envelope: Envelope) {
        self.bytes = self.bytes.saturating_add(envelope.size());
        self.waiting.push_back(envelope);
    }

    /// Takes the first one.
    pub fn pop(&mut self) -> Option<Envelope> {
        let envelope = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(envelope.size());
        Some(envelope)
    }

    /// Their bytes, as charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Head, Intake, decide, first};
    use crate::outcome::SkipReason;
    use crate::sentry::project::ProjectId;
    use crate::time::Millis;
    use std::rc::Rc;

    #[test]
    fn only_envelopes_become_logs() {
        let of = |method: &str, target: &str| decide(method.as_bytes(), target.as_bytes());
        assert_eq!(of("POST", "/api/42/envelope/?x=y"), Some(Ok(42)));
        assert_eq!(
            of("POST", "/api/42/store/"),
            Some(Err((SkipReason::Route, ProjectId::parse(b"42"))))
        );
        let copy = "/rum/sentry/w/s/api/42/envelope/";
        assert_eq!(of("POST", copy), Some(Err((SkipReason::Loop, None))));
        assert_eq!(of("GET", "/"), None);
    }

    #[test]
    fn the_first_of_a_header_in_any_spelling() {
        let headers: [(&[u8], &[u8]); 3] = [(b"A", b"0"), (b"X-Y", b"1"), (b"x-y", b"2")];
        assert_eq!(first(headers.into_iter(), b"x-y"), Some(&b"1"[..]));
        assert_eq!(first(headers.into_iter(), b"z"), None);
    }

    #[test]
    fn what_goes_in_comes_out_and_is_no_longer_charged() {
        let envelope = |project: u64| Envelope {
            head: Head {
                project,
                app: None,
                encoding: b"gzip".to_vec(),
            },
            body: Rc::new(vec![0; 100]),
            received: Millis(1),
        };
        let mut intake = Intake::default();
        intake.push(envelope(1));
        intake.push(envelope(2));
        assert_eq!((intake.len(), intake.bytes()), (2, 2 * (100 + 4 + 256)));
        assert_eq!(intake.pop().unwrap().head.project, 1);
        assert_eq!(intake.pop().unwrap().head.project, 2);
        assert!(intake.pop().is_none() && intake.is_empty());
        assert_eq!(intake.bytes(), 0);
    }
}
