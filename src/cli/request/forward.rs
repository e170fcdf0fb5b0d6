//! `hookgate request forward`: kept requests sent from this machine to an address that whoever calls names. In: one
//! request, or what narrows many. Out: what was answered. Never follows a redirect.

use serde_json::json;

use super::curl::{headers, target};
use super::pages::{self, Pages, Wanted};
use super::{Whole, read};
use crate::cli::access::{Access, Remote};
use crate::cli::client::Client;
use crate::cli::output::{Failure, print_line, say};
use crate::id::Uuid;

pub(super) const EXAMPLE: &str = "\
Requests go one after the other, oldest first, with their bytes and headers; those of the connection, and secret ones,
which nobody keeps, excepted. Exit codes: 0 all were taken, 8 some were not.

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
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let remote = args.access.workspace().await?;
    let client = Client::fit(&args.to)?;
    let mut tally = Tally::default();
    if let Some(id) = args.id {
        tally.send(&client, &remote, id, &args.to).await?;
    } else {
        let mut pages = Pages::open(remote.clone(), &args.wanted, true).await?;
        while let Some(page) = pages.next().await? {
            for row in &page {
                tally.send(&client, &remote, pages::id(row)?, &args.to).await?;
            }
        }
    }
    let Tally { taken, refused } = tally;
    match refused {
        0 => {
            say(&format!("{taken} taken"));
            Ok(())
        }
        _ => Err(Failure::Partly(format!("{taken} taken, {refused} refused"))),
    }
}

impl Tally {
    async fn send(
        &mut self,
        client: &Client,
        remote: &Remote,
        id: Uuid,
        to: &str,
    ) -> Result<(), Failure> {
        let whole: Whole = read(remote, id).await?;
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
