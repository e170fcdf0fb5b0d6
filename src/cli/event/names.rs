//! `hookgate event names`. In: the tables of the program itself. Out: every name an event of the gateway's own can
//! have, and by which act each arises. Asks no server.

use serde_json::{Value, json};

use crate::catalogue::{
    Action, DESTINATION, KINDS, NOTICES, OWN_PREFIX, REPLAYED, REQUEST, WEBHOOK,
};
use crate::cli::Form;
use crate::cli::output::{Failure, print_line};
use crate::event::RESERVED_PREFIX;
use crate::{forward, hooks};

pub(super) const EXAMPLE: &str = "\
Templates may make events of any other name. What happens to the gateway itself, such as an event that a
destination did not take, or damage in the spool, has a name under `hookgate.`: --all has those, too.

Examples:
  hookgate event names
  hookgate event names --all -o json | jq -r '.[] | [.name, .act] | @tsv'";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Those for operators, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let names = names(args.all);
    if args.form.is_json() {
        return print_line(&Value::from(names).to_string());
    }
    names.iter().try_for_each(|row| print_line(row["name"].as_str().unwrap_or_default()))
}

/// A row for each name, in the order of the tables.
fn names(operators_too: bool) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.prefix() != OWN_PREFIX) {
        all.extend(kind.actions.iter().map(|action| row(RESERVED_PREFIX, kind.name, action)));
        if kind.name == WEBHOOK.name {
            all.extend(hooks::ACTIONS.iter().map(|action| row(RESERVED_PREFIX, kind.name, action)));
        }
    }
    let notices = NOTICES.iter().map(|notice| row(RESERVED_PREFIX, notice.kind, &notice.action));
    all.extend(notices);
    if operators_too {
        let operators = DESTINATION.actions.iter().chain(forward::ACTIONS);
        all.extend(operators.map(|action| row(OWN_PREFIX, DESTINATION.name, action)));
        all.extend(forward::SPOOL_ACTIONS.iter().map(|action| row(OWN_PREFIX, "spool", action)));
        all.extend(hooks::VISITS.iter().map(|action| row(OWN_PREFIX, "subscription", action)));
        all.push(row(OWN_PREFIX, REQUEST.name, &REPLAYED));
    }
    all
}

fn row(prefix: &str, kind: &str, action: &Action) -> Value {
    json!({
        "name": format!("{prefix}{kind}.{}", action.name),
        "kind": kind,
        "action": action.name,
        "when": action.when,
        "act": action.act,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::event_names;

    #[test]
    fn each_name_stands_once_and_none_is_missing() {
        let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
        let names: Vec<String> = names(false).iter().map(name).collect();
        let all: HashSet<_> = names.iter().collect();
        assert_eq!(all.len(), names.len());
        for known in event_names() {
            assert!(all.contains(&known), "{known}");
        }
        assert!(all.contains(&"prefect-cloud.webhook.failed".to_owned()));
        let more: Vec<String> = super::names(true)[names.len()..].iter().map(name).collect();
        assert!(!more.is_empty() && more.iter().all(|name| name.starts_with("hookgate.")));
    }
}
