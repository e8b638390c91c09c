//! The part of the document that is written from the tables.

use std::fmt::Write;

use super::rows::{Rows, TIME, variants};
use crate::sls::record::item_kind::{Gives, ItemKind, Reads};
use crate::sls::record::kind::{REGISTER, Row};
use crate::sls::record::take::Take;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/sls-fields.md");
const BEGIN: &str = "<!-- The tables say it (src/sls/record/kind/): UPDATE=1 cargo test --lib sls::record writes it. -->\n";
const END: &str = "<!-- Until here. -->\n";

/// Rows of the register that are written together: those of one kind, and kinds with the same members.
fn groups() -> Vec<Vec<(String, &'static ItemKind)>> {
    let mut groups: Vec<Vec<(String, &'static ItemKind)>> = Vec::new();
    for Row {
        ty,
        content_types,
        kind,
    } in REGISTER
    {
        let types: Vec<_> = content_types.iter().map(|ty| format!("`{ty}`")).collect();
        let mut name = format!("`{ty}`");
        if !types.is_empty() {
            write!(name, " of content type {}", types.join(" or ")).unwrap();
        }
        let same = groups.iter_mut().find(|group| {
            let first = group[0].1;
            first.table == kind.table && first.reads == kind.reads
        });
        match same {
            None => groups.push(vec![(name, kind)]),
            Some(group) => match group
                .iter_mut()
                .find(|(_, known)| std::ptr::eq(*known, *kind))
            {
                Some((names, _)) => *names = format!("{names}, {name}"),
                None => group.push((name, kind)),
            },
        }
    }
    groups
}

fn lists(kind: &ItemKind) -> String {
    let lists = kind.table.iter();
    let lists = lists.filter(|(_, take)| matches!(take, Take::List(_)));
    lists
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn section(group: &[(String, &'static ItemKind)]) -> String {
    let names: Vec<_> = group.iter().map(|(name, _)| name.as_str()).collect();
    let kind = group[0].1;
    let mut text = format!("### {}\n\n", names.join(", "));
    let mut said = Vec::new();
    if kind.reads == Reads::Nothing {
        said.push("And any type that is not on this page. Only what the headers tell.".to_owned());
    }
    if kind.reads == Reads::FirstLine {
        said.push("Of the first line.".to_owned());
    }
    if kind.reads == Reads::Head {
        said.push(
            "Of the first `meta_length` bytes; without that in the header, only what the headers tell."
                .to_owned(),
        );
    }
    if kind.reads == Reads::HeadOrObject {
        said.push("Of the first `meta_length` bytes, where the header has that.".to_owned());
    }
    if let Gives::Entries(entries) = kind.gives {
        said.push(format!("One log for each element of {}.", lists(kind)));
        if entries.single.is_some() {
            said.push("An item without that list is one element itself.".to_owned());
        }
    }
    if matches!(kind.gives, Gives::Metadata) {
        said.push("No `payload`.".to_owned());
    }
    if kind.reads == Reads::AnyJson {
        said.push("The item may be a list, of which only `payload` is kept.".to_owned());
    }
    if !said.is_empty() {
        writeln!(text, "{}\n", said.join(" ")).unwrap();
    }
    let mut all = Vec::new();
    let mut besides = Vec::new();
    for (name, kind) in group {
        let (rows, other) = variants(name, kind);
        all.push((name.as_str(), rows));
        besides.extend(other);
    }
    table(&mut text, &all);
    for (title, rows) in besides {
        writeln!(text, "#### {title}\n").unwrap();
        table(&mut text, &[("", rows)]);
    }
    text
}

/// Fields and sources; with the names of the kinds where these differ.
fn table(text: &mut String, all: &[(&str, Rows)]) {
    let mut fields: Vec<&str> = Vec::new();
    for (field, _) in all.iter().flat_map(|(_, rows)| &rows.0) {
        if !fields.contains(&field.as_str()) {
            fields.push(field);
        }
    }
    if fields.is_empty() {
        return;
    }
    fields.sort_by_key(|field| *field != TIME);
    text.push_str("| field | source |\n| --- | --- |\n");
    for field in fields {
        let mut sources: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, rows) in all {
            let Some(source) = rows.source(field) else {
                continue;
            };
            match sources.iter_mut().find(|(known, _)| *known == source) {
                Some((_, names)) => names.push(name),
                None => sources.push((source, vec![name])),
            }
        }
        let everywhere = sources.len() == 1 && sources[0].1.len() == all.len();
        let sources = sources.iter().map(|(source, names)| {
            if everywhere {
                source.clone()
            } else {
                format!("{}: {source}", names.join(", "))
            }
        });
        let sources = sources.collect::<Vec<_>>().join(" · ");
        let field = if field == TIME {
            field.to_owned()
        } else {
            format!("`{field}`")
        };
        writeln!(text, "| {field} | {sources} |").unwrap();
    }
    text.push('\n');
}

/// The document around what is generated, and that.
pub(super) fn document() -> (String, String, String) {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (between, after) = rest.split_once(END).unwrap();
    (before.to_owned(), between.to_owned(), after.to_owned())
}

#[test]
fn the_document_has_what_the_tables_say() {
    let (before, found, after) = document();
    let sections = groups()
        .iter()
        .map(|group| section(group))
        .collect::<String>();
    let wanted = format!("\n{sections}");
    if std::env::var_os("UPDATE").is_some() {
        // At once: another test may be reading it.
        let new = format!("{FILE}.new");
        std::fs::write(&new, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        std::fs::rename(new, FILE).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "envoy/sls-fields.md is not what the tables say: UPDATE=1 cargo test --lib sls::record"
    );
}
