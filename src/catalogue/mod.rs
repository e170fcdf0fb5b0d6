//! The control plane as one table. In: a method and a path, a body's values. Out: which kind and verb they mean, what
//! is wrong with them, and the audit events of a change. What is not served has no row. Pure: never a store, a clock
//! or a reply.

mod audit;
pub mod chain;
mod check;
mod kinds;
mod permission;
mod route;

pub use audit::{Actor, Party, Scene, Subject, changed, created, deleted, rotated, updated};
pub use check::{Fault, Values, check, is_id};
pub use kinds::{
    ACCOUNT, ACCOUNT_MEMBERSHIP, API_KEY, KINDS, SERVICE_ACCOUNT, USER, WEBHOOK, WORKSPACE,
};
pub use permission::{Permission, Role};
pub use route::{Match, Route, find};

/// Most rows of one list.
pub const LIST_MAX: u64 = 200;
/// Longest text of a field that says nothing else, in characters.
pub const TEXT_MAX_CHARS: u64 = 5000;

/// What a record belongs to, and so where its paths begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/api/accounts/{account}/…`; its events carry no workspace.
    Account,
    /// `/api/accounts/{account}/workspaces/{workspace}/…`.
    Workspace,
}

/// One kind of record.
#[derive(Debug)]
pub struct Kind {
    /// Its name in events, errors and the store.
    pub name: &'static str,
    /// What its records belong to.
    pub scope: Scope,
    /// Path part of its collection.
    pub collection: &'static str,
    /// What errors call the id in its path.
    pub id_name: &'static str,
    /// Name of the object that holds a filter's criteria.
    pub criteria: &'static str,
    /// What its records hold, in the order events and replies tell it.
    pub fields: &'static [Field],
    /// What can be done with it through the API.
    pub verbs: &'static [Verb],
    /// What its events say happened, those of other kinds' verbs among them.
    pub actions: &'static [&'static str],
}

impl Kind {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The name of its event for an action.
    #[must_use]
    pub fn event(&self, action: &str) -> String {
        debug_assert!(self.actions.contains(&action), "{} is never {action}", self.name);
        format!("{}{}.{action}", crate::event::RESERVED_PREFIX, self.name)
    }
}

/// What a field holds, and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text of at most so many characters.
    Text(u64),
    /// True or false.
    Flag,
    /// The id of a record of one of these kinds.
    Reference(&'static [&'static str]),
    /// An id that names no record.
    Id,
    /// A moment, RFC 3339.
    Instant,
    /// A whole number up to the bound.
    Count(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Criteria over id and name.
    Criteria,
    /// A secret path part; made here, stored as it is, told to managers, never in an event.
    Slug,
    /// An API key: a record of its own, told once.
    Key,
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
}

/// Where a value must be the only one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In the account.
    Account,
    /// In the whole store.
    Everywhere,
}

/// A field's value when it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    Null,
    Text(&'static str),
    Flag(bool),
    Count(u64),
}

/// One field of a kind, or of one verb's body.
#[derive(Clone, Copy, Debug)]
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
        }
    }

    const fn text(name: &'static str) -> Self {
        Self::new(name, Shape::Text(TEXT_MAX_CHARS))
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
}

/// What a verb does; each is built once, for all kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Makes a record and its secret.
    Create,
    /// Tells one record.
    Read,
    /// Tells the records of a place, by name when one is asked for.
    List,
    /// Tells those that a body describes.
    Filter,
    /// Sets all fields.
    Replace,
    /// Sets the fields that are named.
    Change,
    /// Makes the secret of that field anew.
    Rotate(&'static str),
    /// Ends a record.
    Delete,
    /// Tells whether a template would be taken.
    Validate,
    /// Renders a draft with a request.
    Render,
    /// Renders a record's template, or a draft of it, with a request.
    Test,
}

/// One thing that can be done with a kind.
#[derive(Debug)]
pub struct Verb {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// What follows the collection in the path; `{id}` is the record's id. Both slash forms mean the same.
    pub suffix: &'static str,
    /// What the actor must be allowed.
    pub needs: Permission,
    /// What it does.
    pub effect: Effect,
    /// Only these of the kind's fields may be in its body; `None`: all that are not made.
    pub takes: Option<&'static [&'static str]>,
    /// What its body may hold beside the kind's fields.
    pub also: &'static [Field],
    /// Status of its success.
    pub status: u16,
}

impl Verb {
    const fn new(
        name: &'static str,
        (method, suffix, status): (&'static str, &'static str, u16),
        needs: Permission,
        effect: Effect,
    ) -> Self {
        Self { name, method, suffix, needs, effect, takes: Some(&[]), also: &[], status }
    }

    const fn create(needs: Permission) -> Self {
        Self::new("create", ("POST", "", 201), needs, Effect::Create).takes(None)
    }

    const fn read(needs: Permission) -> Self {
        Self::new("read", ("GET", "{id}", 200), needs, Effect::Read)
    }

    const fn filter(needs: Permission, also: &'static [Field]) -> Self {
        Self::new("filter", ("POST", "filter", 200), needs, Effect::Filter).also(also)
    }

    const fn change(needs: Permission, takes: &'static [&'static str]) -> Self {
        Self::new("change", ("PATCH", "{id}", 204), needs, Effect::Change).takes(Some(takes))
    }

    const fn delete(needs: Permission) -> Self {
        Self::new("delete", ("DELETE", "{id}", 204), needs, Effect::Delete)
    }

    const fn takes(mut self, takes: Option<&'static [&'static str]>) -> Self {
        self.takes = takes;
        self
    }

    const fn also(mut self, also: &'static [Field]) -> Self {
        self.also = also;
        self
    }

    /// Whether its body is looked at.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(
            self.effect,
            Effect::Create
                | Effect::Filter
                | Effect::Replace
                | Effect::Change
                | Effect::Rotate(_)
                | Effect::Validate
                | Effect::Render
                | Effect::Test
        )
    }
}

/// The kind of that name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// Every name an audit event can have.
#[must_use]
pub fn event_names() -> Vec<String> {
    let names = |kind: &&'static Kind| kind.actions.iter().map(|action| kind.event(action));
    KINDS.iter().flat_map(|kind| names(kind).collect::<Vec<_>>()).collect()
}
