//! Envelopes on their way to becoming logs: which requests are wanted, what is needed of their headers, and what waits to be
//! read.
//!
//! A request callback only puts an envelope here: decoding, records and scrubbing happen in ticks, a little at a time
//! ([`super::readers`]). Projects take turns, so that one which sends more than can be read delays only itself.

use crate::copies::settings::Destination;
use crate::delivery::by_project::ByProject;
use crate::header_map::Pair;
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{Route, recognise};
use crate::time::Millis;
use std::rc::Rc;

/// Whether a request becomes logs: its project or the reason why not, and whose it is. `None` if it is not ingest traffic.
#[must_use]
pub fn decide(
    method: &[u8],
    target: &[u8],
) -> Option<Result<u64, (SkipReason, Option<ProjectId>)>> {
    Some(match recognise(method, target)? {
        Route::Envelope(id) => Ok(id.get()),
        Route::Other(id) | Route::BehindAPath(id) => Err((SkipReason::Route, Some(id))),
        Route::Mirrored => Err((SkipReason::Loop, None)),
    })
}

/// What is needed of an envelope's request.
#[derive(Debug)]
pub struct Head {
    /// The project of the path.
    pub project: u64,
    /// The project's place in RUM: its service id is RUM's `app.id`.
    pub app: Option<Rc<Destination>>,
    /// The first Content-Encoding; empty if there is none.
    pub encoding: Vec<u8>,
}

/// The first value of a header. Names are in lower case in Envoy; on nginx they are as the client wrote them.
pub fn first<'a>(headers: impl Iterator<Item = Pair<'a>>, name: &[u8]) -> Option<&'a [u8]> {
    let mut headers = headers;
    headers
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// An envelope waiting to be read.
#[derive(Debug)]
pub struct Envelope {
    /// What is needed of its request.
    pub head: Head,
    /// The body as received; the RUM leg has the same.
    pub body: Rc<Vec<u8>>,
    /// When it was complete, on the host's clock.
    pub received: Millis,
}

impl Envelope {
    /// What it costs besides its buffers.
    const OVERHEAD: usize = 256;

    /// What it is charged with: all of it, although the other leg may hold the same body.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body
            .capacity()
            .saturating_add(self.head.encoding.capacity())
            .saturating_add(Self::OVERHEAD)
    }
}

/// The envelopes waiting.
#[derive(Debug, Default)]
pub struct Intake {
    waiting: ByProject<Envelope>,
    len: usize,
    bytes: usize,
}

impl Intake {
    /// Puts an envelope behind the others of its project.
    pub fn push(&mut self, envelope: Envelope) {
        self.bytes = self.bytes.saturating_add(envelope.size());
        self.len = self.len.saturating_add(1);
        self.waiting.push(envelope.head.project, envelope);
    }

    /// Takes the first envelope of the project whose turn it is. Projects that are `busy` lose their turn.
    pub fn pop(&mut self, busy: impl Fn(u64) -> bool) -> Option<Envelope> {
        let (_, envelope) = self.waiting.pop(busy)?;
        self.bytes = self.bytes.saturating_sub(envelope.size());
        self.len = self.len.saturating_sub(1);
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
        self.len
    }

    /// How many projects they belong to.
    #[must_use]
    pub fn projects(&self) -> usize {
        self.waiting.projects().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
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

    fn envelope(project: u64) -> Envelope {
        Envelope {
            head: Head {
                project,
                app: None,
                encoding: b"gzip".to_vec(),
            },
            body: Rc::new(vec![0; 100]),
            received: Millis(1),
        }
    }

    #[test]
    fn what_goes_in_comes_out_and_is_no_longer_charged() {
        let mut intake = Intake::default();
        intake.push(envelope(1));
        intake.push(envelope(2));
        assert_eq!((intake.len(), intake.bytes()), (2, 2 * (100 + 4 + 256)));
        assert_eq!(intake.pop(|_| false).unwrap().head.project, 1);
        assert_eq!(intake.pop(|_| false).unwrap().head.project, 2);
        assert!(intake.pop(|_| false).is_none() && intake.is_empty());
        assert_eq!(intake.bytes(), 0);
    }

    #[test]
    fn projects_take_turns() {
        let mut intake = Intake::default();
        for project in [1, 1, 1, 1, 2, 3, 3] {
            intake.push(envelope(project));
        }
        let mut next = |busy: &[u64]| {
            let envelope = intake.pop(|project| busy.contains(&project));
            envelope.map(|envelope| envelope.head.project)
        };
        assert_eq!(
            [next(&[]), next(&[1]), next(&[1])],
            [Some(1), Some(2), Some(3)]
        );
        assert_eq!(
            [next(&[3]), next(&[3]), next(&[3])],
            [Some(1), Some(1), Some(1)]
        );
        assert_eq!([next(&[3]), next(&[])], [None, Some(3)]);
        assert_eq!(next(&[]), None);
    }
}
