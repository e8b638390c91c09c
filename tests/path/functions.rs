//! Which file of the project a mark of the trace stands for.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use wasmparser::{KnownCustom, Name, Operator, Parser, Payload, TypeRef};

/// The marks of a traced module.
pub(crate) struct Functions {
    files: HashMap<u32, String>,
}

impl Functions {
    /// `built` has the debug information, `traced` the marks; the names of the functions are in both.
    pub(crate) fn new(built: &[u8], traced: &[u8]) -> Self {
        let built = Contents::of(built);
        let files = built.files();
        let traced = Contents::of(traced);
        let logger = traced
            .imported
            .iter()
            .position(|name| *name == "log_execution")
            .expect("the module is not traced");
        let mut marks = HashMap::new();
        for (body, function) in traced.bodies.iter().zip(traced.imported.len()..) {
            let name = traced.names.get(&(function as u32)).copied();
            let Some(file) = name.and_then(|name| files.get(name)) else {
                continue;
            };
            for mark in body.marks(logger as u32) {
                marks.insert(mark, file.clone());
            }
        }
        Self { files: marks }
    }

    /// The file, below the root of the project; none for the code of other crates.
    pub(crate) fn file(&self, mark: u32) -> Option<&str> {
        self.files.get(&mark).map(String::as_str)
    }
}

struct Contents<'a> {
    imported: Vec<&'a str>,
    bodies: Vec<Body<'a>>,
    names: BTreeMap<u32, &'a str>,
    custom: HashMap<&'a str, &'a [u8]>,
    /// Debug information counts from here.
    code_at: usize,
}

struct Body<'a>(wasmparser::FunctionBody<'a>);

impl<'a> Contents<'a> {
    fn of(module: &'a [u8]) -> Self {
        let mut contents = Self {
            imported: Vec::new(),
            bodies: Vec::new(),
            names: BTreeMap::new(),
            custom: HashMap::new(),
            code_at: 0,
        };
        for payload in Parser::new(0).parse_all(module) {
            match payload.expect("it is no wasm") {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.expect("an import");
                        if matches!(import.ty, TypeRef::Func(_)) {
                            contents.imported.push(import.name);
                        }
                    }
                }
                Payload::CodeSectionStart { range, .. } => contents.code_at = range.start,
                Payload::CodeSectionEntry(body) => contents.bodies.push(Body(body)),
                Payload::CustomSection(section) => {
                    contents.custom.insert(section.name(), section.data());
                    if let KnownCustom::Name(names) = section.as_known() {
                        for name in names {
                            if let Ok(Name::Function(functions)) = name {
                                let functions = functions.into_iter().flatten();
                                let named = functions.map(|own| (own.index, own.name));
                                contents.names.extend(named);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        contents
    }

    /// The file of each function of the project by the function's name.
    fn files(&self) -> HashMap<&'a str, String> {
        let section = |id: SectionId| -> Result<_, addr2line::gimli::Error> {
            let data = self.custom.get(id.name()).copied().unwrap_or_default();
            Ok(EndianSlice::new(data, LittleEndian))
        };
        let dwarf = Dwarf::load(section).expect("debug information");
        let lines = addr2line::Context::from_dwarf(dwarf).expect("debug information");
        let mut files = HashMap::new();
        for (body, function) in self.bodies.iter().zip(self.imported.len()..) {
            let Some(name) = self.names.get(&(function as u32)) else {
                continue;
            };
            let at = body.0.range().start - self.code_at;
            let Ok(Some(place)) = lines.find_location(at as u64) else {
                continue;
            };
            if let Some(file) = place.file.and_then(own) {
                files.insert(*name, file.into_owned());
            }
        }
        files
    }
}

impl Body<'_> {
    /// The marks in it: a number for the logger, at its beginning, its end and in its loops.
    fn marks(&self, logger: u32) -> Vec<u32> {
        let mut marks = Vec::new();
        let mut last = None;
        for operator in self.0.get_operators_reader().expect("code") {
            match operator.expect("an instruction") {
                Operator::I32Const { value } => last = Some(value as u32),
                Operator::Call { function_index } if function_index == logger => {
                    marks.extend(last.take());
                }
                _ => last = None,
            }
        }
        marks
    }
}

/// The build writes paths below the project's root as `./src/...`.
fn own(path: &str) -> Option<Cow<'_, str>> {
    let at = path.find("src/")?;
    let (before, path) = path.split_at(at);
    matches!(before, "" | "./").then_some(Cow::Borrowed(path))
}
