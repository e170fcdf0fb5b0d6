//! Which events a destination gets. In: an event and whose it is. Out: whether it is wanted, as the destination's lane
//! says it: by its workspace, its filter, and its expression after that. Compiled once for all that is asked.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::clock::Time;
use crate::filter::{Filter, Seen};
use crate::id::Uuid;
use crate::render::Condition;
use crate::store::Record;

/// What a destination's filter and expression say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Yes,
    No,
    /// The expression fails on this event.
    Fails,
}

/// What chooses among events.
#[derive(Debug)]
pub(super) struct Choice {
    /// Only those of this account and workspace.
    pub(super) whose: Option<(Uuid, Option<Uuid>)>,
    pub(super) filter: Option<Filter>,
    pub(super) condition: Option<Arc<Condition>>,
}

impl Choice {
    /// What a record says.
    pub(super) fn of_record(record: &Record, now: Time) -> Self {
        let asked = record.fields.get("filter").unwrap_or(&Value::Null);
        let expression = record.fields.get("where").and_then(Value::as_str);
        Self {
            whose: Some((record.account, record.workspace)),
            filter: Filter::of_events(asked, now).ok().flatten(),
            condition: expression.and_then(|text| Condition::compile(text).ok()).map(Arc::new),
        }
    }

    /// Whether an event of an account, and of a workspace there, is one of those the destination gets.
    pub(super) fn wants(&self, whose: (Uuid, Option<Uuid>), json: &Bytes) -> Wants {
        if self.whose.is_some_and(|own| own != whose) {
            return Wants::No;
        }
        if let Some(filter) = &self.filter
            && !(filter.admits(whose.0, whose.1)
                && Seen::read(json).is_some_and(|seen| filter.matches(&seen)))
        {
            return Wants::No;
        }
        match self.condition.as_ref().map(|rule| rule.holds(json)) {
            None | Some(Ok(true)) => Wants::Yes,
            Some(Ok(false)) => Wants::No,
            Some(Err(_)) => Wants::Fails,
        }
    }
}
