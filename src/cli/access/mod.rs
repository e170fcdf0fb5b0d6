//! Which gateway a command speaks to, as whom, and where in it. In: flags, variables, the user's contexts. Out: one
//! place. What is said beats the context, the context beats this machine; a context's key goes to no other address.

mod address;
mod choice;
mod contexts;
mod remote;

use std::path::{Path, PathBuf};

use http::Method;

use super::case;
use super::output::Failure;
use crate::id::Secret;
pub(super) use address::{Address, LOCAL};
pub(super) use choice::{Chosen, Wanted, choose};
pub(super) use contexts::{Context, Contexts, is_name, path};
pub(super) use remote::Remote;

/// The variable that holds the key.
pub(super) const KEY_VARIABLE: &str = "HOOKGATE_API_KEY";

/// Which gateway is spoken to.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Server {
    /// Address of the gateway; else that of the context, else `http://127.0.0.1:8420`
    #[arg(long, env = "HOOKGATE_URL", value_name = "URL", help_heading = "Which gateway")]
    url: Option<String>,
    /// A context that `hookgate login` made; else the current one
    #[arg(long, env = "HOOKGATE_CONTEXT", value_name = "NAME", help_heading = "Which gateway")]
    context: Option<String>,
}

/// Whose records.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Access {
    #[command(flatten)]
    server: Server,
    /// File with the API key, `-` for standard input; else `HOOKGATE_API_KEY`, else that of the context
    #[arg(long, value_name = "FILE", help_heading = "Which gateway")]
    key_file: Option<PathBuf>,
    /// The account, by id or handle, when the key sees several
    #[arg(long, value_name = "ACCOUNT", help_heading = "Which gateway")]
    account: Option<String>,
    /// The workspace, by id or handle, or as ACCOUNT/WORKSPACE, when the key sees several
    #[arg(long, value_name = "WORKSPACE", help_heading = "Which gateway")]
    workspace: Option<String>,
    /// The variable that may hold the key.
    #[arg(skip = Some(KEY_VARIABLE))]
    key_variable: Option<&'static str>,
}

/// A gateway, and what is known of it before anybody was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    address: Address,
    key: Option<Secret>,
}

impl Place {
    fn of(context: &Context) -> Result<Self, Failure> {
        let mut address = Address::parse(&context.url)?;
        address.account = Some(context.account.clone());
        address.workspace = Some(context.workspace.clone());
        Ok(Self { address, key: Some(context.key.clone()) })
    }
}

impl Server {
    /// Where the gateway is.
    pub(super) fn base(&self) -> Result<String, Failure> {
        self.place(&Contexts::read(&path()?)?).map(|place| place.address.base)
    }

    fn place(&self, contexts: &Contexts) -> Result<Place, Failure> {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let given = said(&self.url).map(|url| Address::parse(&url)).transpose()?;
        let named = said(&self.context);
        let context = match &named {
            Some(name) => Some(contexts.find(name)?),
            None => contexts.current()?.map(|(_, context)| context),
        };
        let known = context.map(Place::of).transpose()?;
        match (given, known) {
            (None, None) => Ok(Place { address: Address::parse(LOCAL)?, key: None }),
            (None, Some(known)) => Ok(known),
            (Some(given), Some(known)) if given.base == known.address.base => {
                let is_whole = given.account.is_some();
                let address = if is_whole { given } else { known.address };
                Ok(Place { address, key: known.key })
            }
            (Some(given), Some(known)) if named.is_some() => Err(Failure::Usage(format!(
                "the context {:?} is at {}, and --url or HOOKGATE_URL says {}: say one of them",
                named.unwrap_or_default(),
                known.address.base,
                given.base
            ))),
            // The current context gives way, and its key stays with it.
            (Some(given), _) => Ok(Place { address: given, key: None }),
        }
    }
}

/// What of a gateway a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Account,
    Workspace,
}

impl Access {
    /// A place as one word, an address or a context.
    pub(super) fn of(
        place: &str,
        key_file: Option<PathBuf>,
        workspace: Option<String>,
        key_variable: Option<&'static str>,
    ) -> Self {
        let word = Some(place.to_owned());
        let server = if place.contains("://") {
            Server { url: word, context: None }
        } else {
            Server { url: None, context: word }
        };
        Self { server, key_file, account: None, workspace, key_variable }
    }

    /// The workspace that is meant, or the only one there is.
    pub(super) async fn workspace(&self) -> Result<Remote, Failure> {
        self.open(Scope::Workspace).await
    }

    /// The account that is meant, or the only one there is.
    pub(super) async fn account(&self) -> Result<Remote, Failure> {
        self.open(Scope::Account).await
    }

    async fn open(&self, scope: Scope) -> Result<Remote, Failure> {
        let place = self.server.place(&Contexts::read(&path()?)?)?;
        let key = said_key(self.key_file.as_deref(), self.key_variable)?.or(place.key);
        let key = key.ok_or_else(|| {
            let variable = self.key_variable.unwrap_or(KEY_VARIABLE);
            let ways = format!("`hookgate login`, {variable}, or --key-file");
            Failure::Denied(format!("there is no key for {}: {ways}", place.address.base))
        })?;
        let remote = Remote::new(&place.address.base, &key)?;
        let wanted =
            Wanted::new(self.account.as_deref(), self.workspace.as_deref(), &place.address);
        let path = match (wanted.ids(), scope) {
            (Some((account, _)), Scope::Account) => format!("/api/accounts/{account}"),
            (None, Scope::Account) => {
                format!("/api/accounts/{}", choice::account(&remote, &wanted).await?)
            }
            (Some((account, workspace)), Scope::Workspace) => workspace_path(&account, &workspace),
            (None, Scope::Workspace) => {
                let found = remote.ask(Method::GET, "/api/me/workspaces", None).await?;
                let chosen = choose(&found, &wanted)?;
                workspace_path(&chosen.account, &chosen.workspace)
            }
        };
        Ok(remote.below(path))
    }
}

fn workspace_path(account: &str, workspace: &str) -> String {
    format!("/api/accounts/{account}/workspaces/{workspace}")
}

/// A gateway that is not looked at yet.
pub(super) fn remote(address: &Address, key: &Secret) -> Result<Remote, Failure> {
    Remote::new(&address.base, key)
}

/// The key of a file or of the variable.
pub(super) fn said_key(
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Option<Secret>, Failure> {
    let text = match file {
        Some(path) if path.as_os_str() == "-" => Some(case::read_input(case::Holds::Key)),
        Some(path) => Some(case::read_text(path, case::Holds::Key)),
        None => variable.and_then(|variable| std::env::var(variable).ok()).map(Ok),
    };
    let text = text.transpose().map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
    match (text.as_deref().map(str::trim), file) {
        (Some(""), Some(file)) => {
            Err(Failure::Denied(format!("{}: there is no key in it", file.display())))
        }
        (None | Some(""), _) => Ok(None),
        (Some(key), _) => Ok(Some(Secret::new(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts() -> Contexts {
        let context = |url: &str| Context {
            url: url.to_owned(),
            place: "acme/main".to_owned(),
            account: "a".to_owned(),
            workspace: "w".to_owned(),
            key: Secret::new(url),
        };
        let all = [("one", "https://one.example"), ("two", "https://two.example")];
        Contexts {
            current: Some("one".to_owned()),
            all: all.map(|(name, url)| (name.to_owned(), context(url))).into(),
        }
    }

    /// Where, and whose key goes there.
    fn place(url: Option<&str>, context: Option<&str>, contexts: &Contexts) -> String {
        let server = Server { url: url.map(str::to_owned), context: context.map(str::to_owned) };
        match server.place(contexts) {
            Ok(Place { address, key }) => {
                let key = key.as_ref().map_or("none", Secret::expose);
                format!("{} key {key} in {}", address.base, address.account.unwrap_or_default())
            }
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn what_is_said_beats_the_context_and_no_key_goes_astray() {
        let known = contexts();
        for (url, context, expected) in [
            (None, None, "https://one.example key https://one.example in a"),
            (None, Some("two"), "https://two.example key https://two.example in a"),
            (Some(""), Some(""), "https://one.example key https://one.example in a"),
            (
                Some("https://one.example/"),
                None,
                "https://one.example key https://one.example in a",
            ),
            (Some("https://evil.example"), None, "https://evil.example key none in "),
            (
                Some("https://evil.example"),
                Some("two"),
                "the context \"two\" is at https://two.example, and --url or HOOKGATE_URL says \
                 https://evil.example: say one of them",
            ),
            (None, Some("three"), "there is no context \"three\"; there are one, two"),
        ] {
            assert_eq!(place(url, context, &known), expected);
        }
        let none = Contexts::default();
        assert_eq!(place(None, None, &none), "http://127.0.0.1:8420 key none in ");
        let said = place(None, Some("x"), &none);
        assert_eq!(said, "there is no context \"x\": `hookgate login` makes one");
    }
}
