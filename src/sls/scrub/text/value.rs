//! A sensitive value whose beginning is known: finds its end, in pieces, looking at no byte twice.
//!
//! A value is what is quoted (also with quotes that are escaped themselves, or in a URL), or what is in brackets, or it
//! reaches to the next white space or one of `&;,"'` and closing brackets. Behind `Authorization:` and `Cookie:` it
//! reaches to the end of the line, or of the string the line stands in; over the scheme behind `Authorization=`; over
//! `; ` behind `Cookie=`.

use super::delimiter::{is_delimiter, opens};
use super::lookback::is_quote;

/// Schemes of `Authorization`, which a space divides from what is secret.
const SCHEMES: &[&str] = &["bearer", "basic", "negotiate", "token", "apikey"];

/// As many backslashes may stand before a quote that is escaped.
const MAX_ESCAPES: usize = 16;

/// What is known about a value from its key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    /// Only if it is quoted: unquoted it is usually prose.
    pub(super) quoted: bool,
    /// Only if it is quoted, or follows at once.
    pub(super) tight: bool,
    /// It reaches to the end of the line, or to this quote.
    pub(super) line: Option<Option<(u8, bool)>>,
    /// It goes on behind semicolons.
    pub(super) cookie: bool,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Marks and white space before it.
    Before,
    /// Between quotes: how many of them, whether the last byte escapes the next.
    Quoted {
        quote: u8,
        triple: bool,
        escaped: bool,
    },
    /// Between quotes that are escaped. Where the last backslashes began.
    Escaped {
        slashes: Option<usize>,
    },
    /// Between `%22` or `%27`.
    Encoded {
        last: u8,
    },
    /// Behind the last byte that is not white space.
    Line {
        quote: Option<(u8, bool)>,
        last: usize,
        escaped: bool,
    },
    Bracket {
        depth: u32,
        quote: Option<u8>,
        escaped: bool,
    },
    Bare {
        scheme: bool,
    },
    /// White space behind a scheme.
    Scheme,
    Cookie {
        quoted: bool,
        many: bool,
    },
}

/// See the module's documentation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    expected: Expected,
    kind: Kind,
    start: usize,
}

/// The result for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It is not over yet.
    More,
    /// None begins here.
    Nothing,
    Range {
        start: usize,
        end: usize,
        quoted: bool,
    },
}

impl Value {
    /// A value from `at`, behind marks and white space.
    pub(super) fn new(at: usize, expected: Expected) -> Self {
        Self {
            expected,
            kind: Kind::Before,
            start: at,
        }
    }

    /// A value that began at `start` and reaches to the next delimiter.
    pub(super) fn bare(start: usize) -> Self {
        Self {
            expected: Expected::default(),
            kind: Kind::Bare { scheme: false },
            start,
        }
    }

    /// A value that is quoted or in brackets at `at`, or none.
    pub(super) fn enclosed(bytes: &[u8], at: usize) -> Option<Self> {
        let mut value = Self::new(
            at,
            Expected {
                quoted: true,
                ..Expected::default()
            },
        );
        if value.open(bytes, at) {
            return Some(value);
        }
        matches!(bytes.get(at), Some(b'{' | b'[' | b'(')).then(|| Self {
            kind: bracket(),
            ..value
        })
    }

    /// Where it begins, as far as is known.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Goes on from `at` to `limit`. Behind it is where the value ends, or where to go on.
    pub(super) fn run(&mut self, bytes: &[u8], at: &mut usize, limit: usize) -> Found {
        while *at < limit {
            let Some(byte) = bytes.get(*at).copied() else {
                break;
            };
            match self.take(bytes, *at, byte) {
                Next::Byte => *at = at.saturating_add(1),
                Next::From(next) => *at = next,
                Next::End => return self.range(*at),
                Next::Nothing => return Found::Nothing,
            }
        }
        Found::More
    }

    /// At the end of the text: what there is of it.
    pub(super) fn end(&self, at: usize) -> Found {
        match self.kind {
            Kind::Before => Found::Nothing,
            _ => self.range(at),
        }
    }

    fn range(&self, at: usize) -> Found {
        let (end, quoted) = match self.kind {
            Kind::Line { last, .. } => (last, false),
            Kind::Quoted { .. } | Kind::Encoded { .. } => (at, true),
            Kind::Escaped { slashes } => (slashes.unwrap_or(at), true),
            _ => (at, false),
        };
        Found::Range {
            start: self.start,
            end,
            quoted,
        }
    }

    fn take(&mut self, bytes: &[u8], at: usize, byte: u8) -> Next {
        let next = bytes.get(at.saturating_add(1)).copied();
        match &mut self.kind {
            Kind::Before if matches!(byte, b'=' | b'>' | b'~' | b' ' | b'\t') => Next::Byte,
            Kind::Before => self.begin(bytes, at, byte),
            Kind::Quoted {
                quote,
                triple,
                escaped,
            } => {
                let closing = byte == *quote
                    && !*escaped
                    && (!*triple
                        || (next == Some(*quote)
                            && bytes.get(at.saturating_add(2)) == Some(quote)));
                *escaped = byte == b'\\' && !*escaped;
                if closing { Next::End } else { Next::Byte }
            }
            Kind::Escaped { slashes } => match byte {
                b'"' | b'\'' => Next::End,
                b'\\' => {
                    slashes.get_or_insert(at);
                    Next::Byte
                }
                _ => {
                    *slashes = None;
                    Next::Byte
                }
            },
            Kind::Encoded { last } => {
                let closing = byte == b'%'
                    && next == Some(b'2')
                    && bytes.get(at.saturating_add(2)) == Some(last);
                if closing { Next::End } else { Next::Byte }
            }
            Kind::Line {
                quote,
                last,
                escaped,
            } => {
                let closes = match *quote {
                    Some((quote, true)) => byte == b'\\' && next == Some(quote),
                    Some((quote, false)) => byte == quote && !*escaped,
                    None => false,
                };
                if closes || matches!(byte, b'\r' | b'\n') {
                    return Next::End;
                }
                *escaped = byte == b'\\' && !*escaped;
                if !byte.is_ascii_whitespace() {
                    *last = at.saturating_add(1);
                }
                Next::Byte
            }
            Kind::Bracket {
                depth,
                quote,
                escaped,
            } => {
                match quote {
                    Some(open) => {
                        if byte == *open && !*escaped {
                            *quote = None;
                        }
                        *escaped = byte == b'\\' && !*escaped;
                    }
                    None => match byte {
                        b'{' | b'[' | b'(' => *depth = depth.saturating_add(1),
                        b'}' | b']' | b')' => *depth = depth.saturating_sub(1),
                        _ if is_quote(byte) && opens(bytes, at) => *quote = Some(byte),
                        _ => {}
                    },
                }
                if *depth == 0 {
                    self.kind = Kind::Bare { scheme: false };
                }
                Next::Byte
            }
            Kind::Bare { scheme } => {
                if !is_delimiter(bytes, at, byte) {
                    return Next::Byte;
                }
                let word = bytes.get(self.start..at).unwrap_or_default();
                let is = |scheme: &str| word.eq_ignore_ascii_case(scheme.as_bytes());
                if *scheme && byte == b' ' && is("digest") {
                    self.kind = line(None, at);
                } else if *scheme && byte == b' ' && SCHEMES.iter().any(|scheme| is(scheme)) {
                    self.kind = Kind::Scheme;
                } else {
                    return Next::End;
                }
                Next::Byte
            }
            Kind::Scheme if matches!(byte, b' ' | b'+') => Next::Byte,
            Kind::Scheme => {
                self.kind = Kind::Bare { scheme: false };
                Next::From(at)
            }
            Kind::Cookie { quoted, many } => {
                let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
                match byte {
                    b'"' if *quoted => *quoted = false,
                    b'"' if before == Some(b'=') => *quoted = true,
                    _ if *quoted => {}
                    b';' => *many = true,
                    b' ' if before == Some(b';') => {}
                    b'&' if *many => {}
                    _ if is_delimiter(bytes, at, byte) => return Next::End,
                    _ => {}
                }
                Next::Byte
            }
        }
    }

    /// The first byte of the value.
    fn begin(&mut self, bytes: &[u8], at: usize, byte: u8) -> Next {
        let spaced = at > self.start;
        self.start = at;
        if self.open(bytes, at) {
            return Next::From(self.start);
        }
        if self.expected.quoted || (self.expected.tight && spaced) {
            return Next::Nothing;
        }
        self.kind = match (self.expected.line, byte) {
            (Some(quote), _) => line(quote, at),
            (None, b'{' | b'[' | b'(') => bracket(),
            (None, _) if self.expected.cookie => Kind::Cookie {
                quoted: false,
                many: false,
            },
            (None, _) => Kind::Bare { scheme: true },
        };
        Next::From(at)
    }

    /// Whether it is quoted here. Then it begins behind the quote.
    fn open(&mut self, bytes: &[u8], at: usize) -> bool {
        let byte = |at: usize| bytes.get(at).copied();
        // Python's prefixes: b'...', u'...', rb'...'.
        let mut start = at;
        while matches!(byte(start), Some(b'b' | b'u' | b'r' | b'f')) && start < at.saturating_add(2)
        {
            start = start.saturating_add(1);
        }
        if let Some(quote) = byte(start).filter(|byte| is_quote(*byte)) {
            let second = byte(start.saturating_add(1)) == Some(quote);
            let triple = second && byte(start.saturating_add(2)) == Some(quote);
            self.start = start.saturating_add(if triple { 3 } else { 1 });
            self.kind = Kind::Quoted {
                quote,
                triple,
                escaped: false,
            };
            return true;
        }
        if byte(at) == Some(b'%')
            && byte(at.saturating_add(1)) == Some(b'2')
            && let Some(last @ (b'2' | b'7')) = byte(at.saturating_add(2))
        {
            self.start = at.saturating_add(3);
            self.kind = Kind::Encoded { last };
            return true;
        }
        let mut inner = start;
        while byte(inner) == Some(b'\\') && inner < start.saturating_add(MAX_ESCAPES) {
            inner = inner.saturating_add(1);
        }
        if inner > start && matches!(byte(inner), Some(b'"' | b'\'')) {
            self.start = inner.saturating_add(1);
            self.kind = Kind::Escaped { slashes: None };
            return true;
        }
        false
    }
}

/// What one byte of a value comes to.
enum Next {
    Byte,
    /// Go on from here.
    From(usize),
    /// The value ends before it.
    End,
    Nothing,
}

fn line(quote: Option<(u8, bool)>, at: usize) -> Kind {
    Kind::Line {
        quote,
        last: at,
        escaped: false,
    }
}

fn bracket() -> Kind {
    Kind::Bracket {
        depth: 0,
        quote: None,
        escaped: false,
    }
}
