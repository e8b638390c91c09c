//! The document of fields (`envoy/sls-fields.md`) has exactly those that there are. The part by item kind is written from the
//! tables: `UPDATE=1 cargo test --lib sls::record`. The rest is written by hand, and checked here.

mod found;
mod index;
mod page;
mod rows;
