//! What happens in an account and is no record's: the names of such events, and by which act each arises. And every
//! name there is.

use super::{Action, KINDS};

/// An event about an account itself.
#[derive(Debug)]
pub struct Notice {
    /// What its name begins with, as a kind's name does.
    pub kind: &'static str,
    /// What it says.
    pub action: Action,
}

impl Notice {
    /// Its event's name.
    #[must_use]
    pub fn event(&self) -> String {
        format!("{}{}.{}", crate::event::RESERVED_PREFIX, self.kind, self.action.name)
    }
}

/// Somebody called from an address that the account does not allow.
pub static ACCESS_DENIED: Notice = Notice {
    kind: "request",
    action: Action::new(
        "access-denied.ip-allowlist",
        "any call about the account, from an address that its allowlist does not hold",
        "a call was refused; at most one a minute for each source",
    ),
};

/// All of them.
pub static NOTICES: &[&Notice] = &[&ACCESS_DENIED];

/// Every name an audit event can have.
#[must_use]
pub fn event_names() -> Vec<String> {
    KINDS
        .iter()
        .flat_map(|kind| kind.actions.iter().map(|action| kind.event(action.name)))
        .chain(NOTICES.iter().map(|notice| notice.event()))
        .collect()
}
