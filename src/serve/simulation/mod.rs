//! Spool, outbox and forward together, on a disk that forgets, tears, fills up and fails, and over a network that loses
//! and delays, with a clock that jumps: what was answered arrives, once, in order, whatever happens. In: a seed. Out:
//! the whole course, the same again for the same seed. `HOOKGATE_SIM_SEEDS` says how many, `HOOKGATE_SIM_SEED` which
//! one alone. The code under test is the gateway's own: writer, keeper, recovery, readers, lanes, HTTP client, outbox;
//! `SQLite` keeps what it has committed, which is its promise and no part of this.

mod destination;
mod house;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use turmoil::Sim;

use self::world::{Facts, World};
use crate::clock::{Clock, Time};
use crate::event::Event;
use crate::id::Uuid;
use crate::journal::fault::Plan;
use crate::lone::Lone;
use crate::store::{self, Store};

type Shared = Rc<RefCell<World>>;

const SEEDS: u64 = 300;
const TICK: Duration = Duration::from_millis(5);
/// Ticks in which all that was answered must have arrived, once nothing fails any more.
const PATIENCE_TICKS: u32 = 4000;
/// Seeds whose course is compared with itself.
const TWICE: u64 = 10;

const GATEWAY: &str = "gateway";
const SINK: &str = "sink";

/// What an empty gateway has in its store: made once, and put into each folder.
struct Ground {
    store: Vec<u8>,
    account: Uuid,
    workspace: Uuid,
    /// The events of its first records, which wait in the outbox.
    events: Vec<Event>,
}

fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let folder = Folder::new();
        let clock = Clock::fixed(Time::from_micros(1_000_000));
        let first = store::bootstrap(&folder.0, &clock).expect("a first account");
        let opened = Store::open(&folder.0).expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let pending = runtime.block_on(opened.pending(1000)).expect("events");
        drop(opened);
        let store = std::fs::read(folder.0.join(store::FILE_NAME)).expect("a file");
        let events = pending.into_iter().map(|outgoing| outgoing.event).collect();
        Ground { store, account: first.account_id, workspace: first.workspace_id, events }
    })
}

/// A folder of its own for what is no part of the simulated disk, in memory where the machine has such a place.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let memory = PathBuf::from("/dev/shm");
        let above = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = above.join(format!("hookgate-simulation-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The course of one seed.
fn run(seed: u64) -> Facts {
    let ground = ground();
    let _lone = Lone::enter();
    fastrand::seed(seed);
    let folder = Folder::new();
    std::fs::write(folder.0.join(store::FILE_NAME), &ground.store).expect("a file");
    let world = Rc::new(RefCell::new(World::new(seed, folder.0.clone(), &ground.events)));
    let mut sim = network(seed);
    let outside = Rc::clone(&world);
    sim.host(SINK, move || destination::serve(Rc::clone(&outside)));
    let outside = Rc::clone(&world);
    sim.host(GATEWAY, move || house::live(Rc::clone(&outside)));
    let lives = world.borrow_mut().chance.u64(2..6);
    for _ in 0..lives {
        one_life(&mut sim, &world);
        let spoiled = world.borrow().disk.after_crash();
        sim.crash(GATEWAY);
        world.borrow_mut().crash(spoiled);
        sim.bounce(GATEWAY);
    }
    last_life(&mut sim, &world);
    drop(sim);
    world.borrow().facts()
}

fn network(seed: u64) -> Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_hours(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(15));
    builder.build()
}

/// A while in which things go wrong.
fn one_life(sim: &mut Sim<'_>, world: &Shared) {
    world.borrow_mut().draw_plan();
    let ticks = world.borrow_mut().chance.u32(10..70);
    for _ in 0..ticks {
        let drawn = world.borrow_mut().chance.u32(0..300);
        match drawn {
            0..3 => {
                sim.partition(GATEWAY, SINK);
                world.borrow_mut().is_cut = true;
            }
            3..6 => {
                sim.hold(GATEWAY, SINK);
                world.borrow_mut().is_cut = true;
            }
            6..30 => heal(sim, world),
            30..33 => world.borrow_mut().jump(),
            33..36 => world.borrow().disk.set(Plan::default()),
            _ => {}
        }
        step(sim, world);
    }
    heal(sim, world);
}

fn heal(sim: &Sim<'_>, world: &Shared) {
    world.borrow_mut().heal();
    sim.release(GATEWAY, SINK);
    sim.repair(GATEWAY, SINK);
}

/// Nothing goes wrong any more; all that was answered arrives.
fn last_life(sim: &mut Sim<'_>, world: &Shared) {
    world.borrow().disk.set(Plan::default());
    world.borrow_mut().is_healed = true;
    for tick in 0.. {
        step(sim, world);
        if tick > 20 && world.borrow().is_done() {
            break;
        }
        assert!(tick < PATIENCE_TICKS, "{}", world.borrow().missing());
    }
    world.borrow().check_end();
}

fn step(sim: &mut Sim<'_>, world: &Shared) {
    sim.step().expect("a step");
    let mut world = world.borrow_mut();
    world.pass(TICK);
    assert!(world.faults.is_empty(), "{}", world.faults.join("\n"));
}

/// The seeds, by each thread some.
fn run_all(seeds: impl Iterator<Item = u64>) -> (Facts, Vec<String>) {
    let (mut all, mut failures) = (Facts::default(), Vec::new());
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(facts) => all.add(&facts),
            Err(cause) => {
                let text = cause.downcast_ref::<String>().cloned();
                let text = text.unwrap_or_else(|| "it panicked".to_owned());
                failures.push(format!("HOOKGATE_SIM_SEED={seed}: {text}"));
            }
        }
    }
    (all, failures)
}

fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_fails_what_was_answered_arrives_once_and_in_order() {
    let only = wanted("HOOKGATE_SIM_SEED");
    let count = wanted("HOOKGATE_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds: Vec<u64> = only.map_or_else(|| (0..count).collect(), |seed| vec![seed]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let start = |first| {
            let mine = seeds.iter().copied().skip(first).step_by(threads);
            scope.spawn(move || run_all(mine))
        };
        let running: Vec<_> = (0..threads).map(start).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    let failures: Vec<_> = parts.iter().flat_map(|(_, failures)| failures.clone()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    let mut all = Facts::default();
    for (facts, _) in &parts {
        all.add(facts);
    }
    // A course in which nothing happens proves nothing.
    let is_eventful = all.answered > 0 && all.failed > 0 && all.torn > 0 && all.again > 0;
    assert!(only.is_some() || is_eventful && all.parked > 0 && all.committed > 0, "{all:?}");
}

#[test]
fn a_seed_tells_the_whole_course() {
    for seed in 0..TWICE {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first, second, "seed {seed}");
    }
}
