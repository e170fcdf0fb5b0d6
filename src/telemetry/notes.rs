//! What lanes say of themselves in words, for whoever may see their destination. In: what a lane met. Out: a note for
//! each destination that met something; gone with the destination, and with the process. Never a label.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::Uuid;

/// Longest text of a note, in bytes.
const TEXT_MAX_BYTES: usize = 500;

/// What one lane met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// Events of which the destination's expression could not say whether they match.
    pub condition_faults: u64,
    /// Why not, the last time.
    pub condition_fault: Option<String>,
    /// The share of its pace that goes, while the destination stands no more.
    pub share: Option<f64>,
    /// Why the last attempt failed, unless one went well since.
    pub fault: Option<String>,
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_owned()
}

/// The notes of all lanes, by destination.
#[derive(Debug, Default)]
pub struct Notes(Mutex<HashMap<Uuid, Note>>);

impl Notes {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A destination's expression failed; how often it has by now.
    pub fn condition_failed(&self, destination: Uuid, why: &str) -> u64 {
        let mut all = self.all();
        let note = all.entry(destination).or_default();
        note.condition_faults += 1;
        if note.condition_fault.as_deref() != Some(why) {
            note.condition_fault = Some(cut(why));
        }
        note.condition_faults
    }

    /// A lane goes at this share of its pace.
    pub fn goes_at(&self, destination: Uuid, share: f64) {
        let mut all = self.all();
        if share < 1.0 {
            all.entry(destination).or_default().share = Some(share);
        } else if let Some(note) = all.get_mut(&destination) {
            note.share = None;
        }
    }

    /// A lane's last attempt failed.
    pub fn fails(&self, destination: Uuid, why: &str) {
        self.all().entry(destination).or_default().fault = Some(cut(why));
    }

    /// None of its attempts stands as failed any more.
    pub fn goes_well(&self, destination: Uuid) {
        if let Some(note) = self.all().get_mut(&destination) {
            note.fault = None;
        }
    }

    /// What a destination's lane met.
    #[must_use]
    pub fn of(&self, destination: Uuid) -> Note {
        self.all().get(&destination).cloned().unwrap_or_default()
    }

    /// The destination is gone, or another one by now.
    pub fn forget(&self, destination: Uuid) {
        self.all().remove(&destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept_until_its_destination_is_another_one() {
        let (notes, id) = (Notes::default(), Uuid::from_u128(1));
        assert_eq!(notes.of(id), Note::default());
        assert_eq!(notes.condition_failed(id, "a"), 1);
        assert_eq!(notes.condition_failed(id, &"é".repeat(400)), 2);
        let note = notes.of(id);
        assert_eq!(
            (note.condition_faults, note.condition_fault.map(|why| why.len())),
            (2, Some(500))
        );
        notes.goes_at(id, 0.5);
        assert_eq!(notes.of(id).share, Some(0.5));
        notes.goes_at(id, 1.0);
        assert_eq!(notes.of(id).share, None);
        notes.fails(id, "answered 503");
        assert_eq!(notes.of(id).fault.as_deref(), Some("answered 503"));
        notes.goes_well(id);
        assert_eq!(notes.of(id).fault, None);
        notes.forget(id);
        notes.goes_well(id);
        notes.goes_at(id, 1.0);
        assert_eq!((notes.of(id), notes.all().len()), (Note::default(), 0));
    }
}
