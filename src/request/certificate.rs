//! What a sender's certificate says, as words. Made of one that an authority of the settings vouches for, read by who
//! verifies. Never a key, and nothing of the chain above it.

/// A certificate that a sender showed when its connection began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The common name of its subject, when it has exactly one.
    pub cn: Option<String>,
    /// Names of hosts.
    pub dns: Vec<String>,
    /// Addresses of services, such as `spiffe://…`.
    pub uri: Vec<String>,
    /// Addresses of mail.
    pub email: Vec<String>,
    /// The SHA-256 of all of it, in hex of lower case.
    pub fingerprint: String,
    /// From when it counts, in seconds since 1970, included.
    pub since: i64,
    /// Until when, included.
    pub until: i64,
}
