//! How often a webhook may be asked whether it wants events. In: who asks, once it is known to be a question. Out:
//! pass, or in how many seconds to ask again. A question passes where an event would be over quota, since an unanswered
//! one costs a subscription: so it has budgets of its own, or whoever asks could write as much as they like.

use std::net::IpAddr;

use governor::clock::DefaultClock;

use super::{Exceeded, Keyed, Rate, Rates, network};
use crate::id::Uuid;

/// Budgets of questions: of each webhook, and of each peer there.
#[derive(Debug, Default)]
pub struct Questions {
    peer: Option<Keyed<(Uuid, IpAddr)>>,
    webhook: Option<Keyed<Uuid>>,
}

impl Questions {
    pub(super) fn new(rates: &Rates) -> Self {
        Self { peer: rates.peer_questions.map(whole), webhook: rates.webhook_questions.map(whole) }
    }

    /// Charges a webhook one question of a peer. Who is over a budget of their own takes nothing of the webhook's.
    ///
    /// # Errors
    /// Which one had nothing left.
    pub fn charge(&self, webhook: Uuid, peer: IpAddr) -> Result<(), OverQuestions> {
        let key = (webhook, network(peer));
        let charged = self.peer.as_ref().map_or(Ok(()), |limit| limit.charge(key));
        charged.map_err(OverQuestions::Peer)?;
        let charged = self.webhook.as_ref().map_or(Ok(()), |limit| limit.charge(webhook));
        charged.map_err(OverQuestions::Webhook)
    }
}

/// The budget of questions that had nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverQuestions {
    /// The peer's at the webhook.
    Peer(Exceeded),
    /// The webhook's.
    Webhook(Exceeded),
}

impl OverQuestions {
    /// When it may be asked again.
    #[must_use]
    pub fn exceeded(&self) -> Exceeded {
        let (Self::Peer(exceeded) | Self::Webhook(exceeded)) = self;
        *exceeded
    }
}

fn whole<K: std::hash::Hash + Eq + Clone>(rate: Rate) -> Keyed<K> {
    Keyed::new(rate, DefaultClock::default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peer_has_its_share_of_a_webhooks_questions_and_no_more() {
        let peer = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let hourly = |count| Rate::new(count, Duration::from_hours(1), None);
        let rates =
            Rates { peer_questions: hourly(2), webhook_questions: hourly(3), ..Rates::default() };
        let questions = Questions::new(&rates);
        assert_eq!(questions.charge(one, peer("2001:db8::1")), Ok(()));
        assert_eq!(questions.charge(one, peer("2001:db8::2")), Ok(()));
        for _ in 0..10 {
            assert!(questions.charge(one, peer("2001:db8::3")).is_err(), "the same /64");
        }
        assert_eq!(questions.charge(other, peer("2001:db8::1")), Ok(()), "another webhook");
        assert_eq!(questions.charge(one, peer("192.0.2.1")), Ok(()), "what is left of all");
        assert!(questions.charge(one, peer("192.0.2.2")).is_err());
        let off = Questions::default();
        assert!((0..1000).all(|_| off.charge(one, peer("192.0.2.1")).is_ok()));
    }
}
