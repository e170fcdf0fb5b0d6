//! The command line: one file per command, no logic of its own. In: arguments. Out: results on stdout, all else on
//! stderr, and one of the documented exit codes. Never a secret as a flag's value.

mod access;
mod audit;
mod bench;
mod bootstrap;
mod case;
mod check;
mod client;
mod completions;
mod config;
mod context;
mod demo;
mod destination;
mod doctor;
mod event;
#[cfg(test)]
mod examples;
mod explain;
mod fmt;
mod form;
mod gallery;
mod incident;
mod key;
mod limit;
mod listing;
mod login;
mod man;
mod migrate;
mod moment;
mod openapi;
mod output;
mod parked;
mod password;
mod pretty;
mod prompt;
mod render;
mod replay;
mod request;
mod secrets;
mod send;
mod serve;
mod sign;
mod snippet;
mod socket;
mod sources;
mod splice;
mod spool;
mod stage;
mod test;
mod verify;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::serve::VERSION;
use output::{Failure, print_line};

/// Receives webhooks, makes events of them by templates, keeps them, and forwards them.
#[derive(Debug, Parser)]
#[command(name = "hookgate", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    /// A context that `hookgate login` made, for commands that talk to a gateway
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 ran and the answer is no, 2 wrong usage, 3 configuration does not load,
4 not allowed, 5 not found, 6 cannot be reached, 7 timed out, 8 partly done, 130 interrupted.

Try it: hookgate demo";

#[derive(Debug, Subcommand)]
enum Command {
    /// See the whole way: webhooks, real requests, and the events that arrive
    #[command(after_help = demo::EXAMPLE)]
    Demo(demo::Args),
    /// Run the gateway
    #[command(after_help = serve::EXAMPLE)]
    Serve(Box<serve::Args>),
    /// Make the first account, workspace and key of a data folder
    #[command(after_help = bootstrap::EXAMPLE)]
    Bootstrap(bootstrap::Args),
    /// See what templates make, without a server
    #[command(after_help = render::EXAMPLE)]
    Render(render::Args),
    /// Try templates on the requests beside them
    #[command(after_help = test::EXAMPLE)]
    Test(Box<test::Args>),
    /// Look templates through for what will break
    #[command(after_help = check::EXAMPLE)]
    Check(check::Args),
    /// Space the tags of templates evenly; what they render never changes
    #[command(after_help = fmt::EXAMPLE)]
    Fmt(fmt::Args),
    /// Keep where a gateway is, and the key for it
    #[command(after_help = login::EXAMPLE)]
    Login(login::Args),
    /// The gateways that `hookgate login` keeps
    #[command(subcommand)]
    Context(context::Command),
    /// Webhooks of a running gateway
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Send a real request to a webhook of a running gateway
    #[command(after_help = send::EXAMPLE)]
    Send(Box<send::Args>),
    /// Whether requests were signed by who knows a secret
    #[command(after_help = verify::EXAMPLE)]
    Verify(Box<verify::Args>),
    /// A request as its provider would sign it, to try a webhook with
    #[command(after_help = sign::EXAMPLE)]
    Sign(Box<sign::Args>),
    /// API keys of your own, and of service accounts
    #[command(subcommand)]
    Key(key::Command),
    /// Set your password, for people who log in without a key
    #[command(after_help = password::EXAMPLE)]
    Password(Box<password::Args>),
    /// Incidents of a workspace
    #[command(subcommand)]
    Incident(incident::Command),
    /// Limits of a running gateway, and what of them is used
    #[command(subcommand)]
    Limit(limit::Command),
    /// Copy webhooks from Prefect Cloud or another gateway
    #[command(after_help = migrate::EXAMPLE)]
    Migrate(Box<migrate::Args>),
    /// Events of a running gateway
    #[command(subcommand)]
    Event(event::Command),
    /// Where a workspace's events are sent
    #[command(subcommand)]
    Destination(destination::Command),
    /// Requests that webhooks kept
    #[command(subcommand)]
    Request(request::Command),
    /// Tell what became of a request or an event
    #[command(after_help = explain::EXAMPLE)]
    Explain(explain::Args),
    /// Make events of kept requests again, by today's templates
    #[command(after_help = replay::EXAMPLE)]
    Replay(Box<replay::Args>),
    /// Look at events that a destination did not take
    #[command(subcommand)]
    Parked(parked::Command),
    /// Look at the durable log of a data folder
    #[command(subcommand)]
    Spool(spool::Command),
    /// How secrets at rest are kept, and a new key for them
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Who did what: asked of a gateway, or proven from a data folder or an export
    #[command(subcommand)]
    Audit(audit::Command),
    /// Name settings and states that are unsafe, and the way out
    #[command(after_help = doctor::EXAMPLE)]
    Doctor(doctor::Args),
    /// Show settings and where they come from
    #[command(subcommand)]
    Config(config::Command),
    /// Measure the gateway beside a bare server and the durable limit of this machine
    #[command(after_help = bench::EXAMPLE)]
    Bench(bench::Bench),
    /// One server of a bench
    #[command(hide = true, subcommand)]
    BenchServer(bench::Server),
    /// Print what a shell needs to complete commands and flags
    #[command(after_help = completions::EXAMPLE)]
    Completions(completions::Args),
    /// Print the manual, or write a page for each command
    #[command(after_help = man::EXAMPLE)]
    Man(man::Args),
    /// Print the OpenAPI document of the API
    #[command(name = "openapi", after_help = openapi::EXAMPLE)]
    OpenApi,
    /// Print the version
    #[command(after_help = "Example:\n  hookgate version -o json")]
    Version {
        #[command(flatten)]
        form: Form,
    },
}

/// How a single result is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Form {
    /// `text` for people, `json` for programs
    #[arg(short, long, value_enum, default_value = "text")]
    output: OutputForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputForm {
    Text,
    Json,
}

impl Form {
    fn is_json(self) -> bool {
        self.output == OutputForm::Json
    }
}

/// Where the configuration file is.
#[derive(Clone, Debug, Default, clap::Args)]
struct ConfigFile {
    /// Configuration file; /etc/hookgate/config.toml when there is one
    #[arg(long = "config", env = "HOOKGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command the arguments name, and says how it went.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Audit(command) => audit::run(&command),
        Command::Bench(bench) => bench::run(&bench),
        Command::BenchServer(server) => bench::serve(server),
        Command::Bootstrap(args) => bootstrap::run(&args),
        Command::OpenApi => openapi::run(),
        Command::Serve(args) => serve::run(*args),
        Command::Demo(args) => demo::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Webhook(command) => webhook::run(&command),
        Command::Login(args) => login::run(&args),
        Command::Context(command) => context::run(&command),
        Command::Key(command) => key::run(&command),
        Command::Password(args) => password::run(&args),
        Command::Incident(command) => incident::run(&command),
        Command::Limit(command) => limit::run(&command),
        Command::Migrate(args) => migrate::run(&args),
        Command::Event(command) => event::run(&command),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Destination(command) => destination::run(&command),
        Command::Request(command) => request::run(&command),
        Command::Explain(args) => explain::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Parked(command) => parked::run(&command),
        Command::Secrets(command) => secrets::run(&command),
        Command::Spool(command) => spool::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Version { form } => print_version(form),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The environment as text; a variable that is not text is no setting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn print_version(form: Form) -> Result<(), Failure> {
    if form.is_json() {
        print_line(&serde_json::json!({ "name": "hookgate", "version": VERSION }).to_string())
    } else {
        print_line(&format!("hookgate {VERSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_one_another() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_context_may_be_named_anywhere() {
        for words in [
            ["hookgate", "--context", "x", "webhook", "ls"],
            ["hookgate", "webhook", "--context", "x", "ls"],
            ["hookgate", "webhook", "ls", "--context", "x"],
        ] {
            let found = Cli::command().try_get_matches_from(words).expect("it parses");
            let (_, webhook) = found.subcommand().expect("a command");
            let (_, ls) = webhook.subcommand().expect("a verb");
            assert_eq!(ls.get_one::<String>("context").map(String::as_str), Some("x"), "{words:?}");
        }
    }
}
