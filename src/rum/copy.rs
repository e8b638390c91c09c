//! What is delivered to RUM.

use super::decide::Target;
use crate::header_list::HeaderList;
use std::rc::Rc;

/// A finished copy.
#[derive(Debug)]
pub struct Copy {
    /// Where it goes.
    pub target: Target,
    /// What goes with it.
    pub headers: HeaderList,
    /// The body as received.
    pub body: Rc<Vec<u8>>,
}

impl Copy {
    /// What an entry costs beside its buffers: so that copies without a body are bounded too.
    pub(crate) const OVERHEAD: usize = 512;

    /// What the copy is charged with.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body
            .capacity()
            .saturating_add(self.headers.allocated())
            .saturating_add(Self::OVERHEAD)
    }
}
