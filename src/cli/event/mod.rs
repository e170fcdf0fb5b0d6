//! `hookgate event`: events of a running gateway. In: what is asked for, or an event of one's own. Out: events, or
//! their names.

mod emit;
mod line;
mod list;
mod names;
mod tail;
mod wanted;

pub(super) use line::Seen;
pub(super) use list::Question;
pub(super) use wanted::Wanted;

use super::access::Access;
use super::client::runtime;
use super::listing::Listing;
use super::output::Failure;
use crate::id::Uuid;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, newest first
    #[command(visible_alias = "list", after_help = list::EXAMPLE)]
    Ls(Box<list::Args>),
    /// Show one event
    #[command(
        visible_alias = "get",
        after_help = "Example:\n  hookgate event show 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10"
    )]
    Show {
        /// Its id
        id: Uuid,
        /// Look in the whole account
        #[arg(long)]
        whole_account: bool,
        #[command(flatten)]
        access: Access,
        #[command(flatten)]
        listing: Listing,
    },
    /// Follow events as they happen
    #[command(after_help = tail::EXAMPLE)]
    Tail(Box<tail::Args>),
    /// Emit an event of your own
    #[command(after_help = emit::EXAMPLE)]
    Emit(Box<emit::Args>),
    /// Print the name of every event the gateway can emit by itself, one a line; asks no server
    #[command(after_help = names::EXAMPLE)]
    Names(names::Args),
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Ls(args) => runtime()?.block_on(list::run(args)),
        Command::Show { id, whole_account, access, listing } => {
            runtime()?.block_on(list::show(access, *id, *whole_account, *listing))
        }
        Command::Emit(args) => runtime()?.block_on(emit::run(args)),
        Command::Tail(args) => runtime()?.block_on(tail::run(args)),
        Command::Names(args) => names::run(args),
    }
}

/// Two texts with `=` between them.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("there is no `=` in it")?;
    if name.is_empty() || value.is_empty() {
        return Err("nothing stands on one side of `=`".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
