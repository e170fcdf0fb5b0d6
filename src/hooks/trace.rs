//! What is remembered of requests that were not kept, for those who may see the webhook. In: the head of a request, and
//! why it was not kept. Out: a line of the spool's small memory of refusals. Costs what is kept nothing but a few
//! copied words; of what goes to no webhook nothing is remembered.

use std::collections::VecDeque;
use std::net::IpAddr;

use http::{Method, StatusCode};

use super::Hooks;
use crate::clock::Time;
use crate::id::Uuid;
use crate::request::{Arrival, RequestId};
use crate::spool::Refused;

/// A webhook, its account, its workspace.
pub(super) type Place = (Uuid, Uuid, Uuid);

/// What is left of a request's head once its stages have taken it.
pub(super) struct Trace {
    id: RequestId,
    peer: IpAddr,
    method: Method,
    received: Time,
    /// The webhook it was sent to, once that is known.
    pub(super) place: Option<Place>,
}

impl Trace {
    pub(super) fn new(arrival: &Arrival) -> Self {
        let Arrival { request_id, peer, method, received, .. } = arrival;
        let (id, method) = (request_id.clone(), method.clone());
        Self { id, peer: *peer, method, received: *received, place: None }
    }
}

impl Hooks {
    /// Remembers a request that was not kept; `first`: the one that it repeats.
    pub(super) fn note(
        &self,
        trace: &Trace,
        reason: &'static str,
        status: StatusCode,
        first: Option<Uuid>,
    ) {
        let Some((webhook, account, workspace)) = trace.place else { return };
        let id = match &trace.id {
            RequestId::Ours(id) => id.to_string(),
            RequestId::Theirs(id) => String::from_utf8_lossy(id.as_bytes()).into_owned(),
        };
        tracing::debug!(id, %webhook, reason, status = status.as_u16(), "did not keep a request");
        self.spool.note_refused(Refused {
            id,
            webhook,
            account,
            workspace,
            received: trace.received.micros(),
            peer: trace.peer,
            method: trace.method.to_string(),
            reason: reason.to_owned(),
            status: status.as_u16(),
            first,
            times: 1,
            also: VecDeque::new(),
        });
    }
}
