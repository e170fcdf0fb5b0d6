//! `hookgate webhook`: webhooks of a running gateway, through its management API. In: a context or key, and a name or
//! id. Out: records, and where their hooks are. Never a key in what is printed.

mod create;
mod edit;
mod once;
pub(super) mod redaction;
mod reply;
mod source;
mod trial;
mod verification;
mod version;

use http::Method;
use serde_json::{Value, json};

use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::moment::overlap;
use super::output::{Failure, print_text};
use super::{prompt, send};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a webhook with a template of the gallery, or one of your own
    #[command(after_help = create::EXAMPLE)]
    Create(Box<create::Args>),
    /// List the webhooks of a workspace
    #[command(visible_alias = "list", after_help = "Example:\n  hookgate webhook ls -o json")]
    Ls {
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show a webhook
    #[command(
        visible_alias = "get",
        after_help = "\
Examples:
  hookgate webhook show github
  hookgate webhook show github --template > template.j2"
    )]
    Show {
        #[command(flatten)]
        which: Which,
        /// Print its template and nothing else, byte for byte
        #[arg(long, conflicts_with = "output")]
        template: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Change a webhook: what is not said stays
    #[command(after_help = edit::EXAMPLE)]
    Update(Box<edit::Args>),
    /// Let a webhook take requests again
    #[command(after_help = "Example:\n  hookgate webhook enable github")]
    Enable(Only),
    /// Let a webhook's hook answer as if it was not there
    #[command(after_help = "Example:\n  hookgate webhook disable github")]
    Disable(Only),
    /// Enable a disabled webhook, or disable an enabled one
    #[command(after_help = "Example:\n  hookgate webhook toggle github")]
    Toggle(Only),
    /// Give a webhook another hook
    #[command(after_help = "\
The old hook ends at once, or after --overlap; whoever sends to it gets 404 from then on. A hook that an earlier
rotation left for a while ends at once. Asks first, unless --yes is said.

Examples:
  hookgate webhook rotate github --yes
  hookgate webhook rotate github --overlap 1h")]
    Rotate {
        #[command(flatten)]
        only: Only,
        /// How long the old hook stays good: 90s, 15m, 1h, at most 2d
        #[arg(long, value_name = "TIME", value_parser = overlap)]
        overlap: Option<i64>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Delete a webhook
    #[command(
        visible_alias = "delete",
        after_help = "\
Asks first, unless --yes is said.

Example:
  hookgate webhook rm github --yes"
    )]
    Rm {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Show what a webhook's template was saved as, when and by whom
    #[command(after_help = version::VERSIONS)]
    Versions(version::Versions),
    /// Make an earlier version of a template live again
    #[command(after_help = version::ROLLBACK)]
    Rollback(version::Rollback),
    /// Keep a template beside the live one, to be published later
    #[command(after_help = version::DRAFT)]
    Draft(Box<version::Draft>),
    /// Make the draft of a template live
    #[command(after_help = version::PUBLISH)]
    Publish(version::Publish),
    /// See what a webhook would make of a request; nothing is kept, no event leaves
    #[command(after_help = trial::EXAMPLE)]
    Test(Box<trial::Args>),
}

/// One webhook.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its name, or its id
    #[arg(value_name = "NAME|ID")]
    webhook: String,
    #[command(flatten)]
    access: Access,
}

/// One webhook, and how it is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Only {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Create(args) => create::run(args).await,
            Command::Ls { access, listing } => list(access, *listing).await,
            Command::Show { which, template, listing } => {
                let (remote, webhook) = which.find().await?;
                match template {
                    true => print_text(&text(&webhook, "template")),
                    false => print(&remote, webhook, *listing),
                }
            }
            Command::Update(args) => edit::run(args).await,
            Command::Enable(only) => only.switch(|_| true).await,
            Command::Disable(only) => only.switch(|_| false).await,
            Command::Toggle(only) => only.switch(|is_on| !is_on).await,
            Command::Rotate { only, overlap, yes } => rotate(only, *overlap, *yes).await,
            Command::Rm { which, yes } => {
                let (remote, webhook) = which.find().await?;
                prompt::confirm(&format!("delete the webhook {}", named(&webhook)), *yes)?;
                let path = format!("webhooks/{}", text(&webhook, "id"));
                remote.call(Method::DELETE, &path, None).await.map(drop)
            }
            Command::Versions(args) => version::versions(args).await,
            Command::Rollback(args) => version::rollback(args).await,
            Command::Draft(args) => version::draft(args).await,
            Command::Publish(args) => version::publish(args).await,
            Command::Test(args) => trial::run(args).await,
        }
    })
}

impl Which {
    /// The gateway, and the webhook as it is now.
    async fn find(&self) -> Result<(Remote, Value), Failure> {
        let remote = self.access.workspace().await?;
        let webhook = remote.find("webhook", "webhooks", &self.webhook).await?;
        Ok((remote, webhook))
    }
}

async fn list(access: &Access, listing: Listing) -> Result<(), Failure> {
    let remote = access.workspace().await?;
    let all = remote.rows("webhooks/filter", &json!({})).await?;
    let all: Vec<Value> = all.into_iter().map(|webhook| with_hook(&remote, webhook)).collect();
    listing.rows(&all, &["NAME", "STATE", "ID", "HOOK"], |webhook| {
        vec![text(webhook, "name"), state(webhook), text(webhook, "id"), text(webhook, "hook")]
    })
}

impl Only {
    /// Turns a webhook on or off, by what it is now.
    async fn switch(&self, wanted: impl Fn(bool) -> bool) -> Result<(), Failure> {
        let (remote, webhook) = self.which.find().await?;
        let enabled = wanted(webhook["enabled"] == true);
        let path = format!("webhooks/{}", text(&webhook, "id"));
        remote.call(Method::PATCH, &path, Some(&json!({ "enabled": enabled }))).await?;
        let webhook = remote.call(Method::GET, &path, None).await?;
        self.listing.record(
            &with_hook(&remote, webhook.clone()),
            &[("webhook", text(&webhook, "name")), ("state", state(&webhook))],
        )
    }
}

async fn rotate(only: &Only, overlap: Option<i64>, is_sure: bool) -> Result<(), Failure> {
    let (remote, webhook) = only.which.find().await?;
    let when = overlap.map_or_else(String::new, |seconds| format!(" in {seconds} s"));
    let what = format!("end the present hook of the webhook {}{when}", named(&webhook));
    prompt::confirm(&what, is_sure)?;
    let path = format!("webhooks/{}/rotate", text(&webhook, "id"));
    let body = overlap.map(|seconds| json!({ "old_slug_expires_in_seconds": seconds }));
    let rotated = with_hook(&remote, remote.call(Method::POST, &path, body.as_ref()).await?);
    let lines = [("webhook", text(&rotated, "name")), ("hook", text(&rotated, "hook"))];
    only.listing.record(&rotated, &lines)
}

/// Prints all of a webhook.
fn print(remote: &Remote, webhook: Value, listing: Listing) -> Result<(), Failure> {
    let webhook = with_hook(remote, webhook);
    let caller = match (&webhook["service_account"], &webhook["service_account_id"]) {
        (Value::Object(caller), _) => caller["name"].as_str().unwrap_or_default().to_owned(),
        (_, id) => id.as_str().unwrap_or_default().to_owned(),
    };
    let mut lines = vec![
        ("webhook", text(&webhook, "name")),
        ("id", text(&webhook, "id")),
        ("state", state(&webhook)),
        ("hook", text(&webhook, "hook")),
        ("description", text(&webhook, "description")),
        ("service account", caller),
        ("taken once", once::told(&webhook)),
        ("taken from", once::told_networks(&webhook)),
        ("weight", webhook["weight"].as_u64().map(|weight| weight.to_string()).unwrap_or_default()),
        ("replies", reply::told(&webhook)),
        ("redacted", redaction::told(&webhook)),
        ("verified", verification::told(&webhook)),
        ("created", text(&webhook, "created")),
        ("updated", text(&webhook, "updated")),
        ("template", text(&webhook, "template")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(&webhook, &lines)
}

fn state(webhook: &Value) -> String {
    if webhook["enabled"] == false { "off" } else { "on" }.to_owned()
}

fn named(webhook: &Value) -> String {
    format!("{:?} ({})", text(webhook, "name"), text(webhook, "id"))
}

/// A webhook with the address it is called at.
fn with_hook(remote: &Remote, mut webhook: Value) -> Value {
    let hook = send::address(webhook["slug"].as_str().unwrap_or_default(), &remote.base);
    webhook["hook"] = hook.into();
    webhook
}
