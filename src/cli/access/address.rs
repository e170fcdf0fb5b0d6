//! The address of a gateway as people give it. In: text. Out: where its API begins, and the account and workspace when
//! the address is that of a workspace's API, as Prefect's own clients are configured.

use http::Uri;

use crate::cli::output::Failure;
use crate::id::Uuid;

/// Where a gateway on this machine listens when nothing is said.
pub(in crate::cli) const LOCAL: &str = "http://127.0.0.1:8420";

/// A gateway, and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Address {
    /// Without `/api` and what follows it.
    pub(in crate::cli) base: String,
    pub(in crate::cli) account: Option<String>,
    pub(in crate::cli) workspace: Option<String>,
}

impl Address {
    /// Reads an address.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong =
            |what: &str| Failure::Usage(format!("{text:?} is no gateway's address: {what}"));
        let uri: Uri = text.parse().map_err(|_| wrong("say it as https://gate.example"))?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("it begins with http:// or https://"));
        };
        if authority.as_str().contains('@') {
            return Err(wrong("it holds a password; a key comes from a file or HOOKGATE_API_KEY"));
        }
        if authority.as_str() != authority.host()
            && authority.port_u16().is_none_or(|port| port == 0)
        {
            return Err(wrong("its port is no number from 1 to 65535"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let path = uri.path().trim_end_matches('/');
        let (prefix, rest) = match path.strip_suffix("/api") {
            Some(prefix) => (prefix, ""),
            None => path.split_once("/api/").unwrap_or((path, "")),
        };
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let id = |id: &str| Uuid::try_parse(id).ok().map(|id| id.to_string());
        let (account, workspace) = match parts[..] {
            [] => (None, None),
            ["accounts", account] => (id(account), None),
            ["accounts", account, "workspaces", workspace] => (id(account), id(workspace)),
            _ => return Err(wrong("behind /api comes /accounts/ID/workspaces/ID")),
        };
        if (account.is_none(), workspace.is_none()) != (parts.len() < 2, parts.len() < 4) {
            return Err(wrong("the id of account or workspace is no UUID"));
        }
        let scheme = uri.scheme_str().unwrap_or_default();
        Ok(Self { base: format!("{scheme}://{authority}{prefix}"), account, workspace })
    }

    /// Whether nobody on the way can read what is sent there.
    pub(in crate::cli) fn is_private(&self) -> bool {
        self.base.starts_with("https://") || self.is_local()
    }

    /// Whether it is on this machine.
    pub(in crate::cli) fn is_local(&self) -> bool {
        let host = self.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The host, without its port.
    pub(in crate::cli) fn host(&self) -> String {
        let uri: Option<Uri> = self.base.parse().ok();
        uri.as_ref().and_then(Uri::host).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "11111111-1111-4111-8111-111111111111";
    const W: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn every_way_to_say_where() {
        let full = format!("https://gate.example/x/api/accounts/{A}/workspaces/{W}/");
        let account = format!("https://gate.example/api/accounts/{A}");
        for (text, base, account, workspace) in [
            ("http://127.0.0.1:8420", "http://127.0.0.1:8420", None, None),
            ("http://127.0.0.1:8420/", "http://127.0.0.1:8420", None, None),
            ("https://api.prefect.cloud/api", "https://api.prefect.cloud", None, None),
            (&full, "https://gate.example/x", Some(A), Some(W)),
            (&account, "https://gate.example", Some(A), None),
        ] {
            let address = Address::parse(text).expect(text);
            let ids = (address.account.as_deref(), address.workspace.as_deref());
            assert_eq!((&*address.base, ids), (base, (account, workspace)), "{text}");
        }
        for (text, says) in [
            ("gate.example", "http:// or https://"),
            ("ftp://gate.example", "http:// or https://"),
            ("https://me:pw@gate.example", "a password"),
            ("https://gate.example/api/flows", "/accounts/ID"),
            ("https://gate.example/api/accounts/x", "no UUID"),
            (&format!("https://gate.example/api/accounts/{A}/workspaces/x"), "no UUID"),
            ("https://gate.example/?a=1", "a query"),
            ("http://127.0.0.1:99999", "1 to 65535"),
            ("http://127.0.0.1:0", "1 to 65535"),
            ("http://[::1]:", "1 to 65535"),
            ("https://gate .example", "say it as"),
        ] {
            let said = Address::parse(text).expect_err(text).to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn who_could_read_along() {
        for (text, is_private) in [
            ("https://gate.example", true),
            ("http://localhost:1", true),
            ("http://127.8.8.8:1", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(text).expect(text).is_private(), is_private, "{text}");
        }
    }
}
