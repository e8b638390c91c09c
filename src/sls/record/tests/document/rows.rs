//! Which fields an item kind gives, and from where: read off its tables.

use std::collections::BTreeSet;

use crate::sls::record::item_kind::{Entries, Finish, Gives, ItemKind};
use crate::sls::record::records::{OF_CONTAINER, OF_TRANSACTION};
use crate::sls::record::stack::{self, element};
use crate::sls::record::take::{StackPart, Table, Take};

/// In the column of fields: no field, but what the log's time is.
pub(super) const TIME: &str = "*time*";

/// Where a field comes from. Of several sources the last that is there counts; one that is weak only if nothing else is.
#[derive(Clone, PartialEq)]
pub(super) struct Source {
    text: String,
    weak: bool,
}

/// Fields of a record in the order of the tables, with their sources.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Rows(pub(super) Vec<(String, Vec<Source>)>);

impl Rows {
    fn add(&mut self, field: &str, text: String, weak: bool) {
        let source = Source { text, weak };
        match self.0.iter_mut().find(|(known, _)| known == field) {
            Some((_, sources)) => sources.push(source),
            None => self.0.push((field.to_owned(), vec![source])),
        }
    }

    /// What a table gives.
    fn table(&mut self, table: Table, path: &str) {
        for (name, take) in table {
            let path = format!("{path}{name}");
            let code = match path.strip_prefix("attributes.") {
                Some(attribute) => format!("attribute `{}`", attribute.trim_end_matches(".value")),
                None => format!("`{path}`"),
            };
            match *take {
                Take::Text(field) | Take::TextOr(field, _) | Take::Id(field) => {
                    self.add(field, code, false);
                }
                Take::Fill(field) => self.add(field, code, true),
                Take::Json(field) | Take::With(field, _) => {
                    self.add(field, format!("{code}, as JSON"), false);
                }
                Take::Time => self.add(TIME, code, false),
                Take::Start => self.add(TIME, code, true),
                Take::List(field) => self.add(field, format!("number of {code}"), false),
                // Taken only at the end, if at all.
                Take::Stack(_) | Take::In(_) => {}
            }
            if let Some(table) = take.table() {
                self.table(table, &format!("{path}."));
            }
        }
    }

    /// What is made at the end.
    fn made(&mut self, kind: &ItemKind) {
        if kind.event_type != "custom" {
            self.add("event_type", format!("`{}`", kind.event_type), false);
        }
        for (field, text) in kind.finish.makes {
            self.add(field, (*text).to_owned(), false);
        }
        if kind.finish.makes == stack::MADE {
            self.table(element(StackPart::Exceptions), "exception.values[last].");
        }
    }

    /// The record of an item, or of one that is an entry itself.
    fn own(kind: &ItemKind, table: Table) -> Self {
        let mut rows = Self::default();
        rows.table(table, "");
        rows.made(kind);
        rows
    }

    /// The record of an entry.
    fn entry(kind: &ItemKind, entries: Entries) -> Self {
        let mut rows = Self::default();
        rows.table(entries.table, "");
        let mut around = Self::default();
        around.table(kind.table, "");
        for (field, sources) in around.0 {
            if field == TIME || OF_CONTAINER.contains(&field.as_str()) {
                for source in sources {
                    rows.add(&field, format!("the item's {}", source.text), source.weak);
                }
            }
        }
        if let Some(field) = entries.list {
            rows.add(field, "name of the list".to_owned(), false);
        }
        rows.made(kind);
        rows
    }

    /// The record of a transaction's span.
    fn span(table: Table) -> Self {
        let mut rows = Self::default();
        rows.table(table, "");
        for (field, text) in Finish::DURATION.makes {
            rows.add(field, (*text).to_owned(), false);
        }
        for field in OF_TRANSACTION {
            rows.add(field, format!("`{field}` of the transaction"), true);
        }
        rows
    }

    pub(super) fn fields(&self) -> BTreeSet<String> {
        let fields = self.0.iter().map(|(field, _)| field.clone());
        fields.filter(|field| field != TIME).collect()
    }

    pub(super) fn source(&self, field: &str) -> Option<String> {
        let (_, sources) = self.0.iter().find(|(known, _)| known == field)?;
        let texts = |weak| {
            let texts = sources.iter().filter(move |source| source.weak == weak);
            let texts: Vec<_> = texts.map(|source| source.text.as_str()).collect();
            Some(texts.join(", ")).filter(|texts| !texts.is_empty())
        };
        Some(match (texts(false), texts(true)) {
            (Some(strong), Some(weak)) => format!("{strong}; else {weak}"),
            (strong, weak) => strong.or(weak).unwrap_or_default(),
        })
    }
}

/// What an item of a kind gives: its own record, or that of an entry; and what else it may give, with a heading.
pub(super) fn variants(name: &str, kind: &ItemKind) -> (Rows, Option<(String, Rows)>) {
    match kind.gives {
        Gives::One | Gives::Metadata => (Rows::own(kind, kind.table), None),
        Gives::Spans(table) => {
            let title = format!("Each span of a {name}, with `sls.spans`");
            (
                Rows::own(kind, kind.table),
                Some((title, Rows::span(table))),
            )
        }
        Gives::Entries(entries) => {
            let single = entries.single.filter(|single| *single != entries.table);
            let single = single.map(|table| (format!("A single {name}"), Rows::own(kind, table)));
            (Rows::entry(kind, entries), single)
        }
    }
}
