//! Records of which a place has exactly one: which kinds they are, and the ids that follow from the place's own.

use super::{ACCOUNT, KINDS, Kind, Number, Scope, Values, WORKSPACE, check};
use crate::id::Uuid;

impl Kind {
    /// The id of the only record that a place has of the kind: the place's own with other last digits, so that it is
    /// known without being looked for.
    #[must_use]
    pub fn id_in(&self, place: Uuid) -> Uuid {
        derived(place, self.name)
    }

    /// What its records hold before anybody said anything.
    #[must_use]
    pub fn defaults(&self) -> Values {
        self.fields.iter().map(|field| (field.name.to_owned(), check::fallback(field))).collect()
    }
}

/// The kinds of which a place of that kind has one, from its first moment to its last.
pub fn companions(place: &Kind) -> impl Iterator<Item = &'static Kind> {
    let scope = match place.name {
        name if name == ACCOUNT.name => Some(Scope::Account),
        name if name == WORKSPACE.name => Some(Scope::Workspace),
        _ => None,
    };
    let fits = move |kind: &&Kind| kind.number == Number::One && Some(kind.scope) == scope;
    KINDS.iter().copied().filter(fits)
}

/// An id that follows from another and a word: its last digits are others (FNV-1a of the word).
#[must_use]
pub fn derived(id: Uuid, word: &str) -> Uuid {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    Uuid::from_u128(id.as_u128() ^ u128::from(hash >> 16))
}
