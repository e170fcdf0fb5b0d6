//! What is remembered of requests that were not kept, for those who may see the webhook. In: the head of a request, and
//! why it was not kept, with the budget that it was over. Out: a line of the spool's small memory of refusals. Costs
//! what is kept nothing but a few copied words; of what goes to no webhook nothing is remembered.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::Hooks;
use super::refusal::Refusal;
use crate::clock::Time;
use crate::id::Uuid;
use crate::limit::OverQuestions;
use crate::request::{Arrival, FixedReply, RequestId};
use crate::spool::{Refused, Spent};

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
    /// What that says to whose request it took.
    pub(super) reply: Option<Arc<FixedReply>>,
}

impl Trace {
    pub(super) fn new(arrival: &Arrival) -> Self {
        let Arrival { request_id, peer, method, received, .. } = arrival;
        let (id, method) = (request_id.clone(), method.clone());
        Self { id, peer: *peer, method, received: *received, place: None, reply: None }
    }

    /// The id that its reply has it named by, when we gave it: the receipt of what is kept.
    pub(super) fn own(&self) -> Option<Uuid> {
        match &self.id {
            RequestId::Ours(id) => Some(*id),
            RequestId::Theirs(_) => None,
        }
    }

    /// The id that its sender gave it.
    pub(super) fn given(&self) -> Option<&str> {
        match &self.id {
            RequestId::Ours(_) => None,
            RequestId::Theirs(id) => id.to_str().ok(),
        }
    }
}

impl Hooks {
    /// Remembers a request that was refused.
    pub(super) fn note_refusal(&self, trace: &Trace, refusal: &Refusal, status: StatusCode) {
        let why = (refusal.reason().name(), refusal.detail());
        self.note(trace, why, status, (None, self.spent(refusal)));
    }

    /// Remembers a request that was kept before: `first`.
    pub(super) fn note_repeat(&self, trace: &Trace, first: Uuid, status: Option<StatusCode>) {
        let status = status.unwrap_or(StatusCode::NO_CONTENT);
        self.note(trace, ("duplicate", None), status, (Some(first), None));
    }

    /// The budget that a request was over, when that is why it was refused.
    fn spent(&self, refusal: &Refusal) -> Option<Spent> {
        let rates = self.limits.rates();
        let (budget, rate, exceeded) = match refusal {
            Refusal::PeerRate(exceeded) => ("peer", rates.peer?, exceeded),
            Refusal::WebhookRate(exceeded) => ("webhook", rates.webhook?, exceeded),
            Refusal::AccountRate(exceeded) => ("account", rates.account?, exceeded),
            Refusal::QuestionRate(OverQuestions::Peer(exceeded)) => {
                ("peer_questions", rates.peer_questions?, exceeded)
            }
            Refusal::QuestionRate(OverQuestions::Webhook(exceeded)) => {
                ("webhook_questions", rates.webhook_questions?, exceeded)
            }
            Refusal::Damped(refusal, exceeded) => match **refusal {
                Refusal::Unauthorized => ("wrong_keys", rates.wrong_keys?, exceeded),
                _ => ("wrong_slugs", rates.wrong_slugs?, exceeded),
            },
            _ => return None,
        };
        Some(Spent {
            budget: budget.to_owned(),
            rate: rate.to_string(),
            burst: rate.burst().get(),
            retry_after_seconds: exceeded.retry_after_seconds,
        })
    }

    fn note(
        &self,
        trace: &Trace,
        (reason, detail): (&'static str, Option<String>),
        status: StatusCode,
        (first, spent): (Option<Uuid>, Option<Spent>),
    ) {
        let Some((webhook, account, workspace)) = trace.place else { return };
        let id = trace.id.to_string();
        let retry_after = spent.as_ref().map(|spent| spent.retry_after_seconds);
        let (request_id, status) = (&id, status.as_u16());
        tracing::debug!(request_id, %webhook, reason, status, retry_after, "did not keep a request");
        self.spool.note_refused(Refused {
            id,
            webhook,
            account,
            workspace,
            received: trace.received.micros(),
            peer: trace.peer,
            method: trace.method.to_string(),
            reason: reason.to_owned(),
            detail,
            status,
            first,
            times: 1,
            spent,
            also: VecDeque::new(),
        });
    }
}
