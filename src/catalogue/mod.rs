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
mod notice;
pub mod openapi;
mod permission;
pub mod role;
mod route;

pub use audit::{
    Actor, Beside, Party, Scene, Subject, changed, created, deleted, noted, told, updated, whole,
};
pub use check::{Fault, Values, check, check_each, is_id};
pub use companion::{companions, derived};
pub use criteria::OPERATOR;
pub use kinds::*;
pub use notice::{ACCESS_DENIED, NOTICES, Notice, event_names};
pub use permission::{ACCOUNT_PERMISSIONS, BYPASS, Permission, Powers};
pub use route::{Match, Route, find};

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

    /// The name of its event for an action.
    #[must_use]
    pub fn event(&self, action: &str) -> String {
        debug_assert!(
            self.actions.iter().any(|known| known.name == action),
            "{} is never {action}",
            self.name
        );
        format!("{}{}.{action}", crate::event::RESERVED_PREFIX, self.name)
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
    /// Text of at most so many characters.
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
    /// At most so many names of domains, each once, in the order of letters.
    Domains(usize),
    /// Any JSON of at most so many bytes, kept as it was sent.
    Json(usize),
    /// Lower-case letters, digits and dashes.
    Handle,
    /// Criteria over id, name and these fields.
    Criteria(&'static [&'static str]),
    /// What a person proves themselves with; taken, digested, never told.
    Password,
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
        }
    }

    /// Whether events tell it.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !matches!(self.source, Source::Secret | Source::Copied)
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
    /// Tells how many a body describes.
    Count,
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
    /// What only this kind knows.
    Own(Act),
    /// The same, for each of the objects that are its body: one of them, or a list.
    Each(Act),
}

/// What only one kind knows; each has its function in `api/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Tells a service account's key and those that still overlap with it.
    BotKeys,
    /// Ends one key of a service account.
    DropBotKey,
    /// Gives whoever the field names a place in a workspace, or their place another role.
    GiveAccess(&'static str),
    /// Tells a place whose that field names.
    Access(&'static str),
    /// Ends a place whose that field names.
    DropAccess(&'static str),
    /// Tells the places of teams in a workspace.
    TeamAccess,
    /// Tells everybody who may enter a workspace.
    Inhabitants,
    /// Tells the place that a person or a service account has in an account.
    MembershipOf,
    /// Invites somebody.
    Invite,
    /// Invites somebody again.
    InviteAgain,
    /// Takes an invitation back.
    Revoke,
    /// Joins what an invitation is to.
    Accept,
    /// Declines an invitation.
    Reject,
    /// Makes a key for a person.
    MakeKey,
    /// Lets many in, or keeps them out.
    SetActive,
    /// The caller gives up their place in an account.
    LeaveAccount,
    /// Tells the teams that are described by who is in them and where they may go, too.
    FilterTeams,
    /// Lets people and programs into a team, or gives them another role there.
    AddMembers,
    /// Lets somebody out of a team.
    RemoveMember,
    /// Tells the domains of an account, one by one.
    Domains,
    /// Tells from where an account may be called.
    Allowlist,
    /// Says anew from where an account may be called.
    SetAllowlist,
    /// Tells whether the caller may call from where they are.
    MyAccess,
}

/// One thing that can be done with a kind.
#[derive(Debug)]
pub struct Verb {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// What follows the kind's base in the path; `{id}` is the record's id. With a slash before it, it is the whole
    /// path below `/api`. Both slash forms at its end mean the same.
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

    const fn list(needs: Permission) -> Self {
        Self::new("list", ("GET", "", 200), needs, Effect::List)
    }

    const fn filter(needs: Permission, also: &'static [Field]) -> Self {
        Self::new("filter", ("POST", "filter", 200), needs, Effect::Filter).also(also)
    }

    const fn count(needs: Permission, also: &'static [Field]) -> Self {
        Self::new("count", ("POST", "count", 200), needs, Effect::Count).also(also)
    }

    const fn change(needs: Permission, takes: &'static [&'static str]) -> Self {
        Self::new("change", ("PATCH", "{id}", 204), needs, Effect::Change).takes(Some(takes))
    }

    const fn delete(needs: Permission) -> Self {
        Self::new("delete", ("DELETE", "{id}", 204), needs, Effect::Delete)
    }

    const fn own(
        name: &'static str,
        (method, suffix, status): (&'static str, &'static str, u16),
        needs: Permission,
        act: Act,
    ) -> Self {
        Self::new(name, (method, suffix, status), needs, Effect::Own(act))
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
        !matches!(self.method, "GET" | "DELETE")
    }

    /// Whether its body is checked against the table before it is performed.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        !matches!(self.effect, Effect::Validate | Effect::Render | Effect::Test)
    }
}

/// The kind of that name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
