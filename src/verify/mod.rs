//! Who may: what a caller shows against what the gateway keeps. In: a header's text, a moment, the keys in memory.
//! Out: whose key it is, or nothing. Pure: never a query, never a clock, never the reason why not.

pub mod allowlist;
pub mod certificate;
pub mod key;
pub mod password;
pub mod signature;
