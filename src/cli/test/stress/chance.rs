//! Which edits are tried. In: a request, the source of its template, a seed. Out: edits, the same for the same seed.
//! Most are at places that the template names: the others rarely matter.

use fastrand::Rng;

use super::super::super::case::Request;
use super::super::super::form;
use super::super::super::splice::{self, Step};
use super::edit::{Change, Edit, NUMBERS, TEXTS, Target};

/// Most edits of one request.
const EDITS_MAX: usize = 3;

/// The places of one request.
#[derive(Debug)]
pub(super) struct Places {
    /// Those whose name stands in the template.
    named: Vec<Target>,
    all: Vec<Target>,
}

impl Places {
    pub(super) fn of(request: &Request, source: &str) -> Self {
        let mut all: Vec<Target> = request.headers.keys().cloned().map(Target::Header).collect();
        if !request.body.is_empty() {
            all.push(Target::Body);
            if form::is_form(request) {
                all.extend(form::names(&request.body).into_iter().map(Target::Field));
            } else if let Some(document) = splice::document(&request.body) {
                all.extend(splice::paths(&document).into_iter().map(Target::Value));
            }
        }
        let lower = source.to_ascii_lowercase();
        let is_named = |target: &&Target| match target {
            Target::Body => false,
            Target::Header(name) => lower.contains(name.as_str()),
            Target::Field(name) => source.contains(name.as_str()),
            Target::Value(path) => {
                path.iter().rev().find_map(|step| match step {
                    Step::Name(name) => Some(source.contains(name.as_str())),
                    Step::Item(_) => None,
                }) == Some(true)
            }
        };
        let named = all.iter().filter(is_named).cloned().collect();
        Self { named, all }
    }

    /// One to three edits; none when there is nothing to edit.
    pub(super) fn edits(&self, rng: &mut Rng) -> Vec<Edit> {
        let count = if rng.u8(..) < 192 { 1 } else { rng.usize(2..=EDITS_MAX) };
        (0..count).filter_map(|_| self.edit(rng)).collect()
    }

    fn edit(&self, rng: &mut Rng) -> Option<Edit> {
        let places =
            if rng.u8(..) < 192 && !self.named.is_empty() { &self.named } else { &self.all };
        let target = rng.choice(places)?.clone();
        let text = Change::Text(rng.usize(..TEXTS.len()));
        let number = Change::Number(rng.usize(..NUMBERS.len()));
        let of_values = [
            Change::Null,
            Change::Empty,
            Change::OtherType,
            text,
            text,
            number,
            Change::Long,
            Change::Deep,
            Change::Drop,
            Change::Double,
        ];
        let changes: &[Change] = match &target {
            Target::Body => &[Change::Empty, Change::Cut, text],
            Target::Field(_) => &[Change::Drop, Change::Empty, text, Change::Long, Change::Double],
            Target::Header(_) => &[Change::Drop, Change::Empty, text],
            // The body as a whole has no name to be dropped or doubled; an item has none to be doubled.
            Target::Value(path) => match path.last() {
                None => &of_values[..8],
                Some(Step::Item(_)) => &of_values[..9],
                Some(Step::Name(_)) => &of_values,
            },
        };
        Some(Edit { change: *rng.choice(changes)?, target })
    }
}
