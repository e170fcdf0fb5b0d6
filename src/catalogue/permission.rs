//! Who may do what. In: the name of a role. Out: what it is allowed. Roles are built in; none can be made yet.

/// What a verb needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    SeeWorkspaces,
    SeeWebhooks,
    ManageWebhooks,
    SeeServiceAccounts,
    ManageServiceAccounts,
}

/// A place in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May do everything.
    Owner,
    /// Belongs to the account, and may do nothing with its records: what service accounts are.
    Member,
}

impl Role {
    /// The built-in role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Owner, Self::Member].into_iter().find(|role| role.name() == name)
    }

    /// Its name, as clients show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Member => "Member",
        }
    }

    /// Whether it is allowed that.
    #[must_use]
    pub const fn allows(self, _: Permission) -> bool {
        matches!(self, Self::Owner)
    }
}
