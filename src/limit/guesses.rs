//! How often a peer may be wrong: about slugs, and about keys. In: who was wrong, once that is known. Out: pass, or in
//! how many seconds to try again. What is right is never asked about: an honest sender of the same address passes.

use std::net::IpAddr;

use governor::clock::DefaultClock;

use super::{Exceeded, Keyed, Rate, Rates, network};

/// Budgets of wrong slugs and of wrong keys, for each peer.
#[derive(Debug, Default)]
pub struct Guesses {
    slugs: Option<Keyed<IpAddr>>,
    keys: Option<Keyed<IpAddr>>,
}

impl Guesses {
    pub(super) fn new(rates: &Rates) -> Self {
        let whole = |rate: Option<Rate>| rate.map(|rate| Keyed::new(rate, DefaultClock::default()));
        Self { slugs: whole(rates.wrong_slugs), keys: whole(rates.wrong_keys) }
    }

    /// Charges a peer one slug that no webhook answers to.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn wrong_slug(&self, peer: IpAddr) -> Result<(), Exceeded> {
        charge(self.slugs.as_ref(), peer)
    }

    /// Charges a peer one key that does not count.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn wrong_key(&self, peer: IpAddr) -> Result<(), Exceeded> {
        charge(self.keys.as_ref(), peer)
    }
}

fn charge(limit: Option<&Keyed<IpAddr>>, peer: IpAddr) -> Result<(), Exceeded> {
    limit.map_or(Ok(()), |limit| limit.charge(network(peer)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn slugs_and_keys_have_budgets_of_their_own_and_none_where_none_is_set() {
        let peer = |text: &str| text.parse::<IpAddr>().expect("an address");
        let off = Guesses::default();
        assert!((0..1000).all(|_| off.wrong_slug(peer("192.0.2.1")).is_ok()));
        assert!((0..1000).all(|_| off.wrong_key(peer("192.0.2.1")).is_ok()));
        let hourly = |count| Rate::new(count, Duration::from_hours(1), None);
        let rates = Rates { wrong_slugs: hourly(2), wrong_keys: hourly(1), ..Rates::default() };
        let guesses = Guesses::new(&rates);
        assert_eq!(guesses.wrong_key(peer("2001:db8::1")), Ok(()));
        assert!(guesses.wrong_key(peer("2001:db8::2")).is_err(), "the same /64");
        assert_eq!(guesses.wrong_key(peer("2001:db8:0:1::1")), Ok(()));
        assert_eq!(guesses.wrong_slug(peer("2001:db8::2")), Ok(()), "another budget");
        assert_eq!(guesses.wrong_slug(peer("2001:db8::2")), Ok(()));
        assert!(guesses.wrong_slug(peer("2001:db8::3")).is_err());
    }
}
