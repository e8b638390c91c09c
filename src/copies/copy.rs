//! What is delivered.

use super::decide::Target;
use crate::delivery::outbox::Charge;
use crate::header_list::HeaderList;
use std::rc::Rc;

/// A finished copy.
#[derive(Debug)]
pub struct Copy {
    /// Where it goes.
    pub target: Target,
    /// The headers sent with it.
    pub headers: HeaderList,
    /// The body as received, unless a rule leaves out some of its items.
    pub body: Rc<Vec<u8>>,
}

impl Copy {
    /// What an entry costs besides its buffers, so that copies without a body are bounded too.
    pub(crate) const OVERHEAD: usize = 512;

    /// The same copy with another body, encoded as the rules say.
    #[must_use]
    pub fn with_body(self, body: Vec<u8>) -> Self {
        let mut headers = HeaderList::with_capacity(self.headers.len(), self.headers.size());
        let own = self.headers.iter();
        for (name, value) in own.filter(|(name, _)| *name != b"content-encoding") {
            headers.push(name, value);
        }
        if self.target.destination.rules.gzip {
            headers.push(b"content-encoding", b"gzip");
        }
        Self {
            target: self.target,
            headers,
            body: Rc::new(body),
        }
    }

    /// What the copy is charged with, and to whom.
    #[must_use]
    pub fn charge(&self) -> Charge {
        Charge {
            size: self.size(),
            group: self.target.project,
            part: self.target.category,
            share: self.target.destination.share,
        }
    }

    /// Bytes it is charged with.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body
            .capacity()
            .saturating_add(self.headers.allocated())
            .saturating_add(Self::OVERHEAD)
    }
}
