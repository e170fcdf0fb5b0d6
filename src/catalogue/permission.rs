//! What may be asked of whom, in the words clients of the original know. In: what a caller's roles allow. Out: whether
//! that is enough for a verb. Pure: which roles somebody has is for others to say.

use super::role;

/// What a verb needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing, not even a key.
    Open,
    /// A valid key; it is about the caller.
    Caller,
    /// To be the user that the path names.
    Oneself,
    /// A permission of a role in the account.
    Account(&'static str),
    /// A scope of a role in the workspace.
    Workspace(&'static str),
}

/// Whoever has this of an account has every scope in each of its workspaces.
pub const BYPASS: &str = "bypass:workspace";

/// Every permission that account roles are made of.
pub const ACCOUNT_PERMISSIONS: [&str; 47] = [
    "read:account",
    "update:account",
    "delete:account",
    "administrate:account",
    "read:account_membership",
    "create:account_membership",
    "update:account_membership",
    "delete:account_membership",
    "read:account_role",
    "create:account_role",
    "update:account_role",
    "delete:account_role",
    "add:account_member",
    "read:sso",
    "administrate:sso",
    "read:billing",
    "update:billing",
    "read:bot",
    "create:bot",
    "update:bot",
    "delete:bot",
    "read:team",
    "create:team",
    "update:team",
    "delete:team",
    "read:invitation",
    "create:invitation",
    "update:invitation",
    "delete:invitation",
    "read:workspace_invitation",
    "create:workspace_invitation",
    "delete:workspace_invitation",
    "read:workspace",
    "create:workspace",
    "update:workspace",
    "delete:workspace",
    BYPASS,
    "read:workspace_role",
    "create:workspace_role",
    "update:workspace_role",
    "delete:workspace_role",
    "read:audit_event",
    "read:ip_allowlist",
    "update:ip_allowlist",
    "read:mex-storage",
    "update:mex-storage",
    "administrate:integrations",
];

/// What somebody's roles allow, all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// Permissions in the account.
    pub account: Vec<String>,
    /// Scopes in the workspace that was asked about; `None` for who has no place there.
    pub workspace: Option<Vec<String>>,
}

impl Powers {
    /// Whether this is enough. What needs no role is for the caller to hold.
    #[must_use]
    pub fn allow(&self, needed: Permission) -> bool {
        match needed {
            Permission::Open | Permission::Caller | Permission::Oneself => true,
            Permission::Account(permission) => self.has(permission),
            Permission::Workspace(scope) => self.include(scope),
        }
    }

    /// Whether a scope of the workspace is among them.
    #[must_use]
    pub fn include(&self, scope: &str) -> bool {
        let mut held = self.workspace.iter().flatten();
        self.bypass() || held.any(|held| role::includes(held, scope))
    }

    /// Whether the workspace that was asked about is there for them at all.
    #[must_use]
    pub fn reach_workspace(&self) -> bool {
        self.workspace.is_some() || self.bypass()
    }

    /// Whether every scope of every workspace of the account is among them.
    #[must_use]
    pub fn bypass(&self) -> bool {
        self.has(BYPASS)
    }

    fn has(&self, permission: &str) -> bool {
        self.account.iter().any(|held| held == permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_what_roles_say() {
        let all = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let outsider = Powers::default();
        let viewer = Powers { workspace: Some(all(&["see_webhooks"])), ..Powers::default() };
        let maker = Powers { workspace: Some(all(&["manage_webhooks"])), ..Powers::default() };
        let owner = Powers { account: all(&ACCOUNT_PERMISSIONS), workspace: None };
        let see = Permission::Workspace("see_webhooks");
        let manage = Permission::Workspace("manage_webhooks");
        for (who, reaches, sees, manages) in [
            (&outsider, false, false, false),
            (&viewer, true, true, false),
            (&maker, true, true, true),
            (&owner, true, true, true),
        ] {
            let found = (who.reach_workspace(), who.allow(see), who.allow(manage));
            assert_eq!(found, (reaches, sees, manages), "{who:?}");
            assert!(who.allow(Permission::Open) && who.allow(Permission::Caller));
        }
        assert!(!viewer.allow(Permission::Account("read:account")));
        assert!(owner.allow(Permission::Account("delete:account")));
    }
}
