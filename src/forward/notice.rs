//! Events about the lanes themselves, and about damage in what they read. In: what happened to which lane, what the
//! spool set aside. Out: an event in the spool, of the operator's account or of the record's workspace, which lanes
//! deliver. Never one about an event of a lane, so none calls forth another for ever.

use std::sync::Arc;
use std::time::Duration;

use super::Ground;
use super::destination::Owner;
use super::lane::state::{State, Told};
use crate::catalogue::Action;
use crate::clock::Clock;
use crate::event::compose;
use crate::id::{self, Uuid};
use crate::journal::Damage;
use crate::json::write_str;
use crate::spool::{Spool, SpoolError};

const DROPPED: &str = "hookgate.destination.dropped";
const FAILING: &str = "hookgate.destination.failing";
const RECOVERED: &str = "hookgate.destination.recovered";
const HELD: &str = "hookgate.destination.held";
const PARKED: &str = "hookgate.destination.parked";
const DAMAGED: &str = "hookgate.spool.damaged";
/// What the lanes' own events say of a destination.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "dropped",
        act: "a destination with drop-oldest fell behind the spool's room, or was disabled while events waited for it",
        when: "events were lost to it",
    },
    Action {
        name: "failing",
        act: "a destination cannot be reached, or answers what only an operator can mend",
        when: "eight attempts failed one after the other, or one that waits for an operator",
    },
    Action {
        name: "recovered",
        act: "a destination that was failing took an event",
        when: "delivery goes on",
    },
    Action {
        name: "held",
        act: "as much lies parked for a destination as may",
        when: "it takes no more before some is retried or discarded; at most once an hour",
    },
    Action {
        name: "parked",
        act: "a destination refused an event for good",
        when: "the event was set aside",
    },
];
/// What an operator hears of the spool.
pub const SPOOL_ACTIONS: &[Action] = &[Action {
    name: "damaged",
    act: "a range of a segment is not what was written there",
    when: "it was copied aside and is passed over; once for each range",
}];
/// Between two events that say that the same destination is down.
const FAILING_PAUSE: Duration = Duration::from_mins(1);
/// Between two events that say that the same lane is held.
const HELD_PAUSE: Duration = Duration::from_hours(1);
/// How the names of all of them begin, inside an event's JSON.
const OPENING: &[u8] = b",\"event\":\"hookgate.destination.";

/// Appends events about lanes.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    spool: Spool,
    clock: Arc<Clock>,
    operator: Uuid,
}

impl Notices {
    pub(super) fn of(ground: &Ground) -> Self {
        let (spool, clock) = (ground.spool.clone(), Arc::clone(&ground.clock));
        Self { spool, clock, operator: ground.operator }
    }

    /// The moment.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// So many frames were lost since that was told last, and so many in all: to `drop-oldest`, or because they waited
    /// when it was disabled. What a kill made forgotten that it was told is told again: who adds them up looks at the
    /// total.
    pub(super) async fn dropped(
        &self,
        lane: &State,
        frames: u64,
        total: u64,
    ) -> Result<(), SpoolError> {
        let rest = format!(",\"frames\":{frames},\"total\":{total}}}");
        self.append(DROPPED, lane, rest.as_bytes()).await
    }

    /// An event lies parked. Whatever becomes of this notice, the event is in the list.
    pub(super) async fn parked(&self, lane: &State, event: Uuid, reason: &str, json: &[u8]) {
        if is_notice(json) {
            return;
        }
        let mut rest = format!(",\"event\":\"{event}\",\"reason\":").into_bytes();
        write_str(&mut rest, reason);
        rest.push(b'}');
        if let Err(fault) = self.append(PARKED, lane, &rest).await {
            let destination = &lane.name;
            tracing::debug!(destination, %fault, "no event tells of a parked one");
        }
    }

    /// A lane stands still because no more can be parked. Told again only after a while.
    pub(super) async fn held(&self, lane: &State, why: &str) {
        if !lane.may_tell(Told::Held, HELD_PAUSE) {
            return;
        }
        let mut rest = b",\"reason\":".to_vec();
        write_str(&mut rest, why);
        rest.push(b'}');
        if let Err(fault) = self.append(HELD, lane, &rest).await {
            let destination = &lane.name;
            tracing::debug!(destination, %fault, "no event tells of a lane that is held");
        }
    }

    /// A destination is down: `false` when that was told of it just now.
    pub(super) async fn failing(&self, lane: &State, fault: &str) -> bool {
        if !lane.may_tell(Told::Failing, FAILING_PAUSE) {
            return false;
        }
        let mut rest = b",\"fault\":".to_vec();
        write_str(&mut rest, fault);
        rest.push(b'}');
        self.append(FAILING, lane, &rest).await.is_ok()
    }

    /// It is back.
    pub(super) async fn recovered(&self, lane: &State) {
        if let Err(fault) = self.append(RECOVERED, lane, b"}").await {
            let destination = &lane.name;
            tracing::debug!(destination, %fault, "no event tells that a destination is back");
        }
    }

    /// Tells of damage in the spool, each range under the one id that follows from it.
    pub(super) async fn damaged(&self) {
        for damage in self.spool.untold_damage().await {
            let Damage { segment, offset, bytes, frames } = &damage;
            let mut payload = b"{\"segment\":".to_vec();
            write_str(&mut payload, segment);
            payload.extend_from_slice(format!(",\"offset\":{offset},\"bytes\":{bytes}").as_bytes());
            payload.extend_from_slice(b",\"copy\":");
            write_str(&mut payload, &format!("spool/{}", damage.copy()));
            let frames = frames.map_or_else(|| "null".to_owned(), |frames| frames.to_string());
            payload.extend_from_slice(format!(",\"frames\":{frames}}}").as_bytes());
            let payload = String::from_utf8_lossy(&payload);
            let resource = format!("hookgate.spool.{}", segment.trim_end_matches(".log"));
            let labels = [("prefect.resource.id", &*resource), ("prefect.resource.name", segment)];
            let id = id::derived(self.operator, &damage.copy());
            let now = self.clock.now();
            let event = compose(now, DAMAGED, &labels, &[], &payload, id, None);
            if let Err(fault) = self.spool.append_once(self.operator, None, now, event).await {
                tracing::debug!(segment, %fault, "damage is told of later");
                return;
            }
            self.spool.settle_damage(damage).await;
        }
    }

    async fn append(&self, name: &str, lane: &State, rest: &[u8]) -> Result<(), SpoolError> {
        let mut payload = b"{\"destination\":".to_vec();
        write_str(&mut payload, &lane.name);
        payload.extend_from_slice(rest);
        let payload = String::from_utf8_lossy(&payload);
        let resource = format!("hookgate.destination.{}", lane.key);
        let labels = [("prefect.resource.id", &*resource), ("prefect.resource.name", &lane.name)];
        let (now, id) = (self.clock.now(), id::now(&self.clock));
        let event = compose(now, name, &labels, &[], &payload, id, None);
        let (account, workspace) = match lane.owner {
            Owner::Operator => (self.operator, None),
            Owner::Workspace { account, workspace, .. } => (account, Some(workspace)),
        };
        self.spool.append_once(account, workspace, now, event).await
    }
}

/// Whether an event is one about a lane.
fn is_notice(json: &[u8]) -> bool {
    // The name follows the moment, whose text is short.
    let head = &json[..json.len().min(64 + OPENING.len())];
    memchr::memmem::find(head, OPENING).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn only_names_of_this_kind_are_notices() {
        let event = |name: &str, payload: &str| {
            compose(Time::default(), name, &[], &[], payload, Uuid::nil(), None).json
        };
        assert!(is_notice(&event(PARKED, "{}")));
        assert!(is_notice(&event(DROPPED, "{}")));
        assert!(is_notice(&event(FAILING, "{}")));
        let payload = format!("{{\"a\":1,\"event\":\"{PARKED}\"}}");
        assert!(!is_notice(&event("shop.order.paid", &payload)));
        assert!(!is_notice(b"{}"));
    }
}
