//! The dictionary of brotli (RFC 7932, appendix A).
//!
//! Unpacked it would be a tenth of the module, so the module contains it packed (`build.rs`). It is unpacked when the first
//! body with this encoding comes, in steps like everything else, and stays.

use std::cell::OnceCell;
use std::rc::Rc;

use super::super::Reason;
use super::super::inflate::Inflate;
use super::super::output::Output;
use crate::meter::Meter;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/brotli_dictionary.deflate"));
/// The unpacked size.
const SIZE: usize = 122_784;

thread_local! {
    static WHOLE: OnceCell<Rc<Vec<u8>>> = const { OnceCell::new() };
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Dictionary {
    bytes: Option<Rc<Vec<u8>>>,
    unpacking: Option<Box<(Inflate, Output)>>,
}

impl Dictionary {
    /// Unpacks a piece. Returns whether it is all there.
    pub(super) fn advance(&mut self, meter: &mut Meter) -> Result<bool, Reason> {
        if self.bytes.is_none() {
            self.bytes = WHOLE.with(|whole| whole.get().cloned());
        }
        if self.bytes.is_some() {
            self.unpacking = None;
            return Ok(true);
        }
        let (inflate, output) = match &mut self.unpacking {
            Some(unpacking) => &mut **unpacking,
            empty => {
                let output = Output::exact(SIZE)?;
                let mut inflate = Inflate::new();
                inflate.begin(0, &output);
                &mut **empty.insert(Box::new((inflate, output)))
            }
        };
        if inflate.advance(PACKED, output, meter)?.is_none() {
            return Ok(false);
        }
        let bytes = std::mem::replace(output, Output::new(0)).into_bytes();
        // If two were unpacking it, the first one is used.
        self.bytes = WHOLE.with(|whole| Some(Rc::clone(whole.get_or_init(|| Rc::new(bytes)))));
        self.unpacking = None;
        Ok(true)
    }

    /// `length` bytes from `start` on.
    pub(super) fn word(&self, start: usize, length: usize) -> Option<&[u8]> {
        let bytes = self.bytes.as_deref()?;
        bytes.get(start..start.wrapping_add(length))
    }

    /// Memory held while it is being unpacked.
    pub(super) fn memory(&self) -> usize {
        self.unpacking.as_deref().map_or(0, |(inflate, output)| {
            inflate.memory().saturating_add(output.capacity())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brotli_decompressor::dictionary::kBrotliDictionary;

    #[test]
    fn it_is_the_dictionary_however_often_it_stops() {
        for units in [1, u64::MAX] {
            let mut dictionary = Dictionary::default();
            let mut steps = 0;
            while dictionary.advance(&mut Meter::new(units)) == Ok(false) {
                assert!((SIZE..2 * SIZE).contains(&dictionary.memory()));
                steps += 1;
            }
            // The second finds what the first has unpacked.
            assert_eq!(steps > 100, units == 1, "{steps}");
            assert_eq!(dictionary.memory(), 0);
            assert_eq!(dictionary.word(0, SIZE), Some(kBrotliDictionary.as_slice()));
            assert_eq!(dictionary.word(SIZE, 1), None);
        }
    }
}
