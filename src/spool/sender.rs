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
