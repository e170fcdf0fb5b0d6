//! `hookgate login`: a gateway, a key and a workspace become a context. In: an address, a key from a file, a variable,
//! standard input or the terminal. Out: the context, kept once the gateway took the key. The key is never shown.

use std::path::PathBuf;

use http::Method;
use serde_json::json;

use super::access::{
    self, Address, Chosen, Context, Contexts, KEY_VARIABLE, LOCAL, Remote, Wanted, choose, is_name,
};
use super::client::runtime;
use super::listing::Listing;
use super::output::{Failure, say};
use super::prompt;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the gateway, or of a workspace's API
    #[arg(env = "HOOKGATE_URL", default_value = LOCAL)]
    url: String,
    /// What to call it; else `local`, or the host's name
    #[arg(long, env = "HOOKGATE_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// File with the API key; else `HOOKGATE_API_KEY`, else standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The workspace, when the key sees several
    #[arg(long, value_name = "ACCOUNT/WORKSPACE")]
    workspace: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

pub(super) const EXAMPLE: &str = "\
Commands that talk to a gateway then need no --url and no key: the context that is made becomes the
current one. `hookgate context` lists, changes and removes them. They are kept in
$XDG_CONFIG_HOME/hookgate/contexts.toml, else ~/.config/hookgate/contexts.toml, which nobody else may read.

Exit codes: 0 made, 1 the key sees several workspaces, 4 the key is none, 5 no such workspace, 6 nobody answers.

Examples:
  hookgate login
  jq -r .api_key first.json | hookgate login http://127.0.0.1:8420
  hookgate login https://gate.example --context prod --key-file key.txt --workspace acme/main";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(login(args))
}

async fn login(args: &Args) -> Result<(), Failure> {
    let address = Address::parse(&args.url)?;
    let name = match args.context.as_deref().filter(|name| !name.is_empty()) {
        Some(name) if !is_name(name) => {
            let rule = "letters, digits, `-`, `_` and `.`, at most 100";
            return Err(Failure::Usage(format!("{name:?} cannot be a context's name: {rule}")));
        }
        Some(name) => name.to_owned(),
        None if address.is_local() => "local".to_owned(),
        None => address.host(),
    };
    let path = access::path()?;
    // A file that cannot be used is found before anything is asked.
    let mut contexts = Contexts::read(&path)?;
    if !address.is_private() {
        say(&format!("{} is spoken to without TLS: others may read the key", address.base));
    }
    let key = match access::said_key(args.key_file.as_deref(), Some(KEY_VARIABLE))? {
        Some(key) => key,
        None => prompt::key(&format!("API key for {}", address.base)).await?,
    };
    let remote = access::remote(&address, &key)?;
    let found = remote.ask(Method::GET, "/api/me/workspaces", None).await?;
    let chosen = choose(&found, &Wanted::new(None, args.workspace.as_deref(), &address))?;
    if found.as_array().is_none_or(Vec::is_empty) {
        find(&remote, &chosen).await?;
    }
    let context = Context {
        url: address.base,
        place: chosen.place,
        account: chosen.account,
        workspace: chosen.workspace,
        key,
    };
    let lines = [
        ("context", name.clone()),
        ("gateway", context.url.clone()),
        ("workspace", context.place.clone()),
    ];
    let told = json!({
        "context": name,
        "url": context.url,
        "workspace": context.place,
        "account_id": context.account,
        "workspace_id": context.workspace,
    });
    contexts.all.insert(name.clone(), context);
    contexts.current = Some(name);
    contexts.write(&path)?;
    args.listing.record(&told, &lines)
}

/// Whether a workspace is there, of which the key sees no list. One that it may not read is.
async fn find(remote: &Remote, chosen: &Chosen) -> Result<(), Failure> {
    let path = format!("/api/accounts/{}/workspaces/{}", chosen.account, chosen.workspace);
    match remote.ask(Method::GET, &path, None).await {
        Ok(_) | Err(Failure::Denied(_)) => Ok(()),
        Err(Failure::NotFound(_)) => Err(Failure::NotFound(format!(
            "no such workspace for this key: {}; it sees none",
            chosen.place
        ))),
        Err(other) => Err(other),
    }
}
