//! Tabs, as yaml-cpp has them. To libyaml a tab before a token is mostly an error. yaml-cpp takes it for white space, also at
//! the begin of a line, and refuses it in two places: before what it indents (a key, `-` or `?` in block style), and in the
//! lines after a plain scalar that may go on there.
//!
//! So every tab outside scalars becomes a space, which changes no position, once those two are ruled out. Where scalars are
//! libyaml's scanner tells, of the text with spaces.

use super::super::json::SyntaxError;
use super::line_of;
use libyaml_safer::{Mark, ScalarStyle, Scanner, Token, TokenData};
use std::borrow::Cow;
use std::ops::Range;

/// The text with the tabs that separate tokens as spaces.
///
/// # Errors
/// yaml-cpp would refuse one.
pub(super) fn settle(text: &str) -> Result<Cow<'_, str>, SyntaxError> {
    if !text.contains('\t') {
        return Ok(Cow::Borrowed(text));
    }
    let spaces = text.replace('\t', " ");
    let mut bytes = spaces.as_bytes();
    let mut scanner = Scanner::new();
    scanner.set_input_string(&mut bytes);
    let mut tabs = Tabs {
        text,
        columns: Vec::new(),
        flow: 0,
        scalar: None,
        kept: Vec::new(),
    };
    // A mistake is the parser's to tell, of what has been settled up to there.
    for token in scanner.map_while(Result::ok) {
        tabs.token(&token)?;
    }
    let mut settled = String::with_capacity(text.len());
    let mut at = 0;
    for kept in tabs.kept {
        settled.push_str(spaces.get(at..kept.start).unwrap_or_default());
        settled.push_str(text.get(kept.clone()).unwrap_or_default());
        at = kept.end;
    }
    settled.push_str(spaces.get(at..).unwrap_or_default());
    Ok(Cow::Owned(settled))
}

struct Tabs<'t> {
    text: &'t str,
    /// Of the block collections that are open.
    columns: Vec<u64>,
    /// Flow collections that are open.
    flow: usize,
    /// The last token, when it was a plain scalar in block style: where it begins, and the column that it may go on at.
    scalar: Option<(Mark, u64)>,
    /// What is content.
    kept: Vec<Range<usize>>,
}

impl Tabs<'_> {
    fn token(&mut self, token: &Token) -> Result<(), SyntaxError> {
        let (start, end) = (index(token.start_mark), index(token.end_mark));
        // What `:` follows is a key, and ends in its line.
        if let Some((from, column)) = self.scalar.take()
            && !matches!(token.data, TokenData::Value)
        {
            self.after_plain(from, start, column)?;
        }
        match &token.data {
            TokenData::BlockMappingStart | TokenData::BlockSequenceStart => {
                self.columns.push(token.start_mark.column);
            }
            TokenData::BlockEnd => {
                self.columns.pop();
            }
            TokenData::FlowSequenceStart | TokenData::FlowMappingStart => {
                self.flow = self.flow.saturating_add(1);
            }
            TokenData::FlowSequenceEnd | TokenData::FlowMappingEnd => {
                self.flow = self.flow.saturating_sub(1);
            }
            TokenData::Key | TokenData::BlockEntry if self.flow == 0 => self.indents(token)?,
            TokenData::Scalar { style, .. } if *style == ScalarStyle::Plain => {
                self.keep_inner(start, end);
                if self.flow == 0 {
                    let column = self
                        .columns
                        .last()
                        .map_or(0, |column| column.saturating_add(1));
                    self.scalar = Some((token.start_mark, column));
                }
            }
            TokenData::Scalar { .. } => self.kept.push(start..end),
            _ => {}
        }
        Ok(())
    }

    /// The tabs within the lines of a plain scalar: those at their ends are folded away.
    fn keep_inner(&mut self, start: usize, end: usize) {
        let mut at = start;
        for line in self
            .text
            .get(start..end)
            .unwrap_or_default()
            .split_inclusive('\n')
        {
            let is_blank = |char: char| char.is_ascii_whitespace();
            let inner = line.trim_matches(is_blank);
            let lead = line
                .len()
                .saturating_sub(line.trim_start_matches(is_blank).len());
            let from = at.saturating_add(lead);
            self.kept.push(from..from.saturating_add(inner.len()));
            at = at.saturating_add(line.len());
        }
    }

    /// A key or an item must not stand behind a tab.
    fn indents(&self, token: &Token) -> Result<(), SyntaxError> {
        let before = self.text.get(..index(token.start_mark)).unwrap_or_default();
        let blanks = before.trim_end_matches([' ', '\t']);
        if before
            .get(blanks.len()..)
            .is_some_and(|blanks| blanks.contains('\t'))
        {
            return Err(refused(line_of(token.start_mark)));
        }
        Ok(())
    }

    /// The lines in which a plain scalar might go on, up to the next token or comment.
    fn after_plain(&self, from: Mark, to: usize, column: u64) -> Result<(), SyntaxError> {
        let rest = self.text.get(index(from)..).unwrap_or_default();
        let to = to.saturating_sub(index(from));
        let (mut at, mut number) = (0_usize, line_of(from));
        for line in rest.split_inclusive('\n') {
            if at >= to {
                break;
            }
            if at > 0 {
                let blanks = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t'));
                let tab = blanks.clone().position(|byte| byte == b'\t');
                if tab.is_some_and(|tab| u64::try_from(tab).is_ok_and(|tab| tab < column)) {
                    return Err(refused(number));
                }
            }
            let has_comment = line.starts_with('#') || line.contains(" #") || line.contains("\t#");
            if has_comment {
                break;
            }
            at = at.saturating_add(line.len());
            number = number.saturating_add(1);
        }
        Ok(())
    }
}

fn index(mark: Mark) -> usize {
    usize::try_from(mark.index).unwrap_or(usize::MAX)
}

fn refused(line: usize) -> SyntaxError {
    SyntaxError {
        line,
        message: "expected YAML, got a tab where spaces indent".to_owned(),
    }
}
