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

/// Something ran in managed execution.
pub static MEX_USED: Notice = Notice {
    kind: "managed-execution",
    action: Action::new(
        "used",
        "POST {workspace}/managed_execution/usage",
        "an agent reported what was used",
    ),
};

/// More was used than the account's settings allow.
pub static MEX_EXCEEDED: Notice = Notice {
    kind: "managed-execution",
    action: Action::new(
        "exceeded",
        "POST {workspace}/managed_execution/usage",
        "a report crossed the limit of the settings, the first in its month",
    ),
};

/// The plan of an account changed.
pub static SUBSCRIPTION_UPDATED: Notice = Notice {
    kind: "subscription",
    action: Action::new(
        "updated",
        "PATCH /api/billing/{account}/subscription or POST …/cancel_org_subscription",
        "a plan is to end with what is paid, or is to go on",
    ),
};

/// A webhook received a request; its id is the request's.
pub const RECEIVED: &str = "prefect-cloud.webhook.received";
/// A webhook's template made no event of a request.
pub const FAILED: &str = "prefect-cloud.webhook.failed";

/// Requests were replayed. Its name is the gateway's own, beside those that clients of the original know.
pub static REPLAYED: Action = Action::new(
    "replayed",
    "POST {workspace}/requests/replay",
    "events of kept requests were made again, in a slice",
);

/// All of them.
pub static NOTICES: &[&Notice] = &[&ACCESS_DENIED, &MEX_USED, &MEX_EXCEEDED, &SUBSCRIPTION_UPDATED];

/// Every name an audit event can have that clients of the original know.
#[must_use]
pub fn event_names() -> Vec<String> {
    KINDS
        .iter()
        .filter(|kind| kind.prefix() == crate::event::RESERVED_PREFIX)
        .flat_map(|kind| kind.actions.iter().map(|action| kind.event(action.name)))
        .chain(NOTICES.iter().map(|notice| notice.event()))
        .collect()
}
