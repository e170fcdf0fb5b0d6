//! The feed put together with the store. In: settings and what runs already. Out: a feed that follows the spool, and
//! begins anew, if it must, with the audit events that the store has. Decides nothing.

use std::sync::Arc;

use super::ServeError;
use crate::catalogue::chain::Entry;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Event;
use crate::feed::{Feed, History, Past};
use crate::spool::Spool;
use crate::store::{Audit, StoreError};
use crate::telemetry::Telemetry;

pub(super) fn start(
    config: &Config,
    spool: &Spool,
    clock: &Arc<Clock>,
    telemetry: &Telemetry,
) -> Result<Feed, ServeError> {
    let data = config.server.data.clone();
    let options = config.feed.options();
    let folder = data.clone();
    let history: History = Box::new(move |take| {
        let audit = Audit::open(&folder).map_err(|fault| fault.to_string())?;
        let read = audit.each::<StoreError>(None, |entry| {
            let Entry::Row(row) = entry else { return Ok(()) };
            let json = bytes::Bytes::copy_from_slice(row.link.json);
            let event = Event { id: row.link.id, json };
            take(Past { account: row.link.account, received: row.link.occurred, event });
            Ok(())
        });
        read.map_err(|fault| fault.to_string())
    });
    Ok(Feed::start(&data, options, spool, clock, telemetry, history)?)
}
