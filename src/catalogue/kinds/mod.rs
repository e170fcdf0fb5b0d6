//! The rows. A kind's row says all that routes, checks, permissions and audit events need to know of it. One file for
//! each part of the house: affairs, destinations, people, places, programs, requests, settings, teams.

mod affairs;
mod destinations;
mod invitations;
mod people;
mod places;
mod programs;
mod requests;
mod sessions;
mod settings;
mod support;
mod teams;

pub use affairs::*;
pub use destinations::*;
pub use invitations::*;
pub use people::*;
pub use places::*;
pub use programs::*;
pub use requests::*;
pub use sessions::*;
pub use settings::*;
pub use support::*;
pub use teams::*;

use super::{Field, Kind, LIST_MAX, Shape};

const OFFSET: Field =
    Field::new("offset", Shape::Count(i64::MAX as u64)).or(super::Fallback::Count(0));
const LIMIT: Field =
    Field::new("limit", Shape::Count(LIST_MAX)).or(super::Fallback::Count(LIST_MAX));

/// A criterion of roles that is true or false: whether they are built in.
pub const IS_GLOBAL: &str = "is_global";

/// Every kind. An event that several kinds could tell first is told by the one that stands first.
pub const KINDS: &[&Kind] = &[
    &ACCOUNT,
    &ACCOUNT_SETTINGS,
    &ACCOUNT_DOMAIN_NAMES,
    &SUPPORT_ACCESS,
    &USER,
    &ACCOUNT_ROLE,
    &ACCOUNT_MEMBERSHIP,
    &ACCOUNT_INVITATION,
    &TEAM,
    &TEAM_MEMBERSHIP,
    &WORKSPACE,
    &WORKSPACE_SETTINGS,
    &WORKSPACE_ROLE,
    &WORKSPACE_ACCESS,
    &WORKSPACE_INVITATION,
    &SERVICE_ACCOUNT,
    &API_KEY,
    &SESSION,
    &WEBHOOK,
    &REQUEST,
    &AUTOMATION,
    &INCIDENT,
    &INCIDENT_COMMENT,
    &DESTINATION,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::role::is_scope;
    use crate::catalogue::{Number, Permission, Scope, event_names};

    #[test]
    fn every_name_an_event_can_have() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/audit/names.txt");
        let text = event_names().join("\n") + "\n";
        if std::env::var_os("HOOKGATE_BLESS").is_some() {
            std::fs::write(path, &text).expect("a writable golden");
        }
        assert_eq!(text, std::fs::read_to_string(path).expect("a golden"));
    }

    #[test]
    fn rows_fit_one_another() {
        let names: HashSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        let mut ways = HashSet::new();
        for kind in KINDS {
            let fields: HashSet<_> = kind.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields.len(), kind.fields.len(), "{}", kind.name);
            assert!(
                kind.number == Number::One || kind.field("name").is_some(),
                "{} has no display name",
                kind.name
            );
            for field in kind.fields {
                if let Shape::Reference(targets) = field.shape {
                    assert!(targets.iter().all(|target| names.contains(target)), "{}", field.name);
                }
            }
            for verb in kind.verbs {
                let path = kind.path(verb);
                assert!(ways.insert((verb.method, path.clone())), "{} {path}", verb.method);
                for taken in verb.takes.unwrap_or_default() {
                    assert!(fields.contains(taken), "{} takes {taken}", verb.name);
                }
                match verb.needs {
                    Permission::Account(needed) => {
                        assert!(
                            crate::catalogue::ACCOUNT_PERMISSIONS.contains(&needed),
                            "{needed}"
                        );
                    }
                    Permission::Workspace(needed) => {
                        assert!(is_scope(needed), "{needed}");
                        assert!(path.contains("{workspace}"), "{path} says no workspace");
                    }
                    Permission::Oneself => assert!(path.contains("{user}"), "{path} says no user"),
                    Permission::Open | Permission::Caller => {}
                }
                assert!(
                    verb.suffix.starts_with('/')
                        || (kind.scope == Scope::Workspace)
                            == (path.starts_with("accounts/{account}/workspaces/{workspace}/")
                                && kind.name != "workspace"),
                    "{path}"
                );
            }
        }
    }
}
