//! Who sent a request, and what is to be told of its way, in 17 bytes of its frame. In: an address and marks. Out: both
//! again. A mark of a later release is kept and means nothing.

use std::net::{IpAddr, Ipv6Addr};

/// Bytes in a frame.
pub(super) const SENDER_BYTES: usize = 17;

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Where it came from.
    pub peer: IpAddr,
    /// What is to be told of its way.
    pub marks: Marks,
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
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (marks, peer) = bytes.split_first()?;
        let peer: [u8; 16] = peer.try_into().ok()?;
        let peer = Ipv6Addr::from(peer).to_canonical();
        Some(Self { peer, marks: Marks(*marks) })
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
                let sender = Sender { peer: peer.parse().expect("an address"), marks };
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
}
