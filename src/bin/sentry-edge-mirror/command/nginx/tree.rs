//! The directives of an nginx configuration, `include` followed.
//!
//! As in nginx a relative path stands under the folder of the main file, and a pattern without a match is no mistake. A
//! file that cannot be read is one to nginx, but not here: a configuration is often looked at on another machine, without
//! /etc/nginx/mime.types. It is noted.

use super::super::document::json::SyntaxError;
use super::super::finding::Finding;
use super::super::source;
use super::token::{Token, Word, tokens};
use std::path::Path;
use std::rc::Rc;

/// A directive with its arguments and, for blocks, what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: Word,
    pub(crate) args: Vec<Word>,
    pub(crate) block: Option<Vec<Directive>>,
    pub(crate) file: Rc<str>,
}

impl Directive {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.text == name
    }

    /// An argument.
    pub(crate) fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(|word| word.text.as_str())
    }

    /// What is in the block.
    pub(crate) fn inner(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Something about this directive.
    pub(crate) fn finding(&self, message: impl Into<String>) -> Finding {
        Finding::new(&self.file, self.name.line, message)
    }

    /// The directive as it would be written, without its block.
    pub(crate) fn head(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.args);
        let words: Vec<&str> = words.map(|word| word.text.as_str()).collect();
        words.join(" ")
    }
}

/// A configuration as far as it could be read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) directives: Vec<Directive>,
    /// Files that could not be read.
    pub(crate) notes: Vec<Finding>,
}

/// nginx has no limit; a file that includes itself has no end.
const MAX_DEPTH: usize = 20;
/// Far from the end of the stack; nginx configurations are five blocks deep.
const MAX_BLOCKS: usize = 100;

/// Reads a configuration whose text is that of `file`.
pub(crate) fn load(file: &str, text: &[u8]) -> Result<Loaded, Finding> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut loader = Loader {
        folder,
        depth: 0,
        notes: Vec::new(),
    };
    let directives = loader.read(file, text)?;
    Ok(Loaded {
        directives,
        notes: loader.notes,
    })
}

struct Loader<'f> {
    folder: &'f Path,
    depth: usize,
    notes: Vec<Finding>,
}

impl Loader<'_> {
    fn read(&mut self, file: &str, text: &[u8]) -> Result<Vec<Directive>, Finding> {
        let file: Rc<str> = file.into();
        let directives =
            parse(&file, text).map_err(|error| Finding::new(&file, error.line, error.message))?;
        self.include(directives)
    }

    /// Replaces every `include` by what it names.
    fn include(&mut self, directives: Vec<Directive>) -> Result<Vec<Directive>, Finding> {
        let mut result = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if directive.is("include") && directive.block.is_none() {
                result.append(&mut self.included(&directive)?);
                continue;
            }
            directive.block = match directive.block {
                Some(block) => Some(self.include(block)?),
                None => None,
            };
            result.push(directive);
        }
        Ok(result)
    }

    fn included(&mut self, directive: &Directive) -> Result<Vec<Directive>, Finding> {
        let Some(pattern) = directive.arg(0) else {
            return Err(directive.finding("include: expected the name of a file, got nothing"));
        };
        if self.depth >= MAX_DEPTH {
            let what =
                format!("include: expected at most {MAX_DEPTH} files in each other, got more");
            return Err(directive.finding(what));
        }
        let path = self.folder.join(pattern);
        let mut files = vec![path.clone()];
        if pattern.contains(['*', '?', '[']) {
            // The folder is no pattern, whatever is in its name.
            let folder = glob::Pattern::escape(&self.folder.to_string_lossy());
            let path = Path::new(&folder).join(pattern);
            files = match glob::glob(&path.to_string_lossy()) {
                Ok(paths) => paths.filter_map(Result::ok).collect(),
                Err(error) => {
                    return Err(directive.finding(format!("include: {error}, got {pattern:?}")));
                }
            };
        }
        let mut directives = Vec::new();
        for path in files {
            let name = path.to_string_lossy();
            match source::bytes(&path) {
                Ok(text) => {
                    self.depth = self.depth.saturating_add(1);
                    directives.append(&mut self.read(&name, &text)?);
                    self.depth = self.depth.saturating_sub(1);
                }
                Err(error) => self.notes.push(directive.finding(format!(
                    "include: {name} cannot be read ({error}), what is in it was not looked at"
                ))),
            }
        }
        Ok(directives)
    }
}

fn parse(file: &Rc<str>, text: &[u8]) -> Result<Vec<Directive>, SyntaxError> {
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut current: Vec<Directive> = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut last = 1;
    for token in tokens(text)? {
        match token {
            Token::Word(word) => {
                last = word.line;
                words.push(word);
            }
            Token::End(line) => {
                last = line;
                current.push(directive(file, &mut words, line, ";")?);
            }
            Token::Open(line) => {
                last = line;
                let head = directive(file, &mut words, line, "{")?;
                if open.len() >= MAX_BLOCKS {
                    let message =
                        format!("expected at most {MAX_BLOCKS} blocks in each other, got more");
                    return Err(SyntaxError { line, message });
                }
                open.push((head, std::mem::take(&mut current)));
            }
            Token::Close(line) => {
                last = line;
                let complete = words.is_empty();
                let Some((mut head, outer)) = open.pop().filter(|_| complete) else {
                    let message = match words.first() {
                        Some(word) => format!("expected `;` after `{}`, got `}}`", word.text),
                        None => "expected a directive, got `}`".to_owned(),
                    };
                    return Err(SyntaxError { line, message });
                };
                head.block = Some(std::mem::replace(&mut current, outer));
                current.push(head);
            }
        }
    }
    let left = match (words.first(), open.last()) {
        (Some(word), _) => format!("expected `;` or `{{` after `{}`", word.text),
        (None, Some((head, _))) => format!("expected the `}}` of `{}`", head.name.text),
        (None, None) => return Ok(current),
    };
    Err(SyntaxError {
        line: last,
        message: format!("{left}, got the end of the file"),
    })
}

fn directive(
    file: &Rc<str>,
    words: &mut Vec<Word>,
    line: usize,
    end: &str,
) -> Result<Directive, SyntaxError> {
    let mut words = std::mem::take(words).into_iter();
    let Some(name) = words.next() else {
        let message = format!("expected the name of a directive, got `{end}`");
        return Err(SyntaxError { line, message });
    };
    Ok(Directive {
        name,
        args: words.collect(),
        block: None,
        file: Rc::clone(file),
    })
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn blocks_and_arguments() {
        let loaded = load("x.conf", b"a 1 '2 3';\nhttp {\n server { listen 80; }\n}\n").unwrap();
        let [a, http] = loaded.directives.as_slice() else {
            panic!("{loaded:?}");
        };
        assert_eq!((a.arg(1), a.head().as_str()), (Some("2 3"), "a 1 2 3"));
        let listen = &http.inner()[0].inner()[0];
        assert_eq!((listen.arg(0), listen.name.line), (Some("80"), 3));
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, line, message) in [
            ("a 1;\n}", 2, "expected a directive, got `}`"),
            ("http {\n a 1\n }", 3, "expected `;` after `a`, got `}`"),
            (
                "http {\n a 1;\n",
                2,
                "expected the `}` of `http`, got the end of the file",
            ),
            (
                "a\nb",
                2,
                "expected `;` or `{` after `a`, got the end of the file",
            ),
            ("a 1;;", 1, "expected the name of a directive, got `;`"),
            ("a 'b", 1, "expected the closing ', got the end of the file"),
        ] {
            let finding = load("x.conf", text.as_bytes()).unwrap_err();
            assert_eq!(
                finding.to_string(),
                format!("x.conf:{line}: {message}"),
                "{text}"
            );
        }
    }

    #[test]
    fn includes_stand_under_the_folder_of_the_main_file() {
        let folder = std::env::temp_dir().join(format!("edge-mirror-tree-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("conf.d")).unwrap();
        std::fs::write(folder.join("conf.d/b.conf"), "b 1;").unwrap();
        std::fs::write(folder.join("conf.d/a.conf"), "a 1;\ninclude c.inc;").unwrap();
        std::fs::write(folder.join("c.inc"), b"# \xb2\xe2\xca\xd4\nc 1;").unwrap();
        std::fs::write(folder.join("loop.conf"), "include loop.conf;").unwrap();
        let main = folder.join("nginx.conf");
        let main = main.to_str().unwrap();
        let text = "http { include conf.d/*.conf; include none/*.conf; include mime.types; }";
        let loaded = load(main, text.as_bytes()).unwrap();
        let names: Vec<&str> = loaded.directives[0]
            .inner()
            .iter()
            .map(|directive| directive.name.text.as_str())
            .collect();
        assert_eq!(names, ["a", "c", "b"]);
        assert_eq!(loaded.notes.len(), 1, "{:?}", loaded.notes);
        assert!(load(main, b"include loop.conf;").is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
