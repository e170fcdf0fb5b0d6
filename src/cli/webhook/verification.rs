//! How requests of a webhook are verified, as flags. In: a provider, and secrets from files. Out: a member of a body.
//! Never a secret as a flag's value.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::output::Failure;
use crate::cli::verify::{secrets, setting};
use crate::clock::{Clock, Time};
use crate::verify::signature::LEGACY;

#[derive(Debug, clap::Args)]
pub(super) struct Verification {
    /// Take only what this provider signed, such as github; `hookgate verify --list` tells all
    #[arg(long = "verify", value_name = "PROVIDER")]
    provider: Option<String>,
    /// A file with the secret; several count at once. `token:` in front of it says that it is the verify token of a
    /// provider's question (meta), and signs nothing
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
    /// A file with a secret that counts beside those there are: the way to replace one without a refusal
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    add_secret_file: Vec<PathBuf>,
    /// How long those there are count beside one that is added, such as 24h; for good when nothing is said
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment::seconds)]
    overlap: Option<i64>,
    /// Let a secret count no more: its id, as `hookgate webhook show` tells it
    #[arg(long, value_name = "ID", conflicts_with = "secret_file")]
    drop_secret: Vec<String>,
    /// How many seconds the clocks may differ, instead of what the provider says
    #[arg(long, value_name = "SECONDS")]
    tolerance: Option<u32>,
    /// A setting of the provider, such as `url=https://hooks.example.com/hooks/{slug}`; `url=` takes it away
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    verify_parameter: Vec<(String, String)>,
    /// Take the secret that the provider brings in its first request (asana, notion), within so long, such as 1h
    #[arg(long, value_name = "TIME", conflicts_with_all = ["secret_file", "add_secret_file"],
          value_parser = crate::cli::moment::seconds)]
    enrol: Option<i64>,
    /// Take what is not signed, too; the received event says what was found
    #[arg(long)]
    verify_only_label: bool,
    #[command(flatten)]
    repeats: Repeats,
    /// Verify nothing any more
    #[arg(long, conflicts_with_all = ["provider", "secret_file", "add_secret_file", "overlap", "drop_secret",
          "tolerance", "verify_parameter", "enrol", "verify_only_label", "once", "no_once"])]
    no_verify: bool,
}

/// What becomes of what was signed and comes again.
#[derive(Debug, clap::Args)]
struct Repeats {
    /// Take what was signed once, whoever sends it again: the first receipt is the answer, there is no second event.
    /// It is known for as long as its time counts, for 24h where none is signed
    #[arg(long)]
    once: bool,
    /// Take what was signed as often as it comes
    #[arg(long, conflicts_with = "once")]
    no_once: bool,
}

impl Verification {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        let secrets = [&self.secret_file, &self.add_secret_file].iter().any(|one| !one.is_empty());
        let listed = !(self.drop_secret.is_empty() && self.verify_parameter.is_empty());
        let named = self.provider.is_some() || self.tolerance.is_some() || self.enrol.is_some();
        let named = named || self.overlap.is_some();
        let repeats = self.repeats.once || self.repeats.no_once;
        secrets || listed || named || repeats || self.verify_only_label || self.no_verify
    }

    /// Refuses what does not go together. By hand: a flag that another conflicts with is required by none for clap.
    fn check(&self, standing: &Value) -> Result<(), Failure> {
        if self.overlap.is_some() && self.add_secret_file.is_empty() {
            let what = "--overlap is how long the secrets there are count beside one that is added: say \
                        --add-secret-file FILE --overlap TIME; --secret-file ends them at once";
            return Err(Failure::Usage(what.to_owned()));
        }
        let kept = standing["secrets"].as_array().into_iter().flatten();
        let kept: Vec<&str> = kept.filter_map(|secret| secret["id"].as_str()).collect();
        match self.drop_secret.iter().find(|id| !kept.contains(&id.as_str())) {
            None => Ok(()),
            Some(id) => {
                let there = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                Err(Failure::NotFound(format!(
                    "the webhook has no secret {id:?}; there is {there}"
                )))
            }
        }
    }

    /// Puts what is said into a body; what there is stays where nothing is said.
    pub(super) fn fill(&self, body: &mut Value, standing: &Value) -> Result<(), Failure> {
        if !self.is_said() {
            return Ok(());
        }
        self.check(standing)?;
        if self.no_verify {
            body["verification"] = Value::Null;
            return Ok(());
        }
        let mut said = standing.clone();
        if let Some(provider) = &self.provider {
            if said["provider"] != provider.as_str() {
                said = json!({});
            }
            said["provider"] = provider.as_str().into();
        }
        if said["provider"].is_null() {
            return Err(Failure::Usage("say who signs: --verify PROVIDER".to_owned()));
        }
        let mut listed = match (&self.secret_file[..], said["secrets"].as_array()) {
            ([], Some(kept)) => kept.clone(),
            _ => Vec::new(),
        };
        listed.retain(|secret| !self.drop_secret.iter().any(|id| secret["id"] == id.as_str()));
        if let Some(seconds) = self.overlap {
            let end = Clock::System.now().plus_seconds(seconds);
            for secret in &mut listed {
                let sooner = secret["until"].as_str().and_then(Time::parse);
                let end = sooner.map_or(end, |sooner| sooner.min(end));
                secret["until"] = end.to_string().into();
            }
        }
        let files = [&self.secret_file[..], &self.add_secret_file[..]].concat();
        for (place, secret) in secrets(&files)?.iter().enumerate() {
            listed.insert(place, secret.expose().into());
        }
        said["secrets"] = listed.into();
        if let Some(tolerance) = self.tolerance {
            said["tolerance"] = tolerance.into();
        }
        if let Some(seconds) = self.enrol {
            said["enrol"] = Clock::System.now().plus_seconds(seconds).to_string().into();
        }
        for (name, value) in &self.verify_parameter {
            // This one is on whatever it says.
            if !value.is_empty() || name == LEGACY {
                said["parameters"][name] = value.as_str().into();
            } else if let Some(kept) = said["parameters"].as_object_mut() {
                kept.remove(name);
            }
        }
        if self.verify_only_label || said["required"].is_null() {
            said["required"] = (!self.verify_only_label).into();
        }
        if self.repeats.once {
            said["once"] = true.into();
        }
        if let (true, Some(said)) = (self.repeats.no_once, said.as_object_mut()) {
            said.remove("once");
        }
        body["verification"] = said;
        Ok(())
    }
}

/// How a webhook's requests are verified, in words; nothing when they are not.
pub(super) fn told(webhook: &Value) -> String {
    let told = described(&webhook["verification"]);
    match webhook["verification_fault"].as_str() {
        Some(fault) => format!("{told}; every request is refused: {fault}"),
        None => told,
    }
}

fn described(said: &Value) -> String {
    let Some(provider) = said["provider"].as_str() else { return String::new() };
    let ids = said["secrets"].as_array().into_iter().flatten();
    let told = |secret: &Value| {
        let id = secret["id"].as_str()?.to_owned();
        Some(secret["until"].as_str().map_or(id.clone(), |until| format!("{id} until {until}")))
    };
    let ids: Vec<String> = ids.filter_map(told).collect();
    // Where there is no secret, settings say whose requests are taken.
    let settings = said["parameters"].as_object().into_iter().flatten();
    let names: Vec<String> =
        settings.filter_map(|(name, text)| Some(format!("{name} {:?}", text.as_str()?))).collect();
    let only = if said["required"] == false { ", only labelled" } else { "" };
    let once = if said["once"] == true { "; what was signed once is taken once" } else { "" };
    if let (Some(until), true) = (said["enrol"].as_str(), ids.is_empty()) {
        return format!("as {provider}, waiting for its secret until {until}{only}");
    }
    match &ids[..] {
        [] if names.is_empty() => format!("as {provider}, without a secret{only}{once}"),
        [] => format!("as {provider}, by {}{only}{once}", names.join(", ")),
        ids => format!("as {provider}, by {}{only}{once}", ids.join(", ")),
    }
}
