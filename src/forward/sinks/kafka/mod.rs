//! Records of a Kafka topic, by an idempotent producer. In: a range of events. Out: taken once every replica in sync
//! has each; what went out and was not answered goes out again just as it was, and the broker knows it by its count, so
//! that a connection that breaks writes nothing twice. Events of one resource stay in order. Goes to the brokers that
//! the first one names, each checked as that one was.

mod login;
mod message;
mod node;
mod record;
mod verdict;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::message::{METADATA, PRODUCE, PRODUCER};
use self::node::{Door, Node};
use self::record::{Batch, Producer, key, partition};
use self::verdict::{Verdict, fault, judge};
use super::wire::{LoginPapers, Place, check_papers};
use super::{Answer, Bounds, Fault, Refusal};
use crate::clock::Clock;
use crate::forward::lines::Mark;
use crate::forward::load::Load;
use crate::forward::options::Options;
use crate::forward::{Destination, ForwardError};
use crate::telemetry::forward::Outcome;

/// What goes out together: less than the largest batch that a broker takes unless it is told otherwise.
const BOUNDS: Bounds =
    Bounds { frames: 500, frame_bytes: 900 << 10, events: 500, bytes: 900 << 10 };
/// Connections that were not used this long are made anew.
const IDLE: Duration = Duration::from_mins(1);
/// Who leads is asked again after this long.
const STALE: Duration = Duration::from_mins(5);
/// Most partitions and brokers of an answer.
const PARTITIONS_MAX: usize = 10_000;
const BROKERS_MAX: usize = 1000;
/// All replicas in sync must have it.
const ACKS_ALL: i16 = -1;

/// The lane's side of a topic.
#[derive(Debug)]
pub(in crate::forward) struct Kafka {
    door: Door,
    place: Place,
    topic: String,
    options: Options,
    deadline: Duration,
    nodes: HashMap<i32, Node>,
    used: Instant,
    map: Option<Map>,
    producer: Option<Producer>,
    /// Where the count of each partition stands.
    counts: HashMap<i32, i32>,
    /// Went out, and nothing is known of it.
    pending: Vec<Batch>,
    /// Arrived before the lane knew: in each partition, what it will send again.
    ahead: HashMap<i32, VecDeque<Mark>>,
}

/// Who leads each partition, and where they are.
#[derive(Debug)]
struct Map {
    leaders: BTreeMap<i32, i32>,
    places: HashMap<i32, Place>,
    made: Instant,
}

impl Kafka {
    pub(super) fn new(
        destination: &Destination,
        (place, topic): (&Place, &str),
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        check_papers(place, &destination.options.tls)?;
        let login = LoginPapers::of(destination)?;
        let (tls, egress) = (destination.options.tls.clone(), destination.egress.clone());
        Ok(Self {
            door: Door::new(login, tls, egress, Arc::clone(clock)),
            place: place.clone(),
            topic: topic.to_owned(),
            options: destination.options.clone(),
            deadline,
            nodes: HashMap::new(),
            used: Instant::now(),
            map: None,
            producer: None,
            counts: HashMap::new(),
            pending: Vec::new(),
            ahead: HashMap::new(),
        })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.options.bounds(BOUNDS)
    }

    pub(super) fn reopen(&mut self) {
        self.disconnect();
    }

    pub(super) async fn send(&mut self, load: &Load, range: Range<usize>) -> Answer {
        let deadline = self.deadline;
        match tokio::time::timeout(deadline, self.produce(load, range)).await {
            Ok(Ok(answer)) => {
                self.used = Instant::now();
                answer
            }
            Ok(Err(fault)) => {
                self.disconnect();
                Answer::Failed(fault)
            }
            Err(_) => {
                self.disconnect();
                let what = format!("no acknowledgement within {} s", deadline.as_secs_f32());
                Answer::Failed(Fault::new(Outcome::Timeout, what))
            }
        }
    }

    /// Nothing that was half said is gone on with.
    fn disconnect(&mut self) {
        self.nodes.clear();
        self.map = None;
    }

    /// Another producer: what the one before had not heard of goes out under new counts.
    fn start_anew(&mut self) {
        self.producer = None;
        self.counts.clear();
        self.pending.clear();
    }

    async fn produce(&mut self, load: &Load, range: Range<usize>) -> Result<Answer, Fault> {
        if self.used.elapsed() >= IDLE {
            self.nodes.clear();
        }
        if self.map.as_ref().is_none_or(|map| map.made.elapsed() >= STALE) {
            self.look_around().await?;
        }
        let producer = match self.producer {
            Some(producer) => producer,
            None => self.introduce().await?,
        };
        if !self.pending.is_empty() && self.settle().await?.is_some() {
            // Some of what is left of an earlier attempt is refused: the lane finds out which, event by event.
            self.start_anew();
            return Err(Fault::new(Outcome::Unavailable, "an earlier batch was refused"));
        }
        self.pending = self.gather(load, range, producer);
        let partitions: Vec<i32> = self.pending.iter().map(|batch| batch.partition).collect();
        if let Some(refusal) = self.settle().await? {
            return Ok(Answer::Refused(refusal));
        }
        for partition in partitions {
            self.ahead.remove(&partition);
        }
        Ok(Answer::Taken)
    }

    /// Asks the first broker who leads, and keeps its connection if it is one of them.
    async fn look_around(&mut self) -> Result<(), Fault> {
        self.nodes.clear();
        let mut first = self.door.open(&self.place).await?;
        let topic = self.topic.clone();
        let bytes = first
            .ask(METADATA, |request| {
                request.i32(1).text(&topic).i8(0);
            })
            .await?;
        let map = Map::read(&bytes, &self.topic, self.place.is_tls)?;
        let same = |place: &Place| (&place.host, place.port) == (&self.place.host, self.place.port);
        if let Some((node, _)) = map.places.iter().find(|(_, place)| same(place)) {
            self.nodes.insert(*node, first);
        }
        self.map = Some(map);
        Ok(())
    }

    /// Has this producer named, so that its batches can be known again.
    async fn introduce(&mut self) -> Result<Producer, Fault> {
        let place = self.place.clone();
        let mut named = None;
        let node = match self.nodes.values_mut().next() {
            Some(node) => node,
            None => named.insert(self.door.open(&place).await?),
        };
        let bytes = node
            .ask(PRODUCER, |request| {
                request.none().i32(0);
            })
            .await?;
        let mut answer = message::Answer::new(&bytes);
        let (_, error) = (answer.i32()?, answer.i16()?);
        if error != 0 {
            return Err(fault(error, &self.topic));
        }
        let producer = Producer { id: answer.i64()?, epoch: answer.i16()? };
        self.counts.clear();
        self.producer = Some(producer);
        Ok(producer)
    }

    /// Batches of what did not arrive yet, one for each partition.
    fn gather(&mut self, load: &Load, range: Range<usize>, producer: Producer) -> Vec<Batch> {
        let count = self.map.as_ref().map_or(0, |map| map.leaders.len());
        let mut places: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for place in range {
            let partition = partition(&key(load, place), count);
            let ahead = self.ahead.entry(partition).or_default();
            if ahead.front() == Some(&load.mark(place)) {
                ahead.pop_front();
                continue;
            }
            ahead.clear();
            places.entry(partition).or_default().push(place);
        }
        let write = |(partition, places): (i32, Vec<usize>)| {
            let first = self.counts.get(&partition).copied().unwrap_or(0);
            let batch = Batch::write(load, &places, producer, (partition, first));
            self.counts.insert(partition, batch.next());
            batch
        };
        places.into_iter().map(write).collect()
    }

    /// Sends all that is pending to those who lead, and hears what became of it. What was taken is ahead of the lane
    /// from here on; what was refused is told.
    async fn settle(&mut self) -> Result<Option<Refusal>, Fault> {
        let Some(map) = &self.map else {
            return Err(Fault::new(Outcome::Unavailable, "it is not known who leads"));
        };
        let mut leaders: BTreeMap<i32, Vec<&Batch>> = BTreeMap::new();
        for batch in &self.pending {
            let leader = map.leaders.get(&batch.partition).copied().unwrap_or(-1);
            leaders.entry(leader).or_default().push(batch);
        }
        let timeout = i32::try_from(self.deadline.as_millis()).unwrap_or(i32::MAX);
        let mut asked = Vec::new();
        for (leader, batches) in leaders {
            let Some(place) = map.places.get(&leader) else {
                let what = "a partition has no leader for now";
                return Err(Fault::new(Outcome::Unavailable, what));
            };
            let mut node = match self.nodes.remove(&leader) {
                Some(node) => node,
                None => self.door.open(place).await?,
            };
            node.say(PRODUCE, |request| {
                request.none().i16(ACKS_ALL).i32(timeout).i32(1).text(&self.topic);
                request.i32(message::int(batches.len()));
                for batch in batches {
                    request.i32(batch.partition).bytes(&batch.bytes);
                }
            })
            .await?;
            asked.push((leader, node));
        }
        let mut errors = HashMap::new();
        for (leader, mut node) in asked {
            let bytes = node.hear().await?;
            read_errors(&bytes, &mut errors)?;
            self.nodes.insert(leader, node);
        }
        self.sort_out(&errors)
    }

    /// What each error means for what is pending.
    fn sort_out(&mut self, errors: &HashMap<i32, i16>) -> Result<Option<Refusal>, Fault> {
        let (mut refusal, mut failure, mut is_lost) = (None, None, false);
        for batch in std::mem::take(&mut self.pending) {
            let Some(error) = errors.get(&batch.partition) else {
                failure = Some(Fault::lasting(Outcome::Unexpected, "an answer without a word"));
                self.pending.push(batch);
                continue;
            };
            match judge(*error, &self.topic) {
                Verdict::Kept => {
                    self.ahead.entry(batch.partition).or_default().extend(batch.marks);
                }
                Verdict::Refused(said) => {
                    // The broker counts it as never sent.
                    self.counts.insert(batch.partition, batch.first);
                    refusal = Some(said);
                }
                Verdict::Failed(fault) => {
                    failure = Some(fault);
                    self.pending.push(batch);
                }
                Verdict::Lost(fault) => {
                    failure = Some(fault);
                    is_lost = true;
                }
            }
        }
        if is_lost {
            self.start_anew();
        }
        failure.map_or(Ok(refusal), Err)
    }
}

impl Map {
    fn read(bytes: &[u8], topic: &str, is_tls: bool) -> Result<Self, Fault> {
        let mut answer = message::Answer::new(bytes);
        let unread = || Fault::lasting(Outcome::Unexpected, "an answer about another topic");
        answer.i32()?;
        let mut places = HashMap::new();
        for _ in 0..answer.count()?.min(BROKERS_MAX) {
            let (node, host, port) = (answer.i32()?, answer.text()?, answer.i32()?);
            answer.text()?;
            if let Ok(port) = u16::try_from(port) {
                places.insert(node, Place { host, port, is_tls });
            }
        }
        answer.text()?;
        answer.i32()?;
        if answer.count()? != 1 {
            return Err(unread());
        }
        let (error, name, _) = (answer.i16()?, answer.text()?, answer.i8()?);
        if error != 0 {
            return Err(fault(error, topic));
        }
        if name != topic {
            return Err(unread());
        }
        let mut leaders = BTreeMap::new();
        for _ in 0..answer.count()?.min(PARTITIONS_MAX) {
            let (_, partition, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
            for _ in 0..3 {
                answer.skip_numbers()?;
            }
            leaders.insert(partition, leader);
        }
        if leaders.is_empty() {
            return Err(Fault::new(Outcome::Unavailable, "the topic has no partitions for now"));
        }
        Ok(Self { leaders, places, made: Instant::now() })
    }
}

/// What became of each partition.
fn read_errors(bytes: &[u8], errors: &mut HashMap<i32, i16>) -> Result<(), Fault> {
    let mut answer = message::Answer::new(bytes);
    for _ in 0..answer.count()? {
        answer.text()?;
        for _ in 0..answer.count()? {
            let (partition, error) = (answer.i32()?, answer.i16()?);
            for _ in 0..3 {
                answer.i64()?;
            }
            errors.insert(partition, error);
        }
    }
    Ok(())
}
