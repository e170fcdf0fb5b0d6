//! `hookgate config`: the settings in force with where each came from, and the schema of the file. In: file,
//! environment. Out: text or JSON. Never a secret; changes nothing.

use serde_json::json;

use super::output::{Failure, print_line, say};
use super::{ConfigFile, Form, environment};
use crate::config::{self, Origin};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print each setting that is in force
    #[command(after_help = "Example:\n  hookgate config show --origin")]
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Print the JSON Schema of the configuration file
    #[command(after_help = "Example:\n  hookgate config schema > hookgate.schema.json")]
    Schema,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Schema => print_line(&format!("{:#}", config::schema())),
        Command::Show { file, origin, form } => show(file, *origin, *form),
    }
}

fn show(file: &ConfigFile, origin: bool, form: Form) -> Result<(), Failure> {
    let loaded = config::load(file.config.as_deref(), environment(), Vec::new())?;
    for warning in &loaded.warnings {
        say(&format!("hookgate: warning: {warning}"));
    }
    for (path, value, from) in loaded.rows() {
        if form.is_json() {
            let row = json!({ "setting": path, "value": value, "origin": from.to_string() });
            print_line(&row.to_string())?;
            continue;
        }
        let line = match value {
            Some(value) => format!("{path} = {value}"),
            None => format!("# {path} is not set"),
        };
        match (origin, from) {
            (true, Origin::Default) => print_line(&format!("{line:<60} # default"))?,
            (true, from) => print_line(&format!("{line:<60} # from {from}"))?,
            (false, _) => print_line(&line)?,
        }
    }
    Ok(())
}
