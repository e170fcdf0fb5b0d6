//! What can be done with records. In: the words of a row. Out: a verb with its method and path, what it needs, what
//! its body may hold, and what it does. Performs nothing.

use super::{Field, Permission};

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
    /// Moves a workspace to another account.
    Transfer,
    /// Tells what is in the way of moving it.
    ValidateTransfer,
    /// Tells the automations that are about a resource.
    RelatedAutomations,
    /// Ends the automations that a resource owns.
    DropOwnedAutomations,
    /// Says that an incident is over.
    Resolve,
    /// Says that an incident is not over.
    Reopen,
    /// Writes something about an incident.
    Comment,
    /// Tells what was written about an incident.
    Comments,
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
    /// Begins a session of somebody.
    LogIn,
    /// Ends the session that a call came with.
    LogOut,
    /// Ends a session of the caller.
    EndSession,
    /// Sets the caller's password.
    SetPassword,
    /// Makes a key for a person.
    MakeKey,
    /// Lets many in, or keeps them out.
    SetActive,
    /// The caller gives up their place in an account.
    LeaveAccount,
    /// The caller gives up their own place in a workspace.
    LeaveWorkspace,
    /// Tells what the caller may do in an account, or in a workspace.
    Powers,
    /// Tells whether the caller may do what the parameter of that name says.
    HasPower(&'static str),
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
    /// Adds to what an account used of managed execution.
    Meter,
    /// Tells what an account used of managed execution.
    Usage,
    /// Tells what each workspace of an account used of managed execution.
    UsageByWorkspace,
    /// Tells how much of managed execution an account may use.
    UsageLimits,
    /// Tells which rates stand in a place, and what is used of them.
    Rates,
    /// Tells which of an account's budgets were used up a moment ago.
    RateStatus,
    /// Tells what was asked of budgets, by the minute.
    RateUsage,
    /// The same as a table.
    RateDownload,
    /// Tells an account's plan.
    Billing,
    /// Tells what may be done about an account's plan.
    Restrictions,
    /// Something about the versions of a template.
    Template(Versioning),
    /// Says whether an account's plan ends with what is paid.
    Subscribe,
    /// Tells what lies parked for a destination.
    Parked,
    /// Tells one event that lies parked for a destination.
    ParkedEvent,
    /// Sends parked events again.
    RetryParked,
    /// Lets go of parked events.
    DiscardParked,
    /// Tells the requests that webhooks kept.
    Requests,
    /// Tells a request that a webhook kept, whole.
    Request,
    /// Tells what became of a request or an event.
    Explain,
    /// Makes events of kept requests again.
    Replay,
    /// Compares a draft with a webhook's template over kept requests.
    Compare,
}

/// What can be done with the versions of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// Tells all of them.
    List,
    /// Tells one of them.
    Read,
    /// Makes one of them live again.
    RollBack,
    /// Tells the draft.
    Draft,
    /// Keeps a draft.
    PutDraft,
    /// Forgets it.
    DropDraft,
    /// Tells how it differs from what is live.
    Shadow,
    /// Makes it live.
    Publish,
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
    pub(super) const fn new(
        name: &'static str,
        (method, suffix, status): (&'static str, &'static str, u16),
        needs: Permission,
        effect: Effect,
    ) -> Self {
        Self { name, method, suffix, needs, effect, takes: Some(&[]), also: &[], status }
    }

    pub(super) const fn create(needs: Permission) -> Self {
        Self::new("create", ("POST", "", 201), needs, Effect::Create).takes(None)
    }

    pub(super) const fn read(needs: Permission) -> Self {
        Self::new("read", ("GET", "{id}", 200), needs, Effect::Read)
    }

    pub(super) const fn list(needs: Permission) -> Self {
        Self::new("list", ("GET", "", 200), needs, Effect::List)
    }

    pub(super) const fn filter(needs: Permission, also: &'static [Field]) -> Self {
        Self::new("filter", ("POST", "filter", 200), needs, Effect::Filter).also(also)
    }

    pub(super) const fn count(needs: Permission, also: &'static [Field]) -> Self {
        Self::new("count", ("POST", "count", 200), needs, Effect::Count).also(also)
    }

    pub(super) const fn change(needs: Permission, takes: &'static [&'static str]) -> Self {
        Self::new("change", ("PATCH", "{id}", 204), needs, Effect::Change).takes(Some(takes))
    }

    pub(super) const fn delete(needs: Permission) -> Self {
        Self::new("delete", ("DELETE", "{id}", 204), needs, Effect::Delete)
    }

    pub(super) const fn own(
        name: &'static str,
        (method, suffix, status): (&'static str, &'static str, u16),
        needs: Permission,
        act: Act,
    ) -> Self {
        Self::new(name, (method, suffix, status), needs, Effect::Own(act))
    }

    pub(super) const fn takes(mut self, takes: Option<&'static [&'static str]>) -> Self {
        self.takes = takes;
        self
    }

    pub(super) const fn also(mut self, also: &'static [Field]) -> Self {
        self.also = also;
        self
    }

    /// Whether its body is looked at.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !matches!(self.method, "GET" | "DELETE")
    }
}
