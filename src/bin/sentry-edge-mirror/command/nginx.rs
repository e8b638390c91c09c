//! nginx configurations: `token` splits a file as nginx does (`lua` knows OpenResty's blocks), `tree` makes directives of it
//! and follows `include`.
//!
//! The parsers on crates.io were written for linters and formatters: they split words at variables, or know the directives
//! of the stock modules only. What matters here is what nginx would hand to a module, byte for byte.

mod lua;
pub(super) mod token;
pub(super) mod tree;

pub(super) use tree::{Directive, Loaded, load};
