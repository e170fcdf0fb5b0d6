//! Lanes against real sockets and real files: what arrives, what is parked, what a restart sends again.

mod egress;
mod files;
mod forms;
mod losses;
mod parking;
mod patience;
mod prefect;
mod records;
mod requests;
mod server;
mod sleep;
mod socket;
mod texts;
mod troubles;
mod turns;
mod waits;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use self::records::WORKSPACE;
use super::*;
use crate::clock::Time;
use crate::event::{self, Event};
use crate::spool::{Frame, OnFull, Options};

/// A folder that goes when the test ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hookgate-forward-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ACCOUNT: Uuid = Uuid::from_u128(0xACC);
const OPERATOR: Uuid = Uuid::from_u128(0x09E);

/// A gateway's inside: a spool, and lanes over it.
struct House {
    folder: Folder,
    spool: Spool,
    shelf: Shelf,
    clock: Arc<Clock>,
}

impl House {
    fn new() -> Self {
        Self::with(Options { free_min_bytes: 0, direct: false, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(Clock::fixed(Time::from_micros(1_000_000)));
        let data = folder.path().join("data");
        let opened = Spool::open(&data, options, &clock, &Telemetry::new());
        let (spool, _) = opened.expect("a spool");
        let shelf = Shelf::open(&data).expect("a shelf");
        Self { folder, spool, shelf, clock }
    }

    /// The same folder after the spool was closed, or copied from one that was not.
    fn begun_again(self, how: Options) -> Self {
        let Self { folder, clock, .. } = self;
        let data = folder.path().join("data");
        let opened = Spool::open(&data, how, &clock, &Telemetry::new());
        let (spool, _) = opened.expect("a spool");
        Self { shelf: Shelf::open(&data).expect("a shelf"), folder, spool, clock }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ground(&self) -> Ground {
        Ground {
            spool: self.spool.clone(),
            data: self.data(),
            shelf: self.shelf.clone(),
            clock: Arc::clone(&self.clock),
            telemetry: Telemetry::new(),
            allowed: ["127.0.0.0/8".parse().expect("a network")].into(),
            detour: None,
            operator: OPERATOR,
        }
    }

    /// Lanes that lose no time.
    fn lanes(&self, texts: &[String]) -> Forwarder {
        self.lanes_at(brisk(), texts)
    }

    fn lanes_at(&self, tempo: Tempo, texts: &[String]) -> Forwarder {
        let parse = |text: &String| Destination::parse(text).expect("a destination");
        let destinations = texts.iter().map(parse).collect();
        Forwarder::start_at(tempo, destinations, &[], self.ground()).expect("lanes")
    }

    /// Appends one frame with one event for each number.
    async fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.append_event(event(number, "")).await;
        }
    }

    async fn append_event(&self, event: Event) {
        self.append_to(None, event).await;
    }

    /// The same in the test's workspace.
    async fn append_ours(&self, event: Event) {
        self.append_to(Some(WORKSPACE), event).await;
    }

    async fn append_to(&self, workspace: Option<Uuid>, event: Event) {
        let frame = Frame::encode(ACCOUNT, workspace, self.clock.now(), &[event], None);
        self.spool.append(frame).await.expect("a receipt");
    }
}

fn brisk() -> Tempo {
    let (short, long) = (Duration::from_millis(1), Duration::from_secs(20));
    let most = Duration::from_millis(4);
    Tempo {
        first: short,
        most,
        slow: most,
        linger: short,
        idle: most,
        window: Duration::from_hours(72),
        deadline: long,
        confirm: most,
        patience: long,
        memory: long,
        stop: long,
        watch: most,
    }
}

/// An event that says `number`, and `word`; each is about a resource of its own.
fn event(number: u64, word: &str) -> Event {
    about(&format!("test.{number}"), number, word)
}

/// The same about a resource.
fn about(resource: &str, number: u64, word: &str) -> Event {
    let id = Uuid::from_u128(number.into());
    let payload = format!("{{\"number\":{number},\"word\":\"{word}\"}}");
    let labels = [("prefect.resource.id", resource)];
    event::compose(Time::from_micros(1_000_000), "test", &labels, &[], &payload, id, None)
}

/// Waits until a question has an answer.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(server::PATIENCE, asking).await.expect("what must come")
}

/// The events of a file, line by line.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn numbers(path: &Path) -> Vec<u64> {
    lines(path).iter().filter_map(|line| line["payload"]["number"].as_u64()).collect()
}

/// Waits for so many numbered events in a file.
async fn until_lines(path: &Path, count: usize) -> Vec<u64> {
    until(|| Some(numbers(path)).filter(|numbers| numbers.len() >= count)).await
}
