//! `hookgate incident`: incidents of a workspace, from their declaration to their end. In: a name or id, and what is to
//! become of it. Out: the record, and what was written about it.

use http::Method;
use serde_json::{Map, Value, json};

use super::access::{Access, Remote};
use super::client::runtime;
use super::listing::{Listing, text};
use super::moment::{Moment, moment};
use super::output::Failure;
use super::prompt;
use crate::clock::Clock;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say that something is wrong
    #[command(after_help = "\
Example:
  hookgate incident declare 'Shop is down' --severity high --tag shop --resource app.shop")]
    Declare {
        /// What is wrong, in few words
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        #[command(flatten)]
        facts: Facts,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// List incidents
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  hookgate incident ls --status active"
    )]
    Ls {
        /// Only those that are so
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// Only those that are so bad; may be given again
        #[arg(long, value_enum)]
        severity: Vec<Severity>,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show an incident, and what was written about it
    #[command(
        visible_alias = "get",
        after_help = "Example:\n  hookgate incident show 'Shop is down' -o json"
    )]
    Show(Which),
    /// Say that it is over
    #[command(after_help = "Example:\n  hookgate incident resolve 'Shop is down' --at 5m")]
    Resolve {
        #[command(flatten)]
        which: Which,
        /// When it ended: an age such as 5m, or RFC 3339; now when nothing is said
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        at: Option<Moment>,
    },
    /// Say that it is not over
    #[command(after_help = "Example:\n  hookgate incident reopen 'Shop is down'")]
    Reopen(Which),
    /// Write about it
    #[command(after_help = "\
Example:
  hookgate incident comment 'Shop is down' 'The disk is full'")]
    Comment {
        #[command(flatten)]
        which: Which,
        /// What there is to say
        comment: String,
    },
    /// Change what is said of it; what is not said stays
    #[command(after_help = "\
Example:
  hookgate incident update 'Shop is down' --severity low --summary 'Only the search'")]
    Update {
        #[command(flatten)]
        which: Which,
        /// What is wrong, in few words
        #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: Option<String>,
        #[command(flatten)]
        facts: Facts,
    },
    /// Delete its record
    #[command(
        visible_alias = "delete",
        after_help = "\
Asks first, unless --yes is said. What happened is still told by its events.

Example:
  hookgate incident rm 'Shop is down' --yes"
    )]
    Rm {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// One incident, and how it is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its name, or its id
    #[arg(value_name = "NAME|ID")]
    incident: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

/// What is known of an incident.
#[derive(Debug, clap::Args)]
pub(super) struct Facts {
    /// What is wrong, at length
    #[arg(short, long, value_name = "TEXT")]
    summary: Option<String>,
    /// How bad it is
    #[arg(long, value_enum)]
    severity: Option<Severity>,
    /// When it began: an age such as 10m, or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// A tag; may be given again
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// The id of a resource it is about; may be given again
    #[arg(long, value_name = "ID")]
    resource: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Severity {
    Minor,
    Low,
    Moderate,
    High,
    Critical,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Status {
    Active,
    Resolved,
}

/// A value's word, as flags and the API say it.
fn word(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Facts {
    /// The fields that are said.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if let Some(summary) = &self.summary {
            put("summary", summary.as_str().into());
        }
        if let Some(severity) = self.severity {
            put("severity", word(&severity).into());
        }
        if let Some(since) = self.since {
            put("start_time", since.before(Clock::System.now()).to_string().into());
        }
        if !self.tag.is_empty() {
            put("tags", json!(self.tag));
        }
        if !self.resource.is_empty() {
            let labels = |id: &String| json!({ "prefect.resource.id": id });
            put("related_resources", self.resource.iter().map(labels).collect());
        }
        fields
    }
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match command {
            Command::Declare { name, facts, access, listing } => {
                let remote = access.workspace().await?;
                let mut fields = facts.fields();
                fields.insert("name".to_owned(), name.as_str().into());
                let made = remote.call(Method::POST, "incidents/", Some(&fields.into())).await?;
                print(&made, *listing)
            }
            Command::Ls { status, severity, access, listing } => {
                let remote = access.workspace().await?;
                let mut criteria = Map::new();
                if let Some(status) = status {
                    criteria.insert("status".to_owned(), json!({ "any_": [word(status)] }));
                }
                if !severity.is_empty() {
                    let words: Vec<_> = severity.iter().map(word).collect();
                    criteria.insert("severity".to_owned(), json!({ "any_": words }));
                }
                list(&remote, &json!({ "incidents": criteria }), *listing).await
            }
            Command::Show(which) => show(which).await,
            Command::Resolve { which, at } => {
                let end = at.map(|at| at.before(Clock::System.now()).to_string());
                which.step(Method::POST, "/resolve", json!({ "end_time": end })).await
            }
            Command::Reopen(which) => which.step(Method::POST, "/reopen", json!({})).await,
            Command::Comment { which, comment } => {
                let (remote, incident) = which.find().await?;
                let path = format!("incidents/{}/comments", text(&incident, "id"));
                let body = json!({ "comment": comment });
                let made = remote.call(Method::POST, &path, Some(&body)).await?;
                which.listing.record(
                    &made,
                    &[("incident", text(&incident, "name")), ("comment", text(&made, "comment"))],
                )
            }
            Command::Update { which, name, facts } => {
                let mut fields = facts.fields();
                fields.extend(name.iter().map(|name| ("name".to_owned(), name.as_str().into())));
                if fields.is_empty() {
                    let what =
                        "nothing is to change: --name, --summary, --severity, --since, --tag";
                    return Err(Failure::Usage(what.to_owned()));
                }
                which.step(Method::PATCH, "", fields.into()).await
            }
            Command::Rm { which, yes } => {
                let (remote, incident) = which.find().await?;
                let name = text(&incident, "name");
                prompt::confirm(&format!("delete the incident {name:?}"), *yes)?;
                let path = format!("incidents/{}", text(&incident, "id"));
                remote.call(Method::DELETE, &path, None).await.map(drop)
            }
        }
    })
}

impl Which {
    async fn find(&self) -> Result<(Remote, Value), Failure> {
        let remote = self.access.workspace().await?;
        let incident = remote.find("incident", "incidents", &self.incident).await?;
        Ok((remote, incident))
    }

    /// Takes it one step further, and shows how it is then.
    async fn step(&self, method: Method, suffix: &str, body: Value) -> Result<(), Failure> {
        let (remote, incident) = self.find().await?;
        let path = format!("incidents/{}", text(&incident, "id"));
        remote.call(method, &format!("{path}{suffix}"), Some(&body)).await?;
        print(&remote.call(Method::GET, &path, None).await?, self.listing)
    }
}

async fn list(remote: &Remote, criteria: &Value, listing: Listing) -> Result<(), Failure> {
    let mut rows = remote.rows("incidents/filter", criteria).await?;
    // What is wrong now stands first, and of that what began last.
    rows.sort_by_key(|row| {
        (row["status"] == "resolved", std::cmp::Reverse(text(row, "start_time")))
    });
    listing.rows(&rows, &["NAME", "STATUS", "SEVERITY", "SINCE", "ID"], |row| {
        ["name", "status", "severity", "start_time", "id"].map(|key| text(row, key)).to_vec()
    })
}

async fn show(which: &Which) -> Result<(), Failure> {
    let (remote, mut incident) = which.find().await?;
    let path = format!("incidents/{}/comments", text(&incident, "id"));
    let comments = remote.call(Method::GET, &path, None).await?;
    incident["comments"] = comments;
    print(&incident, which.listing)
}

fn print(incident: &Value, listing: Listing) -> Result<(), Failure> {
    let texts = |key: &str| incident[key].as_array().into_iter().flatten();
    let tags: Vec<_> = texts("tags").filter_map(Value::as_str).collect();
    let resources: Vec<_> =
        texts("related_resources").map(|labels| text(labels, "prefect.resource.id")).collect();
    let comment = |comment: &Value| {
        let said = text(comment, "comment");
        format!("{}  {}", text(comment, "created"), said)
    };
    let comments: Vec<String> = texts("comments").map(comment).collect();
    let mut lines = vec![
        ("incident", text(incident, "name")),
        ("id", text(incident, "id")),
        ("status", text(incident, "status")),
        ("severity", text(incident, "severity")),
        ("since", text(incident, "start_time")),
        ("until", text(incident, "end_time")),
        ("tags", tags.join(", ")),
        ("resources", resources.join(", ")),
        ("summary", text(incident, "summary")),
        ("comments", comments.join("\n")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    listing.record(incident, &lines)
}
