//! The control plane as one table. In: a method and a path, a body's values. Out: which kind and verb they mean, what
//! is wrong with them, and the audit events of a change. What is not served has no row. Pure: never a store, a clock
//! or a reply.

mod audit;
pub mod chain;
mod check;
mod companion;
mod criteria;
mod domain;
mod kinds;
mod mask;
mod notice;
pub mod openapi;
mod permission;
pub mod role;
mod route;
mod verb;

pub use crate::event::OWN_PREFIX;
pub use audit::{
    Actor, Beside, Party, Scene, Subject, changed, created, deleted, difference, noted, operated,
    told, updated, whole,
};
pub use check::{Fault, Values, check, check_each, is_id};
pub use companion::{companions, derived};
pub use criteria::OPERATOR;
pub use kinds::*;
pub use mask::{mask, mask_but};
pub use notice::*;
pub use permission::{ACCOUNT_PERMISSIONS, BYPASS, Permission, Powers};
pub use route::{Match, Route, find};
pub use verb::{Act, Effect, Verb, Versioning};

/// Most rows of one list.
pub const LIST_MAX: u64 = 200;
/// Longest text of a field that says nothing else, in characters.
pub const TEXT_MAX_CHARS: u64 = 5000;

/// What a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// An account; its events carry no workspace.
    Account,
    /// A workspace.
    Workspace,
}

/// How many records of a kind there are, and whose id its events bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Any, each with an id of its own.
    Many,
    /// One for each account or workspace, whose id its events bear.
    One,
}

/// Where the paths of an account's records begin.
pub const IN_ACCOUNT: &str = "accounts/{account}";

/// One thing that a kind's events say.
#[derive(Debug)]
pub struct Action {
    /// The last part of the event's name.
    pub name: &'static str,
    /// What somebody did: a method and a path, or a sentence.
    pub act: &'static str,
    /// When the event arises.
    pub when: &'static str,
}

impl Action {
    const fn new(name: &'static str, act: &'static str, when: &'static str) -> Self {
        Self { name, act, when }
    }
}

/// One kind of record.
#[derive(Debug)]
pub struct Kind {
    /// Its name in events, errors and the store.
    pub name: &'static str,
    /// What its records belong to.
    pub scope: Scope,
    /// How many there are.
    pub number: Number,
    /// Where its paths begin, below `/api/`; parts in braces stand for ids.
    pub base: &'static str,
    /// What errors call the id in its path.
    pub id_name: &'static str,
    /// Name of the object that holds a filter's criteria.
    pub criteria: &'static str,
    /// What its records hold, in the order events and replies tell it.
    pub fields: &'static [Field],
    /// What can be done with it through the API.
    pub verbs: &'static [Verb],
    /// What its events say happened, those of other kinds' verbs among them.
    pub actions: &'static [Action],
}

impl Kind {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether its events say so.
    #[must_use]
    pub fn tells(&self, action: &str) -> bool {
        self.actions.iter().any(|known| known.name == action)
    }

    /// What the names of its events and resources begin with: our own kinds are none that clients of the original know.
    #[must_use]
    pub fn prefix(&self) -> &'static str {
        prefix_of(self.name)
    }

    /// The name of its event for an action.
    #[must_use]
    pub fn event(&self, action: &str) -> String {
        debug_assert!(self.tells(action), "{} is never {action}", self.name);
        format!("{}{}.{action}", self.prefix(), self.name)
    }

    /// The path of a verb below `/api/`, without slashes at its ends.
    #[must_use]
    pub fn path(&self, verb: &Verb) -> String {
        match verb.suffix.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None if verb.suffix.is_empty() => self.base.to_owned(),
            None => format!("{}/{}", self.base, verb.suffix),
        }
    }
}

/// What a field holds, and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text of at most so many characters; what must be said is not blank.
    Text(u64),
    /// True or false.
    Flag,
    /// The id of a record of one of these kinds.
    Reference(&'static [&'static str]),
    /// An id that names no record.
    Id,
    /// The id of something that is kept elsewhere.
    Foreign,
    /// A moment, RFC 3339.
    Instant,
    /// A whole number up to the bound.
    Count(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words, each once, in this order.
    Choices(&'static [&'static str]),
    /// One to so many ids.
    Ids(usize),
    /// At most so many texts of at most so many characters.
    Texts(usize, u64),
    /// The same, each once, in the order of letters: a set.
    Words(usize, u64),
    /// At most so many names of domains, each once, in the order of letters.
    Domains(usize),
    /// Any JSON of at most so many bytes, kept as it was sent.
    Json(usize),
    /// An object of at most so many bytes of JSON, kept as it was sent.
    Object(usize),
    /// Lower-case letters, digits and dashes.
    Handle,
    /// Criteria over id, name and these fields.
    Criteria(&'static [&'static str]),
    /// What a person proves themselves with; taken, digested, never told.
    Password,
    /// The same as somebody typed it who wants to come in: at most so many characters.
    Phrase(u64),
    /// A secret of at most so many characters: taken, kept as it is, never told.
    Concealed(u64),
    /// At most so many such secrets of at most so many characters: a list, kept as lines, never told.
    ConcealedTexts(usize, u64),
    /// A secret path part; made here, stored as it is, told to managers, never in an event.
    Slug,
    /// An API key: a record of its own, told once.
    Key,
}

impl Shape {
    /// As a body's value is looked at: a secret is text like any other.
    fn as_taken(self) -> Self {
        match self {
            Self::Concealed(most) => Self::Phrase(most),
            Self::ConcealedTexts(most, chars_max) => Self::Texts(most, chars_max),
            other => other,
        }
    }
}

/// Who sets a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A body may.
    Given,
    /// A body that creates or replaces must.
    Required,
    /// Only the gateway; as an input it is unknown.
    Made,
    /// Only the gateway, and no event tells it.
    Secret,
    /// Copied from another record, whose events tell it.
    Copied,
}

/// What becomes of a record when what a field of it refers to ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// It must be changed first: what it refers to cannot end.
    Refuse,
    /// It ends too.
    Follow,
}

/// Where a value must be the only one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In the workspace.
    Workspace,
    /// In the account.
    Account,
    /// In the whole store.
    Everywhere,
}

/// A field's value when it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    Null,
    List,
    Text(&'static str),
    Flag(bool),
    Count(u64),
}

/// One field of a kind, or of one verb's body.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Field {
    /// Its name in bodies, replies and events.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Who sets it.
    pub source: Source,
    /// Within which bounds no two records of a kind have the same.
    pub unique: Option<Reach>,
    /// An explicit null empties it; otherwise null means absent.
    pub null_clears: bool,
    /// A replacing body without it keeps the present value, instead of the fallback.
    pub kept: bool,
    /// Its value when nothing was said.
    pub fallback: Fallback,
    /// What becomes of the record when what this refers to ends.
    pub on_end: OnEnd,
    /// The role in which events relate what this refers to; empty when they do not.
    pub relates: &'static str,
    /// Prefect Cloud does not have it: it is told only where it says something.
    pub is_own: bool,
    /// The label of the events' resource that has its value; empty when none has.
    pub label: &'static str,
    /// An address: events tell it without its user and the values of its query, which may be secrets.
    pub is_address: bool,
}

impl Field {
    const fn new(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            source: Source::Given,
            unique: None,
            null_clears: false,
            kept: false,
            fallback: Fallback::Null,
            on_end: OnEnd::Refuse,
            relates: "",
            is_own: false,
            label: "",
            is_address: false,
        }
    }

    /// Whether there is a word to say of it, being that.
    #[must_use]
    pub fn says(&self, value: &serde_json::Value) -> bool {
        !(self.is_own && value.is_null())
    }

    /// Whether events tell it.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !matches!(self.source, Source::Secret | Source::Copied) && !self.is_concealed()
    }

    /// Whether it is a secret that a body may set.
    #[must_use]
    pub fn is_concealed(&self) -> bool {
        matches!(self.shape, Shape::Concealed(_) | Shape::ConcealedTexts(..))
    }

    const fn text(name: &'static str) -> Self {
        Self::new(name, Shape::Text(TEXT_MAX_CHARS))
    }

    const fn address(mut self) -> Self {
        self.is_address = true;
        self
    }

    const fn required(mut self) -> Self {
        self.source = Source::Required;
        self
    }

    const fn unique(mut self, within: Reach) -> Self {
        self.unique = Some(within);
        self
    }

    const fn made(mut self) -> Self {
        self.source = Source::Made;
        self
    }

    const fn secret(mut self) -> Self {
        self.source = Source::Secret;
        self
    }

    const fn copied(mut self) -> Self {
        self.source = Source::Copied;
        self
    }

    const fn null_clears(mut self) -> Self {
        self.null_clears = true;
        self
    }

    const fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    const fn or(mut self, fallback: Fallback) -> Self {
        self.fallback = fallback;
        self
    }

    const fn follows(mut self) -> Self {
        self.on_end = OnEnd::Follow;
        self
    }

    const fn relates(mut self, role: &'static str) -> Self {
        self.relates = role;
        self
    }

    const fn own(mut self) -> Self {
        self.is_own = true;
        self
    }

    const fn labels(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }
}

/// What the names of events about a kind begin with.
#[must_use]
pub fn prefix_of(kind: &str) -> &'static str {
    if kind == DESTINATION.name { OWN_PREFIX } else { crate::event::RESERVED_PREFIX }
}

/// The kind of that name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
