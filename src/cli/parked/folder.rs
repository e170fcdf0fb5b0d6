//! What lies parked, at a data folder itself. In: which of it. Out: it goes out again, or is let go of, each
//! destination's audited before it is so: an act that cannot be told is none.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::output::{Failure, print_line, say};
use crate::clock::Clock;
use crate::id::Uuid;
use crate::shelf::{Asked, Called, Shelf};
use crate::spool::FolderLock;
use crate::store;

/// Most events that one audit event names.
const DISCARD_MAX: u64 = 1000;

/// The destinations for which something lies there of what is asked for, and their names.
fn destinations(data: &Path, asked: &Asked) -> Result<BTreeMap<Uuid, String>, Failure> {
    let all = Shelf::look(data, asked)?;
    Ok(all.into_iter().map(|one| (one.destination, one.aside.name)).collect())
}

fn of(asked: &Asked, destination: Uuid) -> Asked {
    Asked { destination: Some(destination), ..asked.clone() }
}

/// Has parked events sent again, by the gateway that runs there or will; what was called up.
pub(super) async fn retry(data: &Path, asked: &Asked) -> Result<Called, Failure> {
    let shelf = Shelf::open(data)?;
    let mut all = Called::default();
    for (destination, name) in destinations(data, asked)? {
        let pending = shelf.retrying(of(asked, destination)).await?;
        let more = pending.did().clone();
        if more.count > 0 {
            tell(data, (destination, &name), "retried", json!({ "count": more.count }))?;
            pending.commit().await?;
        }
        all.count += more.count;
        all.on_their_way += more.on_their_way;
        all.waiting += more.waiting;
        all.behind.extend(more.behind);
    }
    Ok(all)
}

/// Lets go of parked events, and prints their ids; how many, and how many more are on their way just now.
pub(super) async fn discard(data: &Path, asked: &Asked) -> Result<(u64, u64), Failure> {
    let shelf = Shelf::open(data)?;
    // Held: no gateway runs here, and nothing is on its way.
    let lock = FolderLock::look(data).ok();
    if lock.is_some() {
        shelf.put_back(None).await?;
    }
    let (mut all, mut stay) = (0, 0);
    for (destination, name) in destinations(data, asked)? {
        loop {
            let pending = shelf.discarding(of(asked, destination), DISCARD_MAX).await?;
            let ids: Vec<String> = pending.did().ids.iter().map(Uuid::to_string).collect();
            if ids.is_empty() {
                stay += pending.did().on_their_way;
                break;
            }
            let tells = json!({ "count": ids.len(), "events": ids });
            tell(data, (destination, &name), "discarded", tells)?;
            pending.commit().await?;
            all += ids.len() as u64;
            ids.iter().try_for_each(|id| print_line(id))?;
        }
    }
    Ok((all, stay))
}

fn tell(
    data: &Path,
    destination: (Uuid, &str),
    action: &str,
    mut tells: Value,
) -> Result<(), Failure> {
    tells["by"] = "hookgate parked --data".into();
    if !store::tell_apart(data, &Clock::System, destination, action, &tells)? {
        say("no records are in this folder: nothing of this is audited");
    }
    Ok(())
}
