//! What outlives the machine, and what must hold of it. In: what senders were answered, what the journal holds after a
//! start, what reaches the destination. Out: the first thing that must not be.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Time};
use crate::event::{self, Event};
use crate::id::Uuid;
use crate::journal::Disk as _;
use crate::journal::fault::{FaultDisk, Plan};
use crate::shelf::{Asked, Shelf};
use crate::spool::Kept;

/// Who sends; every second one says which request it is, and sends it again until it is answered.
pub(super) const SENDERS: u64 = 5;

/// Longer than anything is on its way.
const UNDER_WAY: Duration = Duration::from_millis(40);

/// What happened in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) lives: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) committed: u64,
    /// Events that reached the destination, and those that did again.
    pub(super) arrived: u64,
    pub(super) again: u64,
    pub(super) parked: u64,
    /// Starts that found a torn end.
    pub(super) torn: u64,
    /// Starts that the disk prevented.
    pub(super) unstarted: u64,
    /// A digest of all that was answered and arrived, in its order.
    course: u64,
}

impl Facts {
    pub(super) fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.answered += other.answered;
        self.failed += other.failed;
        self.committed += other.committed;
        self.arrived += other.arrived;
        self.again += other.again;
        self.parked += other.parked;
        self.torn += other.torn;
        self.unstarted += other.unstarted;
    }
}

/// How often an event arrived, and what is known of the last time.
#[derive(Debug)]
struct Arrived {
    life: u64,
    troubles: u64,
    was_told: bool,
}

/// A sender's place: the request that is not answered yet, and how often it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sender {
    pub(super) number: u64,
    pub(super) attempt: u64,
}

pub(super) struct World {
    pub(super) chance: fastrand::Rng,
    pub(super) disk: FaultDisk,
    pub(super) data: PathBuf,
    pub(super) clock: Arc<Clock>,
    pub(super) senders: [Sender; SENDERS as usize],
    /// Rises when all is over that may have cost an answer on its way.
    troubles: u64,
    /// Nothing goes between the machines, or nothing in time.
    pub(super) is_cut: bool,
    pub(super) is_healed: bool,
    /// The destination refuses some events for good.
    pub(super) is_picky: bool,
    pub(super) faults: Vec<String>,
    pub(super) facts: Facts,
    /// What waits in the outbox, and for the lane, as far as the machine has told.
    pub(super) left: u64,
    passed: Duration,
    /// Since this life began, or the last time the network was healed: what was held until then comes now.
    calm: Duration,
    /// All events that were ever handed to the spool.
    made: HashMap<Uuid, Bytes>,
    /// Events of changes that were committed.
    committed: BTreeSet<Uuid>,
    /// The received event of each frame that was answered, by its place.
    promised: BTreeMap<u64, Uuid>,
    arrived: HashMap<Uuid, Arrived>,
    /// The number that arrived last, of each sender.
    newest: BTreeMap<u64, u64>,
    course: DefaultHasher,
}

/// A sender's event: its sender, number and attempt, and whether it tells that the request was received.
pub(super) fn id_of(sender: u64, Sender { number, attempt }: Sender, is_received: bool) -> Uuid {
    let low = number << 16 | attempt << 1 | u64::from(is_received);
    Uuid::from_u128(u128::from(sender + 1) << 64 | u128::from(low))
}

/// Sender and number again; nothing for events of others.
pub(super) fn sender_of(id: Uuid) -> Option<(u64, u64)> {
    let (high, low) = id.as_u64_pair();
    (1..=SENDERS).contains(&high).then_some((high - 1, low >> 16))
}

/// Whether a sender tells its requests apart.
pub(super) fn says_which(sender: u64) -> bool {
    sender.is_multiple_of(2)
}

/// Whether a destination that is picky refuses it.
pub(super) fn is_bad(id: Uuid) -> bool {
    sender_of(id).is_some_and(|(sender, number)| sender == 1 && number % 7 == 3)
}

impl World {
    /// With the events of changes that were made before.
    pub(super) fn new(seed: u64, data: PathBuf, before: &[Event]) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let is_picky = chance.u8(0..3) == 0;
        Self {
            disk: FaultDisk::new(chance.u64(..)),
            chance,
            data,
            clock: Arc::new(Clock::fixed(Time::from_micros(1_700_000_000_000_000))),
            senders: Default::default(),
            troubles: 0,
            is_cut: false,
            is_healed: false,
            is_picky,
            faults: Vec::new(),
            facts: Facts { lives: 1, ..Facts::default() },
            left: u64::MAX,
            passed: Duration::ZERO,
            calm: Duration::ZERO,
            made: before.iter().map(|event| (event.id, event.json.clone())).collect(),
            committed: before.iter().map(|event| event.id).collect(),
            promised: BTreeMap::new(),
            arrived: HashMap::new(),
            newest: BTreeMap::new(),
            course: DefaultHasher::new(),
        }
    }

    /// What goes wrong in the life to come.
    pub(super) fn draw_plan(&mut self) {
        let space = self.disk.space(&self.data).unwrap_or_default();
        let used = space.total - space.free;
        let at = self.chance.u64(0..80);
        let plan = match self.chance.u8(0..10) {
            0..4 => Plan { crash_at: Some(at), ..Plan::default() },
            4..6 => Plan { fail_at: Some(at), ..Plan::default() },
            6 => Plan { fail_from: Some(at), ..Plan::default() },
            7 => Plan { capacity: Some(used + 2000 * at), ..Plan::default() },
            _ => Plan::default(),
        };
        self.disk.set(plan);
    }

    /// The wall clock goes wrong by an hour.
    pub(super) fn jump(&mut self) {
        let seconds = if self.chance.bool() { 3600 } else { -3600 };
        self.clock.advance_seconds(seconds);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.passed += time;
        self.calm += time;
        while self.passed >= Duration::from_secs(1) {
            self.passed -= Duration::from_secs(1);
            self.clock.advance_seconds(1);
        }
    }

    /// The power went; another machine comes, with what is left of the disk.
    pub(super) fn crash(&mut self, spoiled: FaultDisk) {
        self.disk = spoiled;
        self.left = u64::MAX;
        self.end_trouble();
        self.facts.lives += 1;
    }

    /// The network passes everything again, also what it held.
    pub(super) fn heal(&mut self) {
        if std::mem::take(&mut self.is_cut) {
            self.end_trouble();
        }
    }

    fn end_trouble(&mut self) {
        self.troubles += 1;
        self.calm = Duration::ZERO;
    }

    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// An event is on its way into the spool.
    pub(super) fn make(&mut self, event: &Event) {
        self.made.insert(event.id, event.json.clone());
    }

    pub(super) fn commit(&mut self, event: Uuid) {
        self.committed.insert(event);
        self.facts.committed += 1;
    }

    /// A sender was told that its request is kept: as the frame at that place, whose first event is that one.
    pub(super) fn promise(&mut self, sequence: u64, received: Uuid) {
        (1_u8, sequence, received.as_u128()).hash(&mut self.course);
        self.facts.answered += 1;
        if let Some(before) = self.promised.insert(sequence, received)
            && before != received
        {
            self.fault(format!("place {sequence} was given to {before} and to {received}"));
        }
    }

    /// What the journal holds after a start.
    pub(super) fn check_kept(&mut self, kept: &[Kept]) {
        let mut places = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let mut requests = BTreeMap::new();
        for frame in kept {
            let first = frame.events[0].id;
            places.insert(frame.sequence, first);
            for event in &frame.events {
                if !ids.insert(event.id) {
                    self.fault(format!("event {} is kept twice", event.id));
                }
                match self.made.get(&event.id) {
                    Some(json) if *json == event.json => {}
                    // What the gateway says of itself.
                    None if is_notice(&event.json) => {}
                    other => self.fault(format!("event {} is kept, of {other:?}", event.id)),
                }
            }
            // Who says which request it is sends it again, and it is kept once.
            if let Some((sender, number)) = sender_of(first)
                && says_which(sender)
                && let Some(before) = requests.insert((sender, number), frame.sequence)
            {
                self.fault(format!(
                    "request {number} of sender {sender} is kept at {before} and {}",
                    frame.sequence
                ));
            }
        }
        // On a full disk, what everybody has read is not kept any longer.
        let oldest = kept.first().map_or(u64::MAX, |frame| frame.sequence);
        let parked = if oldest > 1 { self.parked() } else { BTreeSet::new() };
        for (sequence, promised) in self.promised.clone() {
            let is_done = |id: &Uuid| self.arrived.contains_key(id) || parked.contains(id);
            let is_over = sequence < oldest && is_done(&promised);
            if places.get(&sequence) != Some(&promised) && !is_over {
                let found = places.get(&sequence);
                self.fault(format!("{promised} was promised at {sequence}, there is {found:?}"));
            }
        }
        let is_lost = |id: &&Uuid| oldest == 1 && !ids.contains(*id);
        let lost: Vec<_> = self.arrived.keys().filter(is_lost).copied().collect();
        for id in lost {
            self.fault(format!("event {id} has arrived and is not kept"));
        }
    }

    /// Events reach the destination; whether it says so, as far as it knows.
    pub(super) fn arrive(&mut self, texts: &[(Uuid, String)], was_told: bool) {
        for (id, text) in texts {
            (2_u8, id.as_u128()).hash(&mut self.course);
            match self.made.get(id) {
                Some(made) if text.as_bytes().starts_with(&made[..made.len() - 1]) => {}
                None if is_notice(text.as_bytes()) => {}
                other => self.fault(format!("{text} arrived, and was made as {other:?}")),
            }
            let (life, troubles) = (self.facts.lives, self.troubles);
            // What the life before sent, or the network held, may still be on its way.
            let was_told = was_told && self.calm > UNDER_WAY;
            let arrived = Arrived { life, troubles, was_told };
            if let Some(before) = self.arrived.insert(*id, arrived) {
                self.facts.again += 1;
                let is_same = before.life == life && before.troubles == troubles;
                if before.was_told && is_same {
                    self.fault(format!("event {id} arrived again, and nothing had happened"));
                }
                continue;
            }
            self.facts.arrived += 1;
            if let Some((sender, number)) = sender_of(*id)
                && id.as_u128() & 1 == 0
                && let Some(newest) = self.newest.insert(sender, number)
                && newest >= number
            {
                self.fault(format!("{number} of sender {sender} arrived behind {newest}"));
            }
        }
    }

    fn parked(&self) -> BTreeSet<Uuid> {
        let lying = Shelf::look(&self.data, &Asked::default()).expect("a shelf");
        lying.into_iter().map(|lying| lying.aside.event.id).collect()
    }

    /// What was promised and neither arrived nor lies parked.
    fn outstanding(&self) -> Vec<Uuid> {
        let own = self.promised.values().map(Uuid::as_u128);
        let own = own.flat_map(|id| [id, id ^ 1]).map(Uuid::from_u128);
        let all = own.chain(self.committed.iter().copied());
        let mut missing: Vec<_> = all.filter(|id| !self.arrived.contains_key(id)).collect();
        if !missing.is_empty() {
            let parked = self.parked();
            missing.retain(|id| !parked.contains(id));
        }
        missing
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.outstanding().is_empty()
    }

    pub(super) fn missing(&self) -> String {
        format!("{} are left, never came: {:?}", self.left, self.outstanding())
    }

    pub(super) fn check_end(&self) {
        for id in self.parked() {
            let is_behind = sender_of(id).is_some_and(|(sender, _)| sender == 1);
            assert!(self.is_picky && is_behind, "event {id} lies parked");
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let parked = self.parked().len() as u64;
        Facts { course: self.course.clone().finish(), parked, ..self.facts.clone() }
    }
}

/// What the gateway says of its lanes, and of damage: made by nobody here.
fn is_notice(json: &[u8]) -> bool {
    let names = ["hookgate.destination.", "hookgate.spool.damaged"];
    event::plain_name(json).is_some_and(|name| names.iter().any(|one| name.starts_with(one)))
}
