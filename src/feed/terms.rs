//! What the index finds events by. In: an event, or a filter. Out: terms, and the question over terms that all events
//! have which the filter matches: never fewer, sometimes more, so each event found is looked at once more. A term is
//! a hash of what it stands for: of one length, whatever strangers call their things.

use std::fmt::Write as _;

use crate::filter::{Filter, Names, Seen, Wanted};
use crate::id::Uuid;

/// Most terms of one event; one that would have more is found by every question instead.
const TERMS_MAX: usize = 256;
/// Most beginnings of one text that are terms: those that end with a dot.
const BEGINNINGS_MAX: usize = 4;
/// Bits of a term: 12 characters of 5.
const TERM_CHARS: u32 = 12;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a term stands for.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Sort {
    Account = 1,
    Workspace,
    Name,
    NameBeginning,
    Id,
    IdBeginning,
    Label,
    RelatedId,
    Role,
    RelatedLabel,
    /// Stands for everything.
    Any,
}

/// A text's hash, for sets of texts.
pub(super) fn hash(text: &str) -> u64 {
    digest(Sort::Id, [text.as_bytes(), b""])
}

fn digest(sort: Sort, parts: [&[u8]; 2]) -> u64 {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(&[sort as u8]);
    digest.update(&(parts[0].len() as u64).to_le_bytes());
    digest.update(parts[0]);
    digest.update(parts[1]);
    let hash = digest.finish();
    hash.as_ref().iter().take(8).fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

fn term(sort: Sort, parts: [&[u8]; 2]) -> String {
    let mut bits = digest(sort, parts);
    let mut text = String::with_capacity(TERM_CHARS as usize);
    for _ in 0..TERM_CHARS {
        text.push(char::from(DIGITS[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

fn of(sort: Sort, text: &str) -> String {
    term(sort, [text.as_bytes(), b""])
}

/// Its first beginnings that end with a dot, the shortest first.
fn beginnings(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends: Vec<usize> =
        text.match_indices('.').take(BEGINNINGS_MAX).map(|(at, _)| at + 1).collect();
    ends.into_iter().map(|end| &text[..end])
}

/// The terms of an event of a place, with spaces between; and whether that is all of them.
#[must_use]
pub fn of_event(seen: &Seen<'_>, account: Uuid, workspace: Option<Uuid>) -> (String, bool) {
    let mut list = vec![
        term(Sort::Account, [account.as_bytes(), b""]),
        term(Sort::Workspace, [workspace.unwrap_or_default().as_bytes(), account.as_bytes()]),
    ];
    let name = seen.name();
    list.push(of(Sort::Name, &name));
    list.extend(beginnings(&name).map(|text| of(Sort::NameBeginning, text)));
    let own = seen.resource();
    let id = own.id();
    list.push(of(Sort::Id, &id));
    list.extend(beginnings(&id).map(|text| of(Sort::IdBeginning, text)));
    let is_whole = add_labels(&mut list, seen);
    if !is_whole {
        list.push(of(Sort::Any, ""));
    }
    list.sort_unstable();
    list.dedup();
    (list.join(" "), is_whole)
}

fn add_labels(list: &mut Vec<String>, seen: &Seen<'_>) -> bool {
    for (label, value) in seen.resource().labels() {
        if list.len() >= TERMS_MAX {
            return false;
        }
        if label != "prefect.resource.id" {
            list.push(term(Sort::Label, [label.as_bytes(), value.as_bytes()]));
        }
    }
    for related in seen.related() {
        for (label, value) in related.labels() {
            if list.len() >= TERMS_MAX {
                return false;
            }
            list.push(match &*label {
                "prefect.resource.id" => of(Sort::RelatedId, &value),
                "prefect.resource.role" => of(Sort::Role, &value),
                label => term(Sort::RelatedLabel, [label.as_bytes(), value.as_bytes()]),
            });
        }
    }
    true
}

/// A question over terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The question.
    pub matching: String,
    /// Whether it finds no more than the filter matches, but for the moment.
    pub is_exact: bool,
}

impl Plan {
    /// The same, only for events whose own resource has that id.
    pub(super) fn and_resource(&self, id: &str) -> Self {
        let matching = format!("({}) AND {}", self.matching, of(Sort::Id, id));
        Self { matching, is_exact: self.is_exact }
    }
}

/// One demand: some of these terms. `None`: it cannot be said in terms.
struct Demand {
    terms: Vec<String>,
    is_exact: bool,
}

/// The question that finds what a filter matches in a place; without a workspace that is all of the account.
/// `overflows` says whether there are events that have more terms than the index took.
#[must_use]
pub fn plan(filter: &Filter, account: Uuid, workspace: Option<Uuid>, overflows: bool) -> Plan {
    let place = match workspace {
        Some(id) => term(Sort::Workspace, [id.as_bytes(), account.as_bytes()]),
        None => term(Sort::Account, [account.as_bytes(), b""]),
    };
    let mut plan = Plan { matching: place, is_exact: !overflows };
    let mut demands = Vec::new();
    let mut add = |demand: Option<Demand>| match demand {
        Some(demand) => demands.push(demand),
        None => plan.is_exact = false,
    };
    if !filter.workspaces.is_empty() {
        let of = |id: &Uuid| term(Sort::Workspace, [id.as_bytes(), account.as_bytes()]);
        add(Some(Demand { terms: filter.workspaces.iter().map(of).collect(), is_exact: true }));
    }
    names(&filter.names, &mut add);
    own(&filter.resource, &mut add);
    for wanted in &filter.related {
        related(wanted, &mut add);
    }
    for wanted in &filter.any {
        any(wanted, &mut add);
    }
    let beside = filter.distinct || filter.text.is_some() || !filter.ids.is_empty();
    plan.is_exact &= !beside && demands.iter().all(|demand| demand.is_exact);
    for demand in demands {
        plan.matching.push_str(" AND (");
        let any = overflows.then(|| of(Sort::Any, ""));
        for (place, term) in demand.terms.into_iter().chain(any).enumerate() {
            let or = if place > 0 { " OR " } else { "" };
            let _ = write!(plan.matching, "{or}{term}");
        }
        plan.matching.push(')');
    }
    let excluded = excluded(&filter.names);
    match excluded {
        Some(terms) if !terms.is_empty() => {
            plan.matching = format!("({}) NOT ({})", plan.matching, terms.join(" OR "));
        }
        Some(_) => {}
        None => plan.is_exact = false,
    }
    plan
}

/// The term of the longest beginning that a prefix shares with all it begins, and whether it is the prefix itself.
fn beginning(sort: Sort, prefix: &str) -> Option<(String, bool)> {
    let longest = beginnings(prefix).next_back()?;
    Some((of(sort, longest), longest.len() == prefix.len()))
}

/// One of several prefixes.
fn prefixes(sort: Sort, list: &[String]) -> Option<Demand> {
    let mut demand = Demand { terms: Vec::new(), is_exact: true };
    for prefix in list {
        let (term, is_exact) = beginning(sort, prefix)?;
        demand.terms.push(term);
        demand.is_exact &= is_exact;
    }
    Some(demand)
}

fn texts(sort: Sort, list: &[String]) -> Demand {
    Demand { terms: list.iter().map(|text| of(sort, text)).collect(), is_exact: true }
}

/// A name, or its beginning before a `*`.
fn name(wanted: &str) -> Option<(String, bool)> {
    match wanted.strip_suffix('*') {
        Some(prefix) => beginning(Sort::NameBeginning, prefix),
        None => Some((of(Sort::Name, wanted), true)),
    }
}

fn names(names: &Names, add: &mut impl FnMut(Option<Demand>)) {
    if !names.prefix.is_empty() {
        add(prefixes(Sort::NameBeginning, &names.prefix));
    }
    if !names.name.is_empty() {
        let found: Option<Vec<_>> = names.name.iter().map(|wanted| name(wanted)).collect();
        add(found.map(|found| Demand {
            is_exact: found.iter().all(|(_, is_exact)| *is_exact),
            terms: found.into_iter().map(|(term, _)| term).collect(),
        }));
    }
}

/// The terms that no event may have; `None` when what is excluded is not quite what terms say.
fn excluded(names: &Names) -> Option<Vec<String>> {
    let prefixes = names.exclude_prefix.iter().map(|p| beginning(Sort::NameBeginning, p));
    let exact = names.exclude_name.iter().map(|wanted| name(wanted));
    prefixes.chain(exact).map(|term| term.filter(|(_, exact)| *exact).map(|(t, _)| t)).collect()
}

fn own(wanted: &Wanted, add: &mut impl FnMut(Option<Demand>)) {
    if !wanted.id.is_empty() {
        add(Some(texts(Sort::Id, &wanted.id)));
    }
    if !wanted.id_prefix.is_empty() {
        add(prefixes(Sort::IdBeginning, &wanted.id_prefix));
    }
    labels(wanted, &[(Sort::Label, Sort::Id)], add);
}

/// What one related resource must be: said of all of them together, so only a single demand is exact.
fn related(wanted: &Wanted, add: &mut impl FnMut(Option<Demand>)) {
    let facets = usize::from(!wanted.id.is_empty())
        + usize::from(!wanted.role.is_empty())
        + 2 * usize::from(!wanted.pairs.is_empty())
        + wanted.labels.0.len();
    let mut add = |demand: Option<Demand>| {
        add(demand.map(|demand| Demand { is_exact: demand.is_exact && facets == 1, ..demand }));
    };
    if !wanted.id.is_empty() {
        add(Some(texts(Sort::RelatedId, &wanted.id)));
    }
    if !wanted.role.is_empty() {
        add(Some(texts(Sort::Role, &wanted.role)));
    }
    if !wanted.pairs.is_empty() {
        let ids: Vec<String> = wanted.pairs.iter().map(|(id, _)| id.clone()).collect();
        add(Some(texts(Sort::RelatedId, &ids)));
    }
    labels(wanted, &[(Sort::RelatedLabel, Sort::RelatedId)], &mut add);
}

fn any(wanted: &Wanted, add: &mut impl FnMut(Option<Demand>)) {
    let facets = wanted.labels.0.len() + usize::from(!wanted.id.is_empty());
    let mut add = |demand: Option<Demand>| {
        add(demand.map(|demand| Demand { is_exact: demand.is_exact && facets == 1, ..demand }));
    };
    if !wanted.id.is_empty() {
        let mut demand = texts(Sort::Id, &wanted.id);
        demand.terms.extend(texts(Sort::RelatedId, &wanted.id).terms);
        add(Some(demand));
    }
    if !wanted.id_prefix.is_empty() {
        // Related resources have no beginnings among the terms.
        add(None);
    }
    let sorts = [(Sort::Label, Sort::Id), (Sort::RelatedLabel, Sort::RelatedId)];
    labels(wanted, &sorts, &mut add);
}

/// Labels that must have one of several values; patterns cannot be said in terms. An id is a label too.
fn labels(wanted: &Wanted, sorts: &[(Sort, Sort)], add: &mut impl FnMut(Option<Demand>)) {
    for (label, patterns) in &wanted.labels.0 {
        let values: Option<Vec<String>> =
            patterns.iter().map(crate::filter::Pattern::exact).collect();
        let values = values.filter(|values| !values.is_empty() && label != "prefect.resource.role");
        add(values.map(|values| {
            let mut terms = Vec::new();
            for value in &values {
                terms.extend(sorts.iter().map(|&(other, id)| match &**label {
                    "prefect.resource.id" => of(id, value),
                    label => term(other, [label.as_bytes(), value.as_bytes()]),
                }));
            }
            Demand { terms, is_exact: true }
        }));
    }
}
