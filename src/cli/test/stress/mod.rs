//! Real requests, made wrong: what a template does with missing keys, other types and hostile texts. In: suites and a
//! seed. Out: for each suite what it survived, what it refused, and the smallest request of each way it died.
//!
//! A template *refuses* when the failed event says which value it was: a rendering failed by Python's rules (a key that
//! must be there is not, a text is added to a number), or a value is none that an event may have there. It *breaks*
//! when a value got out of its place, so that the text is no JSON, when a budget is used up, or when the engine panics:
//! nobody can have meant that. Which of it is a failure is the caller's choice ([`Deadly`]); what an expected error
//! beside the template names never is, nor a value over a bound of events (a text of 10,000 characters).

mod chance;
mod edit;
mod shrink;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use fastrand::Rng;

use super::super::case::{self, Request};
use super::super::output::Failure;
use super::folder::{Case, Suite};
use super::outcome::{Failed, PANIC, explained, outcome};
use super::run::Loaded;
use crate::render::Template;
use crate::serve::STACK_BYTES;
use chance::Places;
use edit::{Edit, edited};
use shrink::{Smallest, fewest, smallest};

/// Threads that render.
const WORKERS: usize = 2;
/// Most different refusals of a suite that are told apart.
const REFUSALS_MAX: usize = 50;
/// Most different deaths of one case that are searched for their smallest request.
const DEATHS_MAX: usize = 20;
/// Before that, nothing is said of progress.
const QUIET: Duration = Duration::from_millis(500);
/// Between two words on progress.
const BEAT: Duration = Duration::from_millis(100);

/// What counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Deadly {
    /// No JSON, a budget used up, or a panic
    Broken,
    /// Also JSON that is no event
    Invalid,
    /// Also what the template refuses
    Refused,
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Requests made of each case.
    pub(super) count: usize,
    pub(super) seed: u64,
    pub(super) deadly: Deadly,
}

/// What became of all requests of a suite.
#[derive(Debug, Default)]
pub(super) struct Stressed {
    pub(super) requests: usize,
    pub(super) events: usize,
    pub(super) died: usize,
    pub(super) refusals: Vec<Refusal>,
    pub(super) deaths: Vec<Death>,
}

/// A way in which a template refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    sign: Sign,
    /// The failure of the first such request.
    pub(super) failed: Failed,
    /// What was wrong with it, in words; as little as was found.
    pub(super) wrong: String,
    pub(super) times: usize,
}

/// A way in which a template dies.
#[derive(Debug)]
pub(super) struct Death {
    /// The case it was found with.
    pub(super) case: String,
    pub(super) failed: Failed,
    /// What is wrong with the request, in words.
    pub(super) wrong: String,
    /// The smallest request found.
    pub(super) request: Request,
}

/// One failure from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sign {
    error_type: &'static str,
    line: Option<u32>,
    /// Items are not told apart.
    pointer: Option<String>,
}

impl Sign {
    fn of(failed: &Failed) -> Self {
        let Failed { error_type, line, pointer, .. } = failed;
        // A line of the rendered text moves with what is rendered.
        let line = line.filter(|_| *error_type == "template");
        let pointer = pointer.as_ref().map(|pointer| {
            let steps = pointer.split('/');
            let step =
                |step: &'_ str| if step.parse::<u32>().is_ok() { "0" } else { step }.to_owned();
            steps.map(step).collect::<Vec<_>>().join("/")
        });
        Self { error_type, line, pointer }
    }
}

/// A case to be tried.
struct Job<'a> {
    suite: usize,
    name: &'a str,
    template: &'a Template,
    places: Places,
    request: Request,
    intended: &'a [Sign],
}

/// Tries every case that an event is expected of.
pub(super) fn run(
    suites: &[Suite],
    templates: &[Option<Loaded>],
    plan: Plan,
) -> Result<Vec<Stressed>, Failure> {
    let ready: Vec<_> = templates.iter().map(|loaded| loaded.as_ref().and_then(ready)).collect();
    let intended: Vec<Vec<Sign>> =
        suites.iter().zip(&ready).map(|(suite, ready)| intended(suite, *ready)).collect();
    let mut jobs = Vec::new();
    for (place, (suite, ready)) in suites.iter().zip(&ready).enumerate() {
        let Some((source, template)) = *ready else { continue };
        for case in suite.cases.iter().filter(|case| case.there.request && case.there.event) {
            // One that cannot be read has failed already.
            let Ok(request) = case::read(&case.request) else { continue };
            let places = Places::of(&request, source);
            let intended = &*intended[place];
            jobs.push(Job { suite: place, name: &case.name, template, places, request, intended });
        }
    }
    let mut all: Vec<Stressed> = suites.iter().map(|_| Stressed::default()).collect();
    for (place, one) in try_all(&jobs, suites, plan)? {
        all[jobs[place].suite].add(one);
    }
    Ok(all)
}

/// Source and template, when it can be rendered.
fn ready(loaded: &Loaded) -> Option<(&str, &Template)> {
    Some((&loaded.source, loaded.template.as_ref().ok()?))
}

/// The failures that expected errors name.
fn intended(suite: &Suite, ready: Option<(&str, &Template)>) -> Vec<Sign> {
    let Some((_, template)) = ready else { return Vec::new() };
    let errors = suite.cases.iter().filter(|case| case.there.error && case.there.request);
    let signs = errors.filter_map(|case: &Case| {
        let request = case::read(&case.request).ok()?;
        outcome(template, &request).err().map(|failed| Sign::of(&failed))
    });
    signs.collect()
}

/// Tries the jobs on a few threads; what became of them, in the order of the jobs.
fn try_all(
    jobs: &[Job<'_>],
    suites: &[Suite],
    plan: Plan,
) -> Result<BTreeMap<usize, Stressed>, Failure> {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..WORKERS.min(jobs.len()) {
            let (next, done) = (&next, done.clone());
            let work = move || {
                while let Some((place, job)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(place).map(|job| (place, job))
                } {
                    let seed = seed(plan.seed, &suites[job.suite].name, job.name);
                    // Whoever waits for it is gone only when the run has failed.
                    let _ = done.send((place, job.run(plan, seed)));
                }
            };
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, work)
                .map_err(|fault| Failure::No(format!("no thread to render on: {fault}")))?;
        }
        drop(done);
        Ok(collect(&results, jobs.len()))
    })
}

/// Waits for all results, and says how far they are when somebody watches.
fn collect(results: &mpsc::Receiver<(usize, Stressed)>, count: usize) -> BTreeMap<usize, Stressed> {
    let started = Instant::now();
    let is_watched = std::io::stderr().is_terminal();
    let mut all = BTreeMap::new();
    let mut has_told = false;
    loop {
        match results.recv_timeout(BEAT) {
            Ok((place, one)) => drop(all.insert(place, one)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if is_watched && started.elapsed() > QUIET {
            has_told = true;
            tell(&format!("\r\x1b[K{} of {count} cases stressed", all.len()));
        }
    }
    if has_told {
        tell("\r\x1b[K");
    }
    all
}

fn tell(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Each case has its own seed, so that a filter or a new case changes nothing for the others.
fn seed(seed: u64, suite: &str, case: &str) -> u64 {
    seed ^ u64::from(crc32c::crc32c(format!("{suite}/{case}").as_bytes())).rotate_left(32)
}

impl Job<'_> {
    fn run(&self, plan: Plan, seed: u64) -> Stressed {
        let mut rng = Rng::with_seed(seed);
        let mut all = Stressed::default();
        for _ in 0..plan.count {
            let edits = self.places.edits(&mut rng);
            if edits.is_empty() {
                continue;
            }
            all.requests += 1;
            match outcome(self.template, &edited(&self.request, &edits)) {
                Ok(_) => all.events += 1,
                Err(failed) => self.count(&mut all, &failed, &edits, plan.deadly),
            }
        }
        all
    }

    /// Counts a failure; the first of its kind is searched for what it takes.
    fn count(&self, all: &mut Stressed, failed: &Failed, edits: &[Edit], deadly: Deadly) {
        let sign = Sign::of(failed);
        let is_death = is_death(failed, edits, deadly) && !self.intended.contains(&sign);
        if is_death && all.deaths.iter().any(|death| Sign::of(&death.failed) == sign) {
            all.died += 1;
        } else if is_death && all.deaths.len() < DEATHS_MAX {
            match self.search(edits, failed) {
                Some(death) => {
                    all.died += 1;
                    all.deaths.push(death);
                }
                // It was the clock, and does not come again.
                None => all.events += 1,
            }
        } else {
            let known = all.refusals.iter_mut().find(|known| known.sign == sign);
            if let Some(known) = known {
                known.times += 1;
            } else if all.refusals.len() < REFUSALS_MAX {
                let edits = fewest(&self.request, edits, &|request| self.ends_so(request, failed));
                let (failed, wrong) = (failed.clone(), words(&edits));
                all.refusals.push(Refusal { sign, failed, wrong, times: 1 });
            }
        }
    }

    /// Whether the request fails in the same way; on a line that fails in several ways, in the same words.
    fn ends_so(&self, request: &Request, failed: &Failed) -> bool {
        outcome(self.template, request).is_err_and(|other| {
            let is_worded = failed.error_type == "template";
            Sign::of(&other) == Sign::of(failed) && (!is_worded || other.message == failed.message)
        })
    }

    /// The smallest request of that death, if it comes again.
    fn search(&self, edits: &[Edit], failed: &Failed) -> Option<Death> {
        let dies = |request: &Request| self.ends_so(request, failed);
        if !dies(&edited(&self.request, edits)) {
            return None;
        }
        let Smallest { request, edits } = smallest(&self.request, edits, &dies);
        let failed = explained(self.template, &request).err()?;
        let request = Request { note: None, ..request };
        Some(Death { case: self.name.to_owned(), failed, wrong: words(&edits), request })
    }
}

fn words(edits: &[Edit]) -> String {
    let words: Vec<String> = edits.iter().map(Edit::to_string).collect();
    words.join(", ")
}

/// Whether a failure counts as one.
fn is_death(failed: &Failed, edits: &[Edit], deadly: Deadly) -> bool {
    let is_oversized = edits.iter().any(|edit| edit.change.is_oversized());
    match failed.error_type {
        "json" | PANIC => true,
        "template" => failed.is_budget() || deadly == Deadly::Refused,
        // Without a rendered text the body itself was too much.
        _ => deadly >= Deadly::Invalid && failed.rendered.is_some() && !is_oversized,
    }
}

impl Refusal {
    /// Where, in words.
    pub(super) fn place(&self) -> String {
        match (&self.failed.pointer, self.failed.line) {
            (Some(pointer), _) => format!("event {pointer}"),
            (None, Some(line)) => format!("line {line}"),
            (None, None) => "the request".to_owned(),
        }
    }
}

impl Stressed {
    /// Adds what became of another case; of the same death the smaller request stays.
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.events += other.events;
        self.died += other.died;
        for refusal in other.refusals {
            match self.refusals.iter_mut().find(|known| known.sign == refusal.sign) {
                Some(known) => known.times += refusal.times,
                None => self.refusals.push(refusal),
            }
        }
        for death in other.deaths {
            let sign = Sign::of(&death.failed);
            match self.deaths.iter_mut().find(|known| Sign::of(&known.failed) == sign) {
                Some(known) if known.request.body.len() > death.request.body.len() => {
                    *known = death;
                }
                Some(_) => {}
                None => self.deaths.push(death),
            }
        }
    }

    pub(super) fn refused(&self) -> usize {
        self.requests - self.events - self.died
    }
}

/// Where a request goes that is kept as a case.
pub(super) fn free_name(suite: &Suite, case: &str) -> Option<PathBuf> {
    let folder = suite.template.parent()?.join(super::folder::CASES);
    let names = (1..1000).map(|number| folder.join(format!("{case}-stress-{number}.request.json")));
    names.into_iter().find(|path| !path.exists())
}
