//! What of a template its cases reached. In: templates and requests. Out: for each template how much of it was reached,
//! and the places that were not, in words. Needs a thread with a stack of 16 MiB.

use clap::ValueEnum;

use super::super::case::{self, Request};
use super::folder::{Case, Suite};
use super::outcome::reached;
use super::run::{Checked, Loaded, Run};
use super::verdict::{Fault, Verdict};
use crate::render::{Branch, Place, Reached};

/// Most characters of the template that are told of a place.
const WORDS_MAX_CHARS: usize = 80;

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Coverage {
    /// It is shown
    Show,
    /// What no case reached is a failure
    Full,
}

/// What of a template was reached.
#[derive(Debug, Default)]
pub(super) struct Covered {
    pub(super) branches: Count,
    pub(super) expressions: Count,
    pub(super) missed: Vec<Missed>,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) reached: usize,
    pub(super) all: usize,
}

impl Count {
    fn add(&mut self, is_reached: bool) {
        self.reached += usize::from(is_reached);
        self.all += 1;
    }
}

/// A place that no case came to.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) place: Place,
    /// What did not happen there, the words of the template among it.
    pub(super) what: String,
}

/// Adds what the cases of every suite reached.
pub(super) fn add(
    run: &mut Run,
    suites: &[Suite],
    templates: &[Option<Loaded>],
    coverage: Coverage,
) {
    for ((suite, loaded), tried) in suites.iter().zip(templates).zip(&mut run.suites) {
        let Some(Loaded { source, template: Ok(template) }) = loaded else { continue };
        let mut places: Vec<Reached> = Vec::new();
        for request in suite.cases.iter().filter_map(read) {
            let found = reached(template, &request);
            if places.is_empty() {
                places = found;
            } else {
                // Every rendering has the same places in the same order.
                for (known, one) in places.iter_mut().zip(found) {
                    known.times = known.times.saturating_add(one.times);
                }
            }
        }
        let covered = covered(source, &places);
        let count = covered.missed.len();
        if coverage == Coverage::Full && count > 0 {
            let what = format!("no case reached {count} of its places");
            let line = covered.missed.first().map(|missed| missed.place.line as usize);
            let fault = Fault::new(&suite.template, line, what);
            let verdict = Verdict::Failed(Box::new(fault));
            let (name, took) = ("coverage".to_owned(), std::time::Duration::ZERO);
            tried.cases.push(Checked { name, verdict, took });
        }
        tried.covered = Some(covered);
    }
}

fn read(case: &Case) -> Option<Request> {
    if case.there.request { case::read(&case.request).ok() } else { None }
}

fn covered(source: &str, places: &[Reached]) -> Covered {
    let mut covered = Covered::default();
    for Reached { place, branch, times } in places {
        let is_reached = *times > 0;
        match branch {
            Some(_) => covered.branches.add(is_reached),
            None => covered.expressions.add(is_reached),
        }
        if is_reached {
            continue;
        }
        let words = words(source, *place);
        let what = match branch {
            Some(Branch::Then) => format!("`{words}` never held"),
            Some(Branch::Else) => format!("`{words}` always held"),
            Some(Branch::Each) => format!("the loop `{words}` never went round"),
            Some(Branch::Empty) => format!("the loop `{words}` was never empty"),
            None => format!("`{words}` was never written"),
        };
        covered.missed.push(Missed { place: *place, what });
    }
    covered
}

/// The words of a place: of a loop, its head.
fn words(source: &str, place: Place) -> String {
    let whole = source.get(place.start..place.end).unwrap_or_default();
    let head = whole.split("%}").next().unwrap_or_default();
    let words = head.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(WORDS_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
