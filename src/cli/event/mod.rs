//! `hookgate event`: events that a gateway can emit. In: flags. Out: events, or their names.

mod names;

use super::output::Failure;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the name of every event the gateway can emit by itself, one a line; asks no server
    #[command(after_help = names::EXAMPLE)]
    Names(names::Args),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Names(args) => names::run(args),
    }
}
