//! `hookgate key`: API keys, one's own and those of service accounts. In: names and ids. Out: keys without their text,
//! but for the one that is made just now, which is told once.

use http::Method;
use serde_json::{Value, json};

use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::moment::{Moment, moment, overlap};
use super::output::{Failure, say};
use super::prompt;
use crate::clock::Clock;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List keys: your own, or those of service accounts
    #[command(
        visible_alias = "list",
        after_help = "\
Examples:
  hookgate key ls
  hookgate key ls --service-accounts
  hookgate key ls --service-account shop -o json"
    )]
    Ls {
        /// The present keys of all service accounts
        #[arg(long, conflicts_with = "service_account")]
        service_accounts: bool,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Make a key of your own, or a service account with its key
    #[command(after_help = "\
The key is shown once; only its digest is kept.

Examples:
  hookgate key create laptop --expires 90d
  hookgate key create --service-account shop -o json | jq -r .key > shop.txt")]
    Create(Create),
    /// Give a service account a new key
    #[command(after_help = "\
The old key ends at once, or after --overlap.

Example:
  hookgate key rotate shop --overlap 1h -o json | jq -r .key > shop.txt")]
    Rotate {
        /// The service account
        #[arg(value_name = "NAME|ID")]
        service_account: String,
        /// How long the old key stays valid: 90s, 15m, 1h, at most 2d
        #[arg(long, value_name = "TIME", value_parser = overlap)]
        overlap: Option<i64>,
        /// When the new one ends: 90d, or RFC 3339; never when nothing is said
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        expires: Option<Moment>,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// End a key of your own, or of a service account
    #[command(
        visible_alias = "delete",
        after_help = "\
A service account without a key named is ended itself, and all its keys. Asks first, unless --yes is said.

Examples:
  hookgate key rm laptop
  hookgate key rm 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 --service-account shop
  hookgate key rm --service-account shop --yes"
    )]
    Rm {
        /// The key: its name or id
        #[arg(value_name = "NAME|ID", required_unless_present = "service_account")]
        key: Option<String>,
        #[command(flatten)]
        owner: Owner,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        access: Access,
    },
}

/// Whose keys; one's own when nobody is named.
#[derive(Debug, clap::Args)]
pub(super) struct Owner {
    /// Those of this service account
    #[arg(long, value_name = "NAME|ID")]
    service_account: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// What the key is called
    #[arg(value_name = "NAME", required_unless_present = "service_account",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Make this service account, and a key for it
    #[arg(long, value_name = "NAME", conflicts_with = "name",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    service_account: Option<String>,
    /// When it ends: 90d, or RFC 3339; never when nothing is said
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires: Option<Moment>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Ls { service_accounts, owner, access, listing } => {
                let remote = access.account().await?;
                let rows = match &owner.service_account {
                    Some(wanted) => bot_keys(&remote, wanted).await?,
                    None if *service_accounts => all_bot_keys(&remote).await?,
                    None => own_keys(&remote).await?,
                };
                listing.rows(&rows, &["OWNER", "NAME", "KEY", "EXPIRES", "ID"], |row| {
                    ["owner", "name", "masked_key", "expiration", "id"]
                        .map(|key| text(row, key))
                        .to_vec()
                })
            }
            Command::Create(args) => create(args).await,
            Command::Rotate { service_account, overlap, expires, access, listing } => {
                let remote = access.account().await?;
                let bot = remote.caller(service_account).await?;
                let path = format!("bots/{}/rotate_api_key", text(&bot, "id"));
                let body = json!({
                    "api_key_expiration": expiration(*expires)?,
                    "old_key_expires_in_seconds": overlap,
                });
                let rotated = remote.call(Method::POST, &path, Some(&body)).await?;
                tell(&told(&rotated["api_key"], &bot), *listing)
            }
            Command::Rm { key, owner, yes, access } => {
                remove(key.as_deref(), owner, *yes, access).await
            }
        }
    })
}

async fn create(args: &Create) -> Result<(), Failure> {
    let remote = args.access.account().await?;
    let end = expiration(args.expires)?;
    if let Some(name) = &args.service_account {
        let body = json!({ "name": name, "api_key_expiration": end });
        let made = remote.call(Method::POST, "bots/", Some(&body)).await?;
        tell(&told(&made["api_key"], &made), args.listing)?;
        say_doubled(&remote, name, &made).await;
        return Ok(());
    }
    let me = me(&remote).await?;
    let body = json!({ "name": args.name, "expiration": end });
    let path = format!("/api/users/{}/api_keys", text(&me, "id"));
    let made = remote.ask(Method::POST, &path, Some(&body)).await?;
    tell(&told(&made, &me), args.listing)
}

/// Says when others have the name, too: from then on commands know each of them by its id alone.
async fn say_doubled(remote: &Remote, name: &str, made: &Value) {
    // A key that makes service accounts need not see them.
    let Ok(all) = remote.rows("bots/filter", &json!({})).await else { return };
    let (count, id) = (all.iter().filter(|one| one["name"] == name).count(), text(made, "id"));
    if count > 1 {
        say(&format!(
            "{count} service accounts are called {name:?} now: call this one by its id, {id}; `hookgate key rotate` \
             gives one that there is a new key"
        ));
    }
}

async fn remove(
    key: Option<&str>,
    owner: &Owner,
    is_sure: bool,
    access: &Access,
) -> Result<(), Failure> {
    let remote = access.account().await?;
    let (what, path) = match (&owner.service_account, key) {
        (Some(wanted), None) => {
            let bot = remote.caller(wanted).await?;
            let what = format!("end the service account {:?} and its keys", text(&bot, "name"));
            (what, format!("{}/bots/{}", remote.place, text(&bot, "id")))
        }
        (Some(wanted), Some(key)) => {
            let found = pick(bot_keys(&remote, wanted).await?, key)?;
            let (bot, id) = (text(&found, "owner_id"), text(&found, "id"));
            let what = format!("end the key {} of {wanted}", text(&found, "masked_key"));
            (what, format!("{}/bots/{bot}/delete_bot_api_key/{id}", remote.place))
        }
        (None, key) => {
            let found = pick(own_keys(&remote).await?, key.unwrap_or_default())?;
            let (user, id) = (text(&found, "owner_id"), text(&found, "id"));
            let name = text(&found, "name");
            let own = if is_own(&remote, &found) { ", which this command uses" } else { "" };
            let what = format!("end your key {name:?} ({}{own})", text(&found, "masked_key"));
            (what, format!("/api/users/{user}/api_keys/{id}"))
        }
    };
    prompt::confirm(&what, is_sure)?;
    remote.ask(Method::DELETE, &path, None).await.map(drop)
}

/// The key of a name or id among those there are.
fn pick(mut keys: Vec<Value>, wanted: &str) -> Result<Value, Failure> {
    keys.retain(|key| key["id"] == wanted || key["name"] == wanted);
    match keys.len() {
        1 => Ok(keys.remove(0)),
        0 => Err(Failure::NotFound(format!("no key is called {wanted:?}"))),
        several => {
            let ids: Vec<_> = keys.iter().map(|key| text(key, "id")).collect();
            let ids = ids.join(", ");
            Err(Failure::No(format!("{several} keys are called {wanted:?}: say one of {ids}")))
        }
    }
}

async fn me(remote: &Remote) -> Result<Value, Failure> {
    let mut me = remote.ask(Method::GET, "/api/me", None).await?;
    me["name"] = me["handle"].take();
    Ok(me)
}

async fn own_keys(remote: &Remote) -> Result<Vec<Value>, Failure> {
    let me = me(remote).await?;
    let path = format!("/api/users/{}/api_keys", text(&me, "id"));
    let keys = remote.ask(Method::GET, &path, None).await?;
    Ok(keys.as_array().into_iter().flatten().map(|key| told(key, &me)).collect())
}

async fn bot_keys(remote: &Remote, wanted: &str) -> Result<Vec<Value>, Failure> {
    let bot = remote.caller(wanted).await?;
    let path = format!("bots/{}/read_bot_api_keys", text(&bot, "id"));
    let keys = remote.call(Method::GET, &path, None).await?;
    let rotating = keys["rotating_keys"].as_array().into_iter().flatten();
    let all = [&keys["active_key"]].into_iter().filter(|key| !key.is_null()).chain(rotating);
    Ok(all.map(|key| told(key, &bot)).collect())
}

async fn all_bot_keys(remote: &Remote) -> Result<Vec<Value>, Failure> {
    let bots = remote.rows("bots/filter", &json!({})).await?;
    Ok(bots.iter().map(|bot| told(&bot["api_key"], bot)).collect())
}

/// A key with its owner.
fn told(key: &Value, owner: &Value) -> Value {
    let mut told = key.clone();
    told["owner"] = owner["name"].clone();
    told["owner_id"] = owner["id"].clone();
    told
}

/// Prints a key that was made just now.
fn tell(key: &Value, listing: Listing) -> Result<(), Failure> {
    let mut lines = vec![
        ("owner", text(key, "owner")),
        ("name", text(key, "name")),
        ("id", text(key, "id")),
        ("expires", text(key, "expiration")),
        ("key", format!("{}  (shown once: keep it)", text(key, "key"))),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(key, &lines)
}

/// When a key ends, which must be to come.
fn expiration(moment: Option<Moment>) -> Result<Option<String>, Failure> {
    let now = Clock::System.now();
    match moment.map(|moment| moment.after(now)) {
        Some(end) if end <= now => {
            Err(Failure::Usage(format!("--expires {end}: that is over already")))
        }
        end => Ok(end.map(|end| end.to_string())),
    }
}

/// Whether a key is the one that this command comes with, as far as its mask tells.
fn is_own(remote: &Remote, found: &Value) -> bool {
    let masked = text(found, "masked_key");
    let (key, parts) = (remote.key().expose(), masked.split_once("..."));
    parts.is_some_and(|(start, end)| key.starts_with(start) && key.ends_with(end))
}
