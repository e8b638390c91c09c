//! Which of the artefacts this module is.
#![allow(unsafe_code)]

use crate::artefact::{Artefact, TEXT, TEXT_BYTES};

/// `make build` changes these bytes (tests/tools/finish.sh). The compiler must not assume what they are.
static ARTEFACT: [u8; TEXT_BYTES] = TEXT;

/// The artefact, as set by `make build`.
pub(super) fn own() -> Artefact {
    // Sound: it is a static. Volatile: its bytes are changed after compilation.
    let text = unsafe { (&raw const ARTEFACT).read_volatile() };
    Artefact::of(&text)
}
