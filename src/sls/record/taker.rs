//! Takes fields from an item's JSON, according to tables, as the scrubber passes over it.
//!
//! It sees what the scrubber leaves, so nothing can bypass the scrubber. A member of an unexpected type costs only that
//! member and not the record; of a duplicate member the last counts, as in Relay.
//!
//! It knows the tables, but no item kind. What is done with the fields afterwards is not its concern.

use crate::meter::Meter;
use crate::sls::scrub::{Kind, Visitor, Want};

use super::context::MAX_VALUE;
use super::draft::Draft;
use super::stack;
use super::take::{StackPart, Table, Take};

/// The error of a text that is JSON of another kind.
pub(super) const NO_OBJECT: &str = "not a JSON object";

/// Units of a name, of a value, of one that is taken, of an element of a stack, of an entry, and of a byte of a value.
const KEY: u64 = 150;
const VALUE: u64 = 100;
const PUT: u64 = 900;
const ELEMENT: u64 = 1_500;
const ENTRY: u64 = 4_000;
const COPY: u64 = 2;

/// The draft of the item, and that of a container's item which is an entry itself.
const WHOLE: usize = 0;
const SINGLE: usize = 1;

/// What of an item's JSON goes where.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The members of the item.
    pub(super) table: Table,
    /// If the item may be an entry itself: its members.
    pub(super) single: Option<Table>,
    /// If the elements of a [`Take::List`] become records: their members.
    pub(super) entries: Option<Table>,
    /// So many entries are kept.
    pub(super) max_entries: usize,
    /// Where an entry's own JSON is cut, if it is kept.
    pub(super) payload: Option<usize>,
}

/// What the values of an array or object are.
#[derive(Clone, Copy)]
enum Node {
    Ignored,
    /// Members, by a table, of this draft.
    Object(Table, usize),
    /// The item itself: members of it, or of it as an entry.
    Item,
    /// Elements of a stack, of this draft.
    List(StackPart, usize),
    /// One element of such a list, or `values` with a list of them: the name tells.
    OneOrList(StackPart, usize, usize),
    Counted(usize),
    Entries(&'static str),
}

/// What is done when a value is over.
#[derive(Clone, Copy)]
enum End {
    Nothing,
    Put(Take, usize),
    /// The last draft is an element of a stack of this one.
    Element(StackPart, usize),
    /// The last draft is an entry of this list.
    Entry(&'static str),
    /// Its number of elements goes there.
    Count(&'static str, usize),
}

/// What a value is, by where it stands.
#[derive(Clone, Copy)]
enum Role {
    Unknown,
    Item,
    Member(Take, usize),
    Element(StackPart, usize),
    /// A list of a stack, or one element of it.
    Values(StackPart, usize),
    Entry(&'static str),
}

/// An entry of a list, which becomes a record of its own.
pub(super) struct Entry {
    pub(super) list: &'static str,
    pub(super) draft: Draft,
}

/// See the module's documentation.
pub(super) struct Taker {
    plan: Plan,
    open: Vec<(Node, End)>,
    /// What the member that comes is.
    next: Role,
    /// What is done with the scalar that has begun, and whether it may be `null`.
    scalar: Option<(End, Kind)>,
    drafts: Vec<Draft>,
    spare: Vec<Draft>,
    /// Lists of entries that were found, entries in them, and those of them that are kept.
    pub(super) lists: usize,
    pub(super) count: usize,
    pub(super) entries: Vec<Entry>,
    /// The item was cut within a list of entries, and within an entry.
    pub(super) list_is_open: bool,
    pub(super) entry_is_open: bool,
    /// What the item is, once it has begun.
    pub(super) kind: Option<Kind>,
}

impl Taker {
    pub(super) fn new(plan: Plan, whole: Draft) -> Self {
        Self {
            plan,
            open: Vec::new(),
            next: Role::Item,
            scalar: None,
            drafts: vec![whole, Draft::default()],
            spare: Vec::new(),
            lists: 0,
            count: 0,
            entries: Vec::new(),
            list_is_open: false,
            entry_is_open: false,
            kind: None,
        }
    }

    /// Whether an item without entries is one itself.
    pub(super) fn may_be_entry(&self) -> bool {
        self.plan.single.is_some()
    }

    /// The item is over, or was cut here: what is open ends. Gives its draft, and that of it as an entry.
    pub(super) fn finish(&mut self) -> (Draft, Draft) {
        // What has begun of a scalar is none.
        if let Some((End::Element(..) | End::Entry(_), _)) = self.scalar.take() {
            self.drafts.pop();
        }
        while let Some((node, end)) = self.open.pop() {
            self.list_is_open |= matches!(node, Node::Entries(_));
            self.entry_is_open |= matches!(end, End::Entry(_));
            match end {
                End::Element(list, owner) => self.element(list, owner),
                // An entry that is not whole is none.
                End::Entry(_) => drop(self.drafts.pop()),
                End::Nothing | End::Put(..) | End::Count(..) => {}
            }
        }
        let mut drafts = self.drafts.drain(..);
        let whole = drafts.next().unwrap_or_default();
        let single = drafts.next().unwrap_or_default();
        (whole, single)
    }

    fn role(&mut self) -> Role {
        let next = std::mem::replace(&mut self.next, Role::Unknown);
        match self.open.last_mut() {
            None => next,
            Some((Node::List(list, owner), _)) => Role::Element(*list, *owner),
            Some((Node::Counted(count), _)) => {
                *count = count.saturating_add(1);
                Role::Unknown
            }
            Some((Node::Entries(list), _)) => {
                let list = *list;
                self.count = self.count.saturating_add(1);
                if self.entries.len() < self.plan.max_entries {
                    Role::Entry(list)
                } else {
                    Role::Unknown
                }
            }
            Some((Node::Object(..) | Node::Item | Node::OneOrList(..), _)) => next,
            Some((Node::Ignored, _)) => Role::Unknown,
        }
    }

    fn member(&self, key: &str) -> Role {
        let find = |table: Table, into| {
            let (_, take) = table.iter().find(|(name, _)| *name == key)?;
            Some(Role::Member(*take, into))
        };
        let found = match self.open.last() {
            Some((Node::Object(table, into), _)) => find(table, *into),
            Some((Node::Item, _)) => {
                find(self.plan.table, WHOLE).or_else(|| find(self.plan.single?, SINGLE))
            }
            Some((Node::OneOrList(list, owner, into), _)) => find(stack::element(*list), *into)
                .or_else(|| (key == "values").then_some(Role::Values(*list, *owner))),
            _ => None,
        };
        found.unwrap_or(Role::Unknown)
    }

    fn new_draft(&mut self) -> usize {
        let draft = self.spare.pop().unwrap_or_default();
        self.drafts.push(draft);
        self.drafts.len().saturating_sub(1)
    }

    fn element(&mut self, list: StackPart, owner: usize) {
        let Some(element) = self.drafts.pop() else {
            return;
        };
        let free = match self.drafts.get_mut(owner) {
            Some(owner) => owner.stack.add(list, element),
            None => Some(element),
        };
        if let Some(mut free) = free {
            free.clear();
            self.spare.push(free);
        }
    }

    fn entry(&mut self, list: &'static str, json: &str) {
        let Some(mut draft) = self.drafts.pop() else {
            return;
        };
        let length = json.len();
        draft.set("sentry.item_bytes", &length.to_string());
        if let Some(limit) = self.plan.payload.filter(|_| !draft.is_bad()) {
            draft.set_within("payload", json, limit, length);
        }
        self.entries.push(Entry { list, draft });
    }

    /// What a value is: the node that its own values belong to, what is done at its end, and what is wanted of it.
    fn read(&mut self, kind: Kind) -> (Node, End, Want) {
        let is_object = kind == Kind::Object;
        let is_array = kind == Kind::Array;
        let ignored = (Node::Ignored, End::Nothing, Want::Nothing);
        match self.role() {
            Role::Unknown => ignored,
            Role::Item => {
                self.kind = Some(kind);
                if is_object {
                    (Node::Item, End::Nothing, Want::Nothing)
                } else {
                    ignored
                }
            }
            Role::Element(list, owner) => {
                let into = self.new_draft();
                let node = if is_object {
                    Node::Object(stack::element(list), into)
                } else {
                    Node::Ignored
                };
                (node, End::Element(list, owner), Want::Nothing)
            }
            Role::Values(list, owner) => self.values(list, owner, kind),
            Role::Entry(list) => {
                let into = self.new_draft();
                let table = self.plan.entries.filter(|_| is_object);
                let node = match (table, self.drafts.get_mut(into)) {
                    (Some(table), _) => Node::Object(table, into),
                    (None, Some(draft)) => {
                        draft.error("bad item", NO_OBJECT);
                        Node::Ignored
                    }
                    (None, None) => Node::Ignored,
                };
                (node, End::Entry(list), Want::Json)
            }
            Role::Member(Take::Stack(list), owner) => self.values(list, owner, kind),
            Role::Member(Take::List(name), into) => {
                if self.plan.entries.is_none() {
                    return if is_array {
                        (Node::Counted(0), End::Count(name, into), Want::Nothing)
                    } else {
                        ignored
                    };
                }
                self.lists = self.lists.saturating_add(1);
                if is_array {
                    (Node::Entries(name), End::Nothing, Want::Nothing)
                } else {
                    ignored
                }
            }
            Role::Member(take, into) => {
                if !is_object && !is_array {
                    return (Node::Ignored, End::Put(take, into), take.of_scalar());
                }
                let want = take.of_container();
                if let (Take::With(field, _), Some(draft)) = (take, self.drafts.get_mut(into)) {
                    draft.announce(field);
                }
                let node = match take.table().filter(|_| is_object) {
                    Some(table) => Node::Object(table, into),
                    None => Node::Ignored,
                };
                (node, End::Put(take, into), want)
            }
        }
    }

    /// A list of a stack, in any of its forms.
    fn values(&mut self, list: StackPart, owner: usize, kind: Kind) -> (Node, End, Want) {
        match kind {
            Kind::Array => (Node::List(list, owner), End::Nothing, Want::Nothing),
            Kind::Object => {
                let into = self.new_draft();
                let node = Node::OneOrList(list, owner, into);
                (node, End::Element(list, owner), Want::Nothing)
            }
            Kind::String | Kind::Number | Kind::Literal => {
                (Node::Ignored, End::Nothing, Want::Nothing)
            }
        }
    }
}

impl Visitor for Taker {
    fn key(&mut self, key: &str, meter: &mut Meter) {
        meter.spend(KEY);
        self.next = self.member(key);
    }

    fn begin(&mut self, kind: Kind, meter: &mut Meter) -> Want {
        meter.spend(VALUE);
        let (node, end, want) = self.read(kind);
        match kind {
            Kind::Object | Kind::Array => self.open.push((node, end)),
            Kind::String | Kind::Number | Kind::Literal => self.scalar = Some((end, kind)),
        }
        want
    }

    fn looks_inside(&self) -> bool {
        !matches!(self.open.last(), Some((Node::Ignored, _)))
    }

    fn end(&mut self, value: Option<&str>, meter: &mut Meter) {
        let (end, kind, count) = match self.scalar.take() {
            Some((end, kind)) => (end, kind, 0),
            None => match self.open.pop() {
                Some((Node::Counted(count), end)) => (end, Kind::Array, count),
                Some((_, end)) => (end, Kind::Object, 0),
                None => return,
            },
        };
        match end {
            End::Nothing => {}
            End::Put(take, into) => {
                let no_text = kind == Kind::Literal
                    && take.of_scalar() == Want::Text
                    && value == Some("null");
                if let (Some(value), Some(draft)) = (value, self.drafts.get_mut(into))
                    && !no_text
                {
                    meter.spend(PUT);
                    meter.spend_bytes(value.len().min(MAX_VALUE), COPY);
                    take.put(value, draft);
                }
            }
            End::Element(list, owner) => {
                meter.spend(ELEMENT);
                self.element(list, owner);
            }
            End::Entry(list) => {
                let json = value.unwrap_or_default();
                meter.spend(ENTRY);
                meter.spend_bytes(json.len(), COPY);
                self.entry(list, json);
            }
            End::Count(name, into) => {
                if let Some(draft) = self.drafts.get_mut(into) {
                    draft.set(name, &count.to_string());
                }
            }
        }
    }
}
