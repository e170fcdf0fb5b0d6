//! Requests to webhooks that were not kept: refused, or kept before. In: each as it happens. Out: the newest, by their
//! ids. Bounded in number, and in how often the disk is asked: the keeper writes them as one small file, now and then,
//! whatever comes; so a flood costs no more disk than a few. Nothing of a body, never a slug.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Spool;
use crate::id::Uuid;
use crate::journal::{Disk, Mode};

/// Most that are kept.
const REFUSED_MAX: usize = 1000;
/// How far back one is looked for that the next only repeats, and for how long.
const REPEATS_LOOKED_AT: usize = 32;
const REPEAT_MICROS: i64 = 1_000_000;
/// How many ids of those that only repeat one are kept with it, the newest.
const ALSO_MAX: usize = 8;
/// Largest file that is read: each line has its bounds.
const FILE_MAX_BYTES: u64 = 2 << 20;
const FILE: &str = "refused.ndjson";

/// A request to a webhook that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its id, as its reply said: at most 128 characters.
    pub id: String,
    /// The webhook it was sent to.
    pub webhook: Uuid,
    /// That one's account.
    pub account: Uuid,
    /// And workspace.
    pub workspace: Uuid,
    /// When its head was complete, in microseconds since 1970.
    pub received: i64,
    /// Where it came from.
    pub peer: IpAddr,
    /// Its method.
    pub method: String,
    /// Why, in a word.
    pub reason: String,
    /// What exactly spoke against it, where the reason is that of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How it was answered.
    pub status: u16,
    /// The receipt of the request that it repeats.
    pub first: Option<Uuid>,
    /// How many there were of its kind within a second, it being the first.
    pub times: u64,
    /// The budget that it was over, when that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
    /// The ids of the newest others, at most eight.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub also: VecDeque<String>,
}

/// A budget that had nothing left.
#[derive(Clone, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Whose: `peer`, `webhook`, `account`; or of what: `wrong_slugs`, `wrong_keys`, `peer_questions`,
    /// `webhook_questions`.
    pub budget: String,
    /// How much comes in in a time.
    pub rate: String,
    /// How many could come at once.
    pub burst: u32,
    /// When it could be asked again, after so many seconds.
    pub retry_after_seconds: u64,
}

impl Refused {
    /// Whether it goes by that id, or one of the newest that repeat it does.
    #[must_use]
    pub fn is_called(&self, id: &str) -> bool {
        self.id == id || self.also.iter().any(|other| other == id)
    }

    fn is_repeated_by(&self, next: &Self) -> bool {
        let budget = |one: &Self| one.spent.as_ref().map(|spent| spent.budget.clone());
        let why = |one: &Self| (one.first, one.status, budget(one));
        (self.webhook, self.peer, &self.reason, &self.detail)
            == (next.webhook, next.peer, &next.reason, &next.detail)
            && why(self) == why(next)
            && next.received.saturating_sub(self.received) < REPEAT_MICROS
    }
}

impl Spool {
    /// Remembers a request that was not kept, unless it only repeats one of the same second. Bounded to the newest
    /// 1000; written down now and then.
    pub fn note_refused(&self, refused: Refused) {
        self.running.shared.refusals.add(refused);
    }

    /// The requests that were not kept and fit, the oldest first.
    pub fn refused(&self, fits: impl Fn(&Refused) -> bool) -> Vec<Refused> {
        self.running.shared.refusals.all(fits)
    }
}

/// The newest of them.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: VecDeque<Refused>,
    /// How many each workspace has.
    shares: HashMap<Uuid, usize>,
    is_new: bool,
}

impl State {
    /// One more; at the bound the workspace that has the most gives one of its own: nobody empties the others' memory.
    fn push(&mut self, refused: Refused) {
        if self.all.len() == REFUSED_MAX {
            let own = self.shares.get(&refused.workspace).copied().unwrap_or(0);
            let largest = self.shares.iter().max_by_key(|(_, share)| **share);
            let giver = match largest {
                Some((workspace, _)) if own * 4 < REFUSED_MAX => *workspace,
                _ => refused.workspace,
            };
            if let Some(oldest) = self.all.iter().position(|one| one.workspace == giver) {
                self.all.remove(oldest);
            }
            if let Some(share) = self.shares.get_mut(&giver) {
                *share -= 1;
            }
            self.shares.retain(|_, share| *share > 0);
        }
        *self.shares.entry(refused.workspace).or_default() += 1;
        self.all.push_back(refused);
    }
}

impl Refusals {
    /// Those that a file has, as far as its lines make sense.
    pub(super) fn open(disk: &dyn Disk, folder: &Path) -> Self {
        let text = read(disk, &folder.join(FILE)).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        let mut state = State::default();
        let all = lines.filter_map(|line| serde_json::from_slice(line).ok()).take(REFUSED_MAX);
        all.for_each(|refused| state.push(refused));
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, or counts it to the one it repeats.
    pub(super) fn add(&self, refused: Refused) {
        let mut state = self.lock();
        state.is_new = true;
        let mut newest = state.all.iter_mut().rev().take(REPEATS_LOOKED_AT);
        if let Some(before) = newest.find(|before| before.is_repeated_by(&refused)) {
            before.times += 1;
            if before.also.len() == ALSO_MAX {
                before.also.pop_front();
            }
            before.also.push_back(refused.id);
            return;
        }
        state.push(refused);
    }

    /// All that fit, the oldest first.
    pub(super) fn all(&self, fits: impl Fn(&Refused) -> bool) -> Vec<Refused> {
        self.lock().all.iter().filter(|refused| fits(refused)).cloned().collect()
    }

    /// Writes them, if there is anything new: beside, synced, renamed.
    pub(super) fn save(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let text = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.is_new) {
                return Ok(());
            }
            let mut text = Vec::new();
            for refused in &state.all {
                serde_json::to_writer(&mut text, refused)?;
                text.push(b'\n');
            }
            text
        };
        let (path, beside) = (folder.join(FILE), folder.join("refused.tmp"));
        let _ = disk.remove(&beside);
        let file = disk.create(&beside, Mode::Buffered)?;
        file.write_at(&text, 0)?;
        file.sync()?;
        disk.rename(&beside, &path)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Mode::Read)?;
    let size = file.size()?.min(FILE_MAX_BYTES);
    let mut bytes = vec![0; size as usize];
    let got = file.read_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RealDisk;

    fn refused(number: u64, seconds: i64) -> Refused {
        Refused {
            id: number.to_string(),
            webhook: Uuid::nil(),
            account: Uuid::nil(),
            workspace: Uuid::nil(),
            received: seconds * 1_000_000,
            peer: [192, 0, 2, (number % 200) as u8].into(),
            method: "POST".to_owned(),
            reason: "unauthorized".to_owned(),
            detail: None,
            status: 401,
            first: None,
            times: 1,
            spent: None,
            also: VecDeque::new(),
        }
    }

    #[test]
    fn nobody_empties_the_memory_of_others() {
        let ring = Refusals::default();
        let of = |number: u64, workspace: u128| Refused {
            workspace: Uuid::from_u128(workspace),
            first: Some(Uuid::from_u128(number.into())),
            ..refused(number, 1)
        };
        ring.add(of(0, 1));
        (1..3000).for_each(|number| ring.add(of(number, 2)));
        ring.add(of(3000, 3));
        let count = |workspace: u128| {
            ring.all(|refused| refused.workspace == Uuid::from_u128(workspace)).len()
        };
        assert_eq!([1, 2, 3].map(count), [1, REFUSED_MAX - 2, 1]);
        assert!(ring.all(|refused| refused.id == "2999").len() == 1, "the newest stay");
    }

    #[test]
    fn what_was_refused_for_another_reason_is_counted_apart() {
        let ring = Refusals::default();
        let of = |number: u64, detail: &str, budget: &str| Refused {
            detail: Some(detail.to_owned()),
            peer: [192, 0, 2, 1].into(),
            spent: Some(Spent { budget: budget.to_owned(), ..Spent::default() }),
            ..refused(number, 1)
        };
        let all = [("a", "peer"), ("b", "peer"), ("a", "webhook"), ("a", "peer"), ("b", "peer")];
        for (number, (detail, budget)) in (0..).zip(all) {
            ring.add(of(number, detail, budget));
        }
        ring.add(Refused { status: 429, ..of(5, "a", "peer") });
        let times: Vec<_> = ring.all(|_| true).iter().map(|refused| refused.times).collect();
        assert_eq!(times, [2, 2, 1, 1]);
        assert_eq!(ring.all(|refused| refused.is_called("4"))[0].detail.as_deref(), Some("b"));
    }

    #[test]
    fn the_newest_are_kept_and_a_flood_is_one_line() {
        let folder = std::env::temp_dir().join(format!("hookgate-refused-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let ring = Refusals::open(&RealDisk, &folder);
        for number in 0..1100 {
            ring.add(refused(number, number.cast_signed()));
        }
        for number in 0..50 {
            ring.add(Refused { id: format!("again-{number}"), ..refused(1099, 1099) });
        }
        let called = |id: &str| ring.all(|refused| refused.is_called(id)).len();
        assert_eq!(["again-41", "again-42", "again-49"].map(called), [0, 1, 1], "the newest eight");
        let find = |ring: &Refusals, id: &str| ring.all(|refused| refused.id == id).pop();
        assert_eq!(find(&ring, "99"), None, "the oldest go first");
        assert_eq!(find(&ring, "100").map(|refused| refused.times), Some(1));
        assert_eq!(find(&ring, "1099").map(|refused| refused.times), Some(51));
        ring.save(&RealDisk, &folder).expect("written");
        let (text, path) = (ring.all(|_| true), folder.join(FILE));
        assert_eq!(Refusals::open(&RealDisk, &folder).all(|_| true), text);
        let torn = std::fs::read_to_string(&path).expect("a file") + "{\"id\":\"torn";
        std::fs::write(&path, torn).expect("a file");
        assert_eq!(Refusals::open(&RealDisk, &folder).all(|_| true).len(), 1000);
        std::fs::remove_file(&path).expect("gone");
        ring.save(&RealDisk, &folder).expect("nothing new");
        assert!(!path.exists(), "nothing is written without need");
        std::fs::remove_dir_all(&folder).expect("a folder");
    }
}
