//! Who may want an event: by its name, or by its resource when no name is asked for. In: filters of those that sleep;
//! a name, an id. Out: all that want it and perhaps some more: the whole filter decides. The time that takes grows with
//! those found, not with those there.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::filter::Filter;
use crate::id::Uuid;

/// Those that want a name, or what begins with it.
type Wanting = HashMap<String, HashSet<Uuid>>;

/// Names and who wants them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Who wants events of any name.
    any: HashSet<Uuid>,
    exact: Wanting,
    begins: Wanting,
    /// Who asks for a resource, whatever the event's name.
    resources: Wanting,
    /// How many beginnings have that length, in bytes.
    lengths: BTreeMap<usize, usize>,
}

/// What a filter asks for; nothing: any.
#[derive(Default)]
struct Asked<'a> {
    exact: Vec<&'a str>,
    begins: Vec<&'a str>,
    resources: &'a [String],
}

/// Names that a filter asks for, and beginnings of them, or else resources.
fn asked(filter: Option<&Filter>) -> Asked<'_> {
    let Some(Filter { names, resource, .. }) = filter else { return Asked::default() };
    let mut exact = Vec::new();
    // An event must match both lists: one of them is enough to find all that may.
    let mut begins: Vec<&str> = match names.name.as_slice() {
        [] => names.prefix.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    for name in &names.name {
        match name.strip_suffix('*') {
            Some(beginning) => begins.push(beginning),
            None => exact.push(name.as_str()),
        }
    }
    let resources = if exact.is_empty() && begins.is_empty() { &resource.id[..] } else { &[] };
    Asked { exact, begins, resources }
}

impl Index {
    /// One more.
    pub(super) fn add(&mut self, id: Uuid, filter: Option<&Filter>) {
        let Asked { exact, begins, resources } = asked(filter);
        if exact.is_empty() && begins.is_empty() && resources.is_empty() {
            self.any.insert(id);
        }
        for resource in resources {
            self.resources.entry(resource.clone()).or_default().insert(id);
        }
        for name in exact {
            self.exact.entry(name.to_owned()).or_default().insert(id);
        }
        for name in begins {
            let wanting = self.begins.entry(name.to_owned()).or_default();
            if wanting.is_empty() {
                *self.lengths.entry(name.len()).or_default() += 1;
            }
            wanting.insert(id);
        }
    }

    /// One less, of the filter it came with.
    pub(super) fn remove(&mut self, id: Uuid, filter: Option<&Filter>) {
        let Asked { exact, begins, resources } = asked(filter);
        self.any.remove(&id);
        for resource in resources {
            take(&mut self.resources, resource, id);
        }
        for name in exact {
            take(&mut self.exact, name, id);
        }
        for name in begins {
            if take(&mut self.begins, name, id)
                && let Some(count) = self.lengths.get_mut(&name.len())
            {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&name.len());
                }
            }
        }
    }

    /// Whether the name of an event says all there is to say.
    pub(super) fn needs_name_only(&self) -> bool {
        self.resources.is_empty()
    }

    /// Those that may want an event of that resource; one of them may be given twice.
    pub(super) fn find_resource(&self, id: &str, found: &mut Vec<Uuid>) {
        found.extend(self.resources.get(id).into_iter().flatten());
    }

    /// Those that may want an event of that name; one of them may be given twice.
    pub(super) fn find(&self, name: &str, found: &mut Vec<Uuid>) {
        found.extend(&self.any);
        found.extend(self.exact.get(name).into_iter().flatten());
        for length in self.lengths.keys().take_while(|length| **length <= name.len()) {
            let wanting = name.get(..*length).and_then(|beginning| self.begins.get(beginning));
            found.extend(wanting.into_iter().flatten());
        }
    }
}

/// Takes one away; whether nobody is left for the name.
fn take(from: &mut Wanting, name: &str, id: Uuid) -> bool {
    let Some(wanting) = from.get_mut(name) else { return false };
    wanting.remove(&id);
    let is_last = wanting.is_empty();
    if is_last {
        from.remove(name);
    }
    is_last
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Time;

    fn filter(names: &Value) -> Filter {
        Filter::read(&json!({ "event": names }), Time::default()).expect("a filter")
    }

    #[test]
    fn a_name_finds_all_that_want_it_and_few_others() {
        let filters = [
            json!({}),
            json!({"name": ["shop.paid"]}),
            json!({"name": ["shop.*", "mill.ground"]}),
            json!({"prefix": ["shop", "shop.p"]}),
            json!({"prefix": ["mill."], "name": ["shop.paid"]}),
            json!({"exclude_name": ["shop.paid"]}),
            json!({"name": ["*"]}),
        ];
        let mut filters: Vec<_> = filters.iter().map(filter).collect();
        for (names, ids) in [(json!({}), ["r.1", "r.2"]), (json!({"name": ["x"]}), ["r.1", "r.3"])]
        {
            let value = json!({"event": names, "resource": {"id": ids}});
            filters.push(Filter::read(&value, Time::default()).expect("a filter"));
        }
        let mut index = Index::default();
        let id = |place: usize| Uuid::from_u128(place as u128);
        for (place, filter) in filters.iter().enumerate() {
            index.add(id(place), Some(filter));
        }
        index.add(id(9), None);
        let of_resource = |index: &Index, resource: &str| {
            let mut found = Vec::new();
            index.find_resource(resource, &mut found);
            found.iter().map(Uuid::as_u128).collect::<Vec<_>>()
        };
        assert_eq!(of_resource(&index, "r.1"), [7]);
        assert_eq!(of_resource(&index, "r.3"), [0u128; 0], "its name finds it");
        assert!(!index.needs_name_only());
        let find = |index: &Index, name: &str| {
            let mut found = Vec::new();
            index.find(name, &mut found);
            let mut found: Vec<_> = found.iter().map(Uuid::as_u128).collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        assert_eq!(find(&index, "shop.paid"), [0, 1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(find(&index, "shop.sent"), [0, 2, 3, 5, 6, 9]);
        assert_eq!(find(&index, "mill.ground"), [0, 2, 5, 6, 9]);
        assert_eq!(find(&index, "shö"), [0, 5, 6, 9]);
        assert_eq!(find(&index, "x"), [0, 5, 6, 8, 9]);
        for (place, filter) in filters.iter().enumerate() {
            index.remove(id(place), Some(filter));
        }
        assert_eq!(find(&index, "shop.paid"), [9]);
        index.remove(id(9), None);
        assert!(index.needs_name_only());
        let Index { any, exact, begins, lengths, .. } = index;
        assert!(any.is_empty() && exact.is_empty() && begins.is_empty() && lengths.is_empty());
    }
}
