//! The smallest request that a template still dies of in the same way. In: a request, edits, and what becomes of it.
//! Out: the fewest edits, and the request without all that does not matter. Bounded in renderings.

use super::super::super::case::Request;
use super::super::super::form;
use super::super::super::splice;
use super::edit::{Change, Edit, Target, edited};

/// Most renderings that one search costs.
const TRIES_MAX: usize = 2_000;

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
    edits
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
