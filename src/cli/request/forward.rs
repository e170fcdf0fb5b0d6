//! `hookgate request forward`: kept requests sent from this machine to an address that whoever calls names. In: one
//! request, or what narrows many. Out: what was answered. Never follows a redirect.

use std::fmt::Write as _;

use serde_json::json;

use super::curl::{headers, target};
use super::pages::{self, Pages, Wanted};
use super::{Whole, read, read_kept};
use crate::cli::access::{Access, Remote};
use crate::cli::client::Client;
use crate::cli::output::{Failure, print_line, say};
use crate::id::Uuid;

pub(super) const EXAMPLE: &str = "\
Requests go one after the other, oldest first, with their bytes and headers; those of the connection, and secret ones,
which nobody keeps, excepted: all that are wanted, a line for each. Exit codes: 0 all were taken, 8 some were not.

Examples:
  hookgate request forward 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 --to http://localhost:3000/hook
  hookgate request forward --webhook github --since 1h --to http://localhost:3000/hook";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// One request, by its id
    #[arg(conflicts_with_all = ["webhook", "since", "until", "outcome", "condition"])]
    id: Option<Uuid>,
    /// Where requests go
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    access: Access,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    taken: u64,
    refused: u64,
    /// Let go of since they were listed, or they do not open.
    missing: u64,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = args.access.workspace().await?;
    let client = Client::fit(&args.to)?;
    let mut tally = Tally::default();
    let done = match args.id {
        Some(id) => tally.send(&client, read(&remote, id).await?, id, &args.to).await,
        None => tally.send_all(&client, &remote, args).await,
    };
    let line = tally.line();
    match (done, tally.refused + tally.missing) {
        (Ok(()), 0) => {
            say(&line);
            Ok(())
        }
        (Ok(()), _) => Err(Failure::Partly(line)),
        (Err(failure), _) => {
            if args.id.is_none() {
                say(&format!("{line}, and none behind them sent"));
            }
            Err(failure)
        }
    }
}

impl Tally {
    fn line(&self) -> String {
        let Self { taken, refused, missing } = self;
        let mut line = format!("{taken} taken");
        for (count, what) in [(refused, "refused"), (missing, "not kept any more")] {
            if *count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        line
    }

    /// Sends all that are wanted, a page of their ids at a time.
    async fn send_all(
        &mut self,
        client: &Client,
        remote: &Remote,
        args: &Args,
    ) -> Result<(), Failure> {
        let wanted = &args.wanted;
        if !wanted.says_which() {
            let says = "say which: a request by its id, or --webhook, --since, --until, --outcome, --where, or --limit";
            return Err(Failure::Usage(says.to_owned()));
        }
        let mut pages = Pages::open(remote.clone(), wanted, wanted.all(), true).await?;
        while let Some(page) = pages.next().await? {
            for row in &page {
                let id = pages::id(row)?;
                match read_kept(remote, id).await? {
                    Some(whole) => self.send(client, whole, id, &args.to).await?,
                    None => self.missing += 1,
                }
            }
        }
        pages.tell_undecided();
        Ok(())
    }

    async fn send(
        &mut self,
        client: &Client,
        whole: Whole,
        id: Uuid,
        to: &str,
    ) -> Result<(), Failure> {
        whole.warn();
        let request = whole.request()?;
        let address = target(&request, to);
        let (method, headers) = (request.method.clone(), headers(&request));
        let answer = client.send(method, &address, headers, request.body.clone()).await?;
        let status = answer.status.as_u16();
        print_line(&json!({ "id": id, "status": status }).to_string())?;
        let is_taken = answer.status.is_success();
        self.taken += u64::from(is_taken);
        self.refused += u64::from(!is_taken);
        Ok(())
    }
}
