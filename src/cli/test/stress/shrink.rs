//! The smallest request that a template still dies of in the same way. In: a request, edits, and what becomes of it.
//! Out: the fewest edits, and the request without all that does not matter. Bounded in renderings.

use std::borrow::Cow;

use super::super::super::case::Request;
use super::super::super::form;
use super::super::super::splice::{self, Deed};
use super::edit::{Change, Edit, Target, edited};
use crate::json::Value;

/// Most renderings that one search costs.
const TRIES_MAX: usize = 2_000;
/// Texts that are short enough for anybody.
const SHORT_BYTES: usize = 64;
/// Changes that everybody understands, the plainest first.
const PLAIN: &[Change] =
    &[Change::Drop, Change::Null, Change::Empty, Change::OtherType, Change::Text(0)];

/// What is left of a request.
pub(super) struct Smallest {
    pub(super) request: Request,
    pub(super) edits: Vec<Edit>,
}

/// Searches; `dies` says whether a request is still such a one.
pub(super) fn smallest(
    request: &Request,
    edits: &[Edit],
    dies: &dyn Fn(&Request) -> bool,
) -> Smallest {
    let mut search = Search { tries: 0, dies };
    let edits = fewest(request, edits, dies);
    let mut left = edited(request, &edits);
    let names: Vec<_> = left.headers.keys().cloned().collect();
    for name in names {
        search.without(&mut left, Target::Header(name));
    }
    if form::is_form(&left) {
        for name in form::names(&left.body) {
            search.without(&mut left, Target::Field(name));
        }
    } else {
        search.thin(&mut left);
        search.shorten(&mut left);
    }
    Smallest { request: left, edits }
}

/// The fewest edits that do it.
pub(super) fn fewest(
    request: &Request,
    edits: &[Edit],
    dies: &dyn Fn(&Request) -> bool,
) -> Vec<Edit> {
    let mut edits = edits.to_vec();
    let mut place = 0;
    while place < edits.len() && edits.len() > 1 {
        let mut fewer = edits.clone();
        fewer.remove(place);
        if dies(&edited(request, &fewer)) {
            edits = fewer;
        } else {
            place += 1;
        }
    }
    if let [edit] = &mut edits[..] {
        simplify(request, edit, dies);
    }
    edits
}

/// A plainer change at the same place, if one does it: a key that is missing says more than a text from right to left.
fn simplify(request: &Request, edit: &mut Edit, dies: &dyn Fn(&Request) -> bool) {
    for change in PLAIN {
        if edit.change == *change {
            return;
        }
        let plainer = Edit { change: *change, ..edit.clone() };
        let other = edited(request, std::slice::from_ref(&plainer));
        if other != *request && dies(&other) {
            *edit = plainer;
            return;
        }
    }
}

struct Search<'a> {
    tries: usize,
    dies: &'a dyn Fn(&Request) -> bool,
}

impl Search<'_> {
    fn still(&mut self, request: &Request) -> bool {
        self.tries += 1;
        self.tries <= TRIES_MAX && (self.dies)(request)
    }

    /// Leaves something out for good, if it does not matter.
    fn without(&mut self, request: &mut Request, target: Target) -> bool {
        let fewer = edited(request, &[Edit { target, change: Change::Drop }]);
        let is_smaller = fewer.body.len() < request.body.len()
            || fewer.headers.keys_len() < request.headers.keys_len();
        let goes = is_smaller && self.still(&fewer);
        if goes {
            *request = fewer;
        }
        goes
    }

    /// Halves the long texts of a JSON body for as long as that changes nothing.
    fn shorten(&mut self, request: &mut Request) {
        let Some(document) = splice::document(&request.body) else { return };
        for path in splice::paths(&document) {
            let text = splice::find(&document, &path).and_then(Value::text);
            let Some(mut text) = text.map(Cow::into_owned) else { continue };
            while text.len() > SHORT_BYTES {
                text.truncate(text.floor_char_boundary(text.len() / 2));
                let half = serde_json::Value::from(&*text).to_string();
                let deed = Deed::Replace(&|_| half.clone());
                let Some(body) = splice::edit(&request.body, &path, &deed) else { break };
                let shorter = Request { body: body.into(), ..request.clone() };
                if !self.still(&shorter) {
                    break;
                }
                *request = shorter;
            }
        }
    }

    /// Leaves out what does not matter of a JSON body, large parts first.
    fn thin(&mut self, request: &mut Request) {
        let mut place = 1;
        while self.tries < TRIES_MAX {
            let Some(document) = splice::document(&request.body) else { return };
            let mut paths = splice::paths(&document);
            if place >= paths.len() {
                return;
            }
            if !self.without(request, Target::Value(paths.swap_remove(place))) {
                place += 1;
            }
        }
    }
}
