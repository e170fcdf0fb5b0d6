//! `hookgate parked`: events that a destination did not take and that were set aside. In: a data folder. Out: each with
//! its reason and the last answer. Changes nothing; may run beside a gateway.

use std::path::PathBuf;

use super::Form;
use super::output::{Failure, print_line};
use crate::forward;

/// Most characters of an answer in a line.
const ANSWER_MAX_CHARS: usize = 80;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List parked events, the oldest of each destination first
    #[command(after_help = "\
With -o json each line is an object that holds the whole event.

Example:
  hookgate parked ls --data ./data -o json")]
    Ls {
        /// Data folder
        #[arg(long, env = "HOOKGATE_SERVER__DATA", value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        form: Form,
    },
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Ls { data, form } = command;
    if !data.is_dir() {
        return Err(Failure::NotFound(format!("{}: no such folder", data.display())));
    }
    for parked in forward::parked(data)? {
        if form.is_json() {
            let line = serde_json::to_string(&parked);
            print_line(&line.map_err(|fault| Failure::No(fault.to_string()))?)?;
            continue;
        }
        let answer = parked.answer.as_deref().unwrap_or_default();
        let answer: String = answer.chars().take(ANSWER_MAX_CHARS).collect();
        print_line(&format!(
            "{}  {}  {}  {} attempts  {}  {}",
            parked.parked, parked.id, parked.destination, parked.attempts, parked.reason, answer
        ))?;
    }
    Ok(())
}
