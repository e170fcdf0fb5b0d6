//! Who sent a request, and what is to be told of its way, in 17 bytes of its frame, and in 24 more where it was charged
//! to a budget. In: an address, marks, and what budgets had left. Out: all of that again. A mark of a later release is
//! kept and means nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use crate::limit::{Charged, Left};

/// Bytes in a frame.
pub(super) const SENDER_BYTES: usize = 17;
/// Bytes of what the budgets had left; frames of earlier releases have none of them.
pub(super) const CHARGED_BYTES: usize = 24;

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Where it came from.
    pub peer: IpAddr,
    /// What is to be told of its way.
    pub marks: Marks,
    /// What its budgets had left; of those that are marked, an earlier release kept nothing.
    pub charged: Charged,
}

/// What is to be told of a request's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// It bore a key of its webhook's service account.
    pub const KEY: Self = Self(1);
    /// The budget of its peer was charged.
    pub const PEER: Self = Self(1 << 1);
    /// The budget of its webhook was charged.
    pub const WEBHOOK: Self = Self(1 << 2);
    /// The budget of its account was charged.
    pub const ACCOUNT: Self = Self(1 << 3);
    /// Its webhook's rules cut something of it.
    pub const REDACTED: Self = Self(1 << 4);
    /// Its body was not kept, for nobody could tell what in it the rules mean.
    pub const WITHHELD: Self = Self(1 << 5);
    /// Its body is kept decoded, whatever its headers say.
    pub const DECODED: Self = Self(1 << 6);

    /// These and another one, if that holds.
    #[must_use]
    pub fn with(self, mark: Self, holds: bool) -> Self {
        if holds { Self(self.0 | mark.0) } else { self }
    }

    /// Whether a mark is among them.
    #[must_use]
    pub fn has(self, mark: Self) -> bool {
        self.0 & mark.0 == mark.0
    }
}

impl Sender {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let peer = match self.peer {
            IpAddr::V4(peer) => peer.to_ipv6_mapped(),
            IpAddr::V6(peer) => peer,
        };
        out.push(self.marks.0);
        out.extend_from_slice(&peer.octets());
        if self.is_charged() {
            self.write_charged(out);
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (marks, peer) = bytes.split_first()?;
        let peer: [u8; 16] = peer.try_into().ok()?;
        let peer = Ipv6Addr::from(peer).to_canonical();
        Some(Self { peer, marks: Marks(*marks), charged: Charged::default() })
    }

    /// Whether it was charged to a budget whose rest is known.
    pub(super) fn is_charged(&self) -> bool {
        self.charged != Charged::default()
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> usize {
        SENDER_BYTES + if self.is_charged() { CHARGED_BYTES } else { 0 }
    }

    fn write_charged(&self, out: &mut Vec<u8>) {
        for (_, left) in self.charged.all() {
            let (count, of) = left.map_or((0, 0), |left| (left.count, left.of.get()));
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(&of.to_le_bytes());
        }
    }

    /// The same with what its budgets had left.
    pub(super) fn with_charged(self, bytes: &[u8]) -> Option<Self> {
        let (budgets, rest) = bytes.as_chunks::<8>();
        let [peer, webhook, account] = *<&[[u8; 8]; 3]>::try_from(budgets).ok()?;
        let left = |bytes: [u8; 8]| {
            let [count, of] = [&bytes[..4], &bytes[4..]]
                .map(|half| half.try_into().map_or(0, u32::from_le_bytes));
            NonZeroU32::new(of).map(|of| Left { count, of })
        };
        let (peer, webhook, account) = (left(peer), left(webhook), left(account));
        rest.is_empty().then_some(Self { charged: Charged { peer, webhook, account }, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_its_own_and_comes_back_with_the_address() {
        let all = [
            Marks::KEY,
            Marks::PEER,
            Marks::WEBHOOK,
            Marks::ACCOUNT,
            Marks::REDACTED,
            Marks::WITHHELD,
            Marks::DECODED,
        ];
        for (place, mark) in all.into_iter().enumerate() {
            let marks = Marks::default().with(mark, true).with(all[0], false);
            for peer in ["192.0.2.1", "2001:db8::1"] {
                let charged = Charged::default();
                let sender = Sender { peer: peer.parse().expect("an address"), marks, charged };
                let mut bytes = Vec::new();
                sender.write(&mut bytes);
                assert_eq!(bytes.len(), SENDER_BYTES);
                assert_eq!(Sender::read(&bytes), Some(sender));
                assert_eq!(Sender::read(&bytes[1..]), None);
            }
            for (other, mark) in all.into_iter().enumerate() {
                assert_eq!(marks.has(mark), other == place);
            }
        }
        let foreign = Marks(1 << 7).with(Marks::KEY, true);
        assert!(foreign.has(Marks::KEY) && !foreign.has(Marks::REDACTED));
    }

    #[test]
    fn what_each_budget_had_left_comes_back_and_what_makes_no_sense_is_none() {
        let left = |count, of| NonZeroU32::new(of).map(|of| Left { count, of });
        let (peer, marks) = ([192, 0, 2, 1].into(), Marks::WEBHOOK);
        for charged in [
            Charged { webhook: left(0, 1), ..Charged::default() },
            Charged { peer: left(7, 9), account: left(u32::MAX, u32::MAX), webhook: None },
        ] {
            let sender = Sender { peer, marks, charged };
            let mut bytes = Vec::new();
            sender.write(&mut bytes);
            assert_eq!(bytes.len(), SENDER_BYTES + CHARGED_BYTES);
            let (plain, more) = bytes.split_at(SENDER_BYTES);
            let read = Sender::read(plain).expect("a sender");
            assert_eq!(read.with_charged(more), Some(sender));
            assert_eq!(read.with_charged(&more[1..]), None);
            assert_eq!(read.with_charged(&bytes[..CHARGED_BYTES + 8]), None);
        }
    }
}
