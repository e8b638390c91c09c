//! What is known of a value before it is read, and of the arrays and objects around it.

use super::Want;

/// What a value's key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    Plain,
    Sensitive,
    /// A key like `input_tokens`: a number is a count, anything else is a list of tokens.
    Count,
    /// The value of `modules` at the top.
    Modules,
    /// Below a sensitive key in `modules`.
    Version,
    /// It is a client's address, which does not stay as it is.
    Address,
}

/// An array or object that is not closed yet.
pub(super) struct Open {
    pub(super) array: bool,
    /// Of an array: elements before this one.
    pub(super) index: usize,
    /// Of an array within an array: what its first element says of the second.
    pub(super) pair: Hint,
    /// It is the event's `modules`: package names and their versions.
    pub(super) modules: bool,
    /// It stands where a count may: it stays if it is one.
    pub(super) count: Option<Count>,
    /// The visitor sees nothing of what is in it.
    pub(super) mutes: bool,
    pub(super) span: Span,
    pub(super) want: Want,
}

/// Whether an object is an attribute with a number, `{"value":3,"type":"integer"}`.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// The member that comes is `value`.
    pub(super) at_value: bool,
    /// All members `value` so far were numbers.
    pub(super) numeric: Option<bool>,
}

/// Where a value begins: in the text, and in what it becomes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) written: usize,
}
