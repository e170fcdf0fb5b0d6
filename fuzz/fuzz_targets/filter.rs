//! Filters and what they find. In: a filter, a line `----`, and an event, both JSON. Holds: no panic; a fault says
//! its rule and place; a filter is read the same each time; what the index finds by its terms is all that the filter
//! matches, and no more where the plan says that it is exact.
#![no_main]

use std::collections::HashSet;

use hookgate::clock::Time;
use hookgate::event::publish;
use hookgate::feed::terms::{of_event, plan};
use hookgate::filter::{Filter, Seen};
use hookgate::id::Uuid;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SEPARATOR: &str = "\n----\n";
/// 2026-11-28T18:00:00Z.
const NOW: Time = Time::from_micros(1_795_888_800_000_000);
const ACCOUNT: Uuid = Uuid::from_u128(1);
const WORKSPACE: Uuid = Uuid::from_u128(2);

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (asked, event) = text.split_once(SEPARATOR).unwrap_or((text, ""));
    let Ok(value) = serde_json::from_str::<Value>(asked) else { return };
    let filter = match Filter::read(&value, NOW) {
        Ok(filter) => filter,
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(|fault| !fault.rule.is_empty() && !fault.says.is_empty()));
            return;
        }
    };
    assert_eq!(Filter::read(&value, NOW).as_ref(), Ok(&filter));
    // Whatever it is, looking at it never panics.
    let bare = Seen::read(event.as_bytes()).is_some_and(|seen| filter.matches(&seen));
    // Only what was published is ever in the index, in its one form.
    let Ok(event) = publish(event, true) else { return };
    let seen = Seen::read(&event.json).expect("an event");
    let matches = filter.matches(&seen);
    assert!(!bare || matches, "its one form says what it said");
    assert!(!matches || filter.admits_name(&seen.name()));
    for workspace in [Some(WORKSPACE), None] {
        finds(&filter, &seen, workspace, matches);
    }
});

fn finds(filter: &Filter, seen: &Seen<'_>, workspace: Option<Uuid>, matches: bool) {
    let (terms, is_whole) = of_event(seen, ACCOUNT, workspace);
    let terms: HashSet<&str> = terms.split(' ').collect();
    let matches = matches && filter.admits(ACCOUNT, workspace);
    // An event with too many terms is found by its place alone, once the index knows that there are such.
    for overflows in [false, true].into_iter().filter(|overflows| *overflows || is_whole) {
        for place in [workspace, None].into_iter().take(1 + usize::from(workspace.is_some())) {
            let plan = plan(filter, ACCOUNT, place, overflows);
            let found = Question(&plan.matching).of(&terms);
            assert!(found || !matches, "not found: {plan:?} {filter:?}");
            let is_timely = seen.occurred() >= filter.since
                && filter.until.is_none_or(|until| seen.occurred() <= until);
            let is_admitted = filter.account.is_none_or(|account| account == ACCOUNT);
            if plan.is_exact && is_timely && is_admitted {
                assert_eq!(found, matches, "not exact: {plan:?} {filter:?}");
            }
        }
    }
}

/// A question over terms, as the full-text index reads it: NOT binds closest, then AND, then OR.
struct Question<'a>(&'a str);

impl Question<'_> {
    fn of(mut self, terms: &HashSet<&str>) -> bool {
        let found = self.or(terms);
        assert!(self.0.is_empty(), "a question of this form: {}", self.0);
        found
    }

    fn takes(&mut self, word: &str) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn or(&mut self, terms: &HashSet<&str>) -> bool {
        let mut found = self.and(terms);
        while self.takes(" OR ") {
            found |= self.and(terms);
        }
        found
    }

    fn and(&mut self, terms: &HashSet<&str>) -> bool {
        let mut found = self.not(terms);
        while self.takes(" AND ") {
            found &= self.not(terms);
        }
        found
    }

    fn not(&mut self, terms: &HashSet<&str>) -> bool {
        let mut found = self.one(terms);
        while self.takes(" NOT ") {
            found &= !self.one(terms);
        }
        found
    }

    fn one(&mut self, terms: &HashSet<&str>) -> bool {
        if self.takes("(") {
            let found = self.or(terms);
            assert!(self.takes(")"), "an end of the brackets: {}", self.0);
            return found;
        }
        let end = self.0.find([' ', ')']).unwrap_or(self.0.len());
        let (term, rest) = self.0.split_at(end);
        self.0 = rest;
        assert!(term.len() == 12, "a term: {term:?}");
        terms.contains(term)
    }
}
