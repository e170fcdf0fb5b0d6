//! Which events are asked for, as flags. In: names, resources, moments. Out: the filter as the API reads it. `*` at the
//! end of a name or id means all that begin so.

use serde_json::{Map, Value, json};

use super::pair;
use crate::cli::access::{Access, Remote};
use crate::cli::moment::{Moment, moment};
use crate::cli::output::Failure;

#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct Wanted {
    /// Only events of this name; `a.*` means all that begin with `a.`; may be given again
    #[arg(long = "event", value_name = "NAME")]
    names: Vec<String>,
    /// No events of this name; may be given again
    #[arg(long = "not-event", value_name = "NAME")]
    not_names: Vec<String>,
    /// Only events about this resource; `a.*` means all that begin with `a.`; may be given again
    #[arg(long = "resource", value_name = "ID")]
    resources: Vec<String>,
    /// Only events about a resource with this label; may be given again
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Only events that name another resource in this role; may be given again
    #[arg(long, value_name = "ROLE=ID", value_parser = pair)]
    related: Vec<(String, String)>,
    /// Only events with any of these words in names, ids, labels or payload; `+word` must be there, `-word` must not,
    /// and several words in quotes stand together
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    text: Option<String>,
    /// Not before this moment: an age such as 90s, 15m, 1h, 7d, or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(in crate::cli) since: Option<Moment>,
    /// Of the whole account, not only of one workspace: audit events of the account are only there
    #[arg(long)]
    whole_account: bool,
}

impl Wanted {
    /// The gateway, and the account or workspace whose events are asked for.
    pub(in crate::cli) async fn open(&self, access: &Access) -> Result<Remote, Failure> {
        if self.whole_account { access.account().await } else { access.workspace().await }
    }

    /// The filter, but for its time.
    pub(in crate::cli) fn filter(&self) -> Map<String, Value> {
        let mut filter = Map::new();
        let (names, prefixes) = split(&self.names);
        let (not_names, not_prefixes) = split(&self.not_names);
        let event = [
            ("name", names),
            ("prefix", prefixes),
            ("exclude_name", not_names),
            ("exclude_prefix", not_prefixes),
        ];
        put(&mut filter, "event", some(event));
        let (ids, prefixes) = split(&self.resources);
        let mut resource = some([("id", ids), ("id_prefix", prefixes)]);
        let mut labels = Map::new();
        for (name, value) in &self.labels {
            let values = labels.entry(name.clone()).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(value.clone().into());
            }
        }
        put(&mut resource, "labels", labels);
        put(&mut filter, "resource", resource);
        // One entry each: an event must name all of them.
        let related: Vec<Value> = self
            .related
            .iter()
            .map(|(role, id)| json!({ "resources_in_roles": [[id, role]] }))
            .collect();
        if !related.is_empty() {
            filter.insert("related".to_owned(), related.into());
        }
        if let Some(text) = &self.text {
            filter.insert("text".to_owned(), json!({ "query": text }));
        }
        filter
    }
}

/// Whole texts, and what those that end in `*` begin with.
fn split(texts: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (mut whole, mut begun) = (Vec::new(), Vec::new());
    for text in texts {
        match text.strip_suffix('*') {
            Some(start) => begun.push(start),
            None => whole.push(text.as_str()),
        }
    }
    (whole, begun)
}

fn some<const N: usize>(lists: [(&str, Vec<&str>); N]) -> Map<String, Value> {
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lists.map(|(name, list)| (name.to_owned(), json!(list))).collect()
}

fn put(map: &mut Map<String, Value>, name: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        map.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn flags_become_the_filter_the_api_reads() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let pairs = |pairs: &[&str]| pairs.iter().map(|text| pair(text).expect("a pair")).collect();
        let wanted = Wanted {
            names: texts(&["a.b", "c.*"]),
            not_names: texts(&["*"]),
            resources: texts(&["r.1", "r.2*"]),
            labels: pairs(&["x=1", "x=2", "y=a=b"]),
            related: pairs(&["actor=u", "workspace=w"]),
            text: Some("hello -world".to_owned()),
            ..Wanted::default()
        };
        let filter = Value::from(wanted.filter());
        let expected = json!({
            "event": { "name": ["a.b"], "prefix": ["c."], "exclude_prefix": [""] },
            "resource": {
                "id": ["r.1"],
                "id_prefix": ["r.2"],
                "labels": { "x": ["1", "2"], "y": ["a=b"] },
            },
            "related": [
                { "resources_in_roles": [["u", "actor"]] },
                { "resources_in_roles": [["w", "workspace"]] },
            ],
            "text": { "query": "hello -world" },
        });
        assert_eq!(filter, expected);
        crate::filter::Filter::read(&filter, Time::from_micros(0)).expect("the API reads it");
        assert_eq!(Wanted::default().filter(), Map::new());
        for wrong in ["x", "=1", "x="] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }
}
