//! All open connections of one set of listeners. In: who comes and goes. Out: room, made by ending idle ones. A lock
//! only when a connection opens or ends, never on the way of a request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::link::{Link, Signal};
use crate::telemetry::accept::Reason;

/// Connections looked at for an idle one when a new one comes and there is no room.
const LOOKED_AT_MAX: usize = 1024;
/// Connections that were told to end and have not yet, beside the cap.
const LEAVING_MAX: usize = 64;

/// Who is connected.
#[derive(Debug)]
pub(super) struct Registry {
    room: usize,
    per_peer_max: usize,
    epoch: Instant,
    slots: Mutex<Slots>,
    empty: Notify,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Slots {
    links: Vec<Option<Arc<Link>>>,
    free: Vec<usize>,
    /// Where the search for an idle one goes on.
    hand: usize,
    open: usize,
    peers: HashMap<IpAddr, usize>,
    draining: bool,
}

/// A connection's place; leaving it frees the room.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    index: usize,
    peer: Option<IpAddr>,
    /// What is known of the connection.
    pub(super) link: Arc<Link>,
}

impl Registry {
    pub(super) fn new(room: usize, per_peer_max: usize, ledger: Arc<Ledger>) -> Self {
        let (epoch, slots) = (Instant::now(), Mutex::default());
        Self { room, per_peer_max, epoch, slots, empty: Notify::new(), ledger }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("nothing panics under this lock")
    }

    /// A place for one more, if need be that of an idle one.
    ///
    /// # Errors
    /// [`Reason::Crowded`] when nobody near is idle, or a drain began.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Place, Reason> {
        let mut slots = self.slots();
        if slots.draining || slots.open >= self.room + LEAVING_MAX {
            return Err(Reason::Crowded);
        }
        if slots.open >= self.room {
            let idle = slots.find_idle().ok_or(Reason::Crowded)?;
            idle.tell(Signal::Evict);
            self.ledger.refuse(Reason::Evicted);
        }
        let link = Arc::new(Link::new(self.epoch));
        let index = slots.free.pop().unwrap_or(slots.links.len());
        if index == slots.links.len() {
            slots.links.push(None);
        }
        slots.links[index] = Some(link.clone());
        slots.open += 1;
        self.ledger.opened();
        Ok(Place { registry: self.clone(), index, peer: None, link })
    }

    /// Tells all connections to finish; nobody enters any more.
    pub(super) fn drain(&self, signal: Signal) {
        let mut slots = self.slots();
        slots.draining = true;
        slots.links.iter().flatten().for_each(|link| link.tell(signal));
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.slots().open
    }

    /// Waits until nobody is left of a drain.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.empty.notified();
            if self.open() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Slots {
    fn find_idle(&mut self) -> Option<Arc<Link>> {
        for _ in 0..self.links.len().min(LOOKED_AT_MAX) {
            self.hand = (self.hand + 1) % self.links.len();
            if let Some(link) = self.links[self.hand].as_ref().filter(|link| link.is_idle()) {
                return Some(link.clone());
            }
        }
        None
    }
}

impl Place {
    /// Counts the connection for its peer.
    ///
    /// # Errors
    /// [`Reason::PeerCrowded`] when the peer has its share.
    pub(super) fn count_peer(&mut self, peer: IpAddr) -> Result<(), Reason> {
        let registry = self.registry.clone();
        if registry.per_peer_max == 0 || peer.is_loopback() {
            return Ok(());
        }
        let key = network(peer);
        let mut slots = registry.slots();
        let count = slots.peers.entry(key).or_default();
        if *count >= registry.per_peer_max {
            return Err(Reason::PeerCrowded);
        }
        *count += 1;
        self.peer = Some(key);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut slots = self.registry.slots();
        slots.links[self.index] = None;
        slots.free.push(self.index);
        slots.open -= 1;
        if let Some(peer) = self.peer
            && let Some(count) = slots.peers.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                slots.peers.remove(&peer);
            }
        }
        self.registry.ledger.closed();
        if slots.open == 0 {
            self.registry.empty.notify_waiters();
        }
    }
}

/// What counts as one peer: an IPv4 address, a /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;
    use crate::telemetry::accept::Facts;

    fn registry(room: usize) -> Arc<Registry> {
        let ledger = Arc::new(Ledger::new(Facts::register(&Telemetry::new())));
        Arc::new(Registry::new(room, 2, ledger))
    }

    #[test]
    fn an_idle_one_makes_room_and_a_busy_one_does_not() {
        let registry = registry(2);
        let busy = registry.enter().expect("room");
        busy.link.heads_came(1);
        let idle = registry.enter().expect("room");
        let third = registry.enter().expect("the place of the idle one");
        assert_eq!(busy.link.signal(), Signal::None);
        assert_eq!(idle.link.signal(), Signal::Evict);
        third.link.heads_came(1);
        assert_eq!(registry.enter().map(|_| ()), Err(Reason::Crowded));
        drop((busy, idle));
        assert!(registry.enter().is_ok());
    }

    #[test]
    fn a_peer_has_its_share() {
        let registry = registry(9);
        let mut places: Vec<Place> = (0..4).map(|_| registry.enter().expect("room")).collect();
        let peer = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(places[0].count_peer(peer("2001:db8::1")), Ok(()));
        assert_eq!(places[1].count_peer(peer("2001:db8::2")), Ok(()));
        assert_eq!(places[2].count_peer(peer("2001:db8::3")), Err(Reason::PeerCrowded));
        places.remove(0);
        assert_eq!(places[1].count_peer(peer("2001:db8::3")), Ok(()));
        for place in &mut places {
            assert_eq!(place.count_peer(peer("127.0.0.1")), Ok(()));
        }
    }
}
