//! Paths to verbs. In: a method and a path as they were sent. Out: the kind and verb of the table, with the path's own
//! parts, not yet checked. Both slash forms are the same path. Never a redirect.

use super::{KINDS, Kind, Scope, Verb};

/// A path that means something.
#[derive(Clone, Copy, Debug)]
pub struct Route<'p> {
    /// The kind.
    pub kind: &'static Kind,
    /// What is asked of it.
    pub verb: &'static Verb,
    /// The account as sent.
    pub account: &'p str,
    /// The workspace as sent, for kinds that live in one.
    pub workspace: Option<&'p str>,
    /// The record's id as sent, for verbs of one record.
    pub id: Option<&'p str>,
}

/// What a method and a path mean.
#[derive(Debug)]
pub enum Match<'p> {
    /// A verb.
    Found(Route<'p>),
    /// The path is known, the method is not; the methods that are.
    Methods(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Deepest path of the table, in parts.
const PARTS_MAX: usize = 8;

/// Finds the verb of a method and a path that begins with `/api/`. `HEAD` is `GET`.
#[must_use]
pub fn find<'p>(method: &str, path: &'p str) -> Match<'p> {
    let method = if method == "HEAD" { "GET" } else { method };
    let Some(rest) = path.strip_prefix("/api/") else { return Match::Nothing };
    let parts: Vec<&str> =
        rest.strip_suffix('/').unwrap_or(rest).splitn(PARTS_MAX + 1, '/').collect();
    let ["accounts", account, rest @ ..] = &parts[..] else { return Match::Nothing };
    let mut methods = Vec::new();
    for kind in KINDS {
        let (workspace, rest) = match (kind.scope, rest) {
            (Scope::Account, rest) => (None, rest),
            (Scope::Workspace, ["workspaces", workspace, rest @ ..]) => (Some(*workspace), rest),
            (Scope::Workspace, _) => continue,
        };
        let [collection, rest @ ..] = rest else { continue };
        if *collection != kind.collection {
            continue;
        }
        for verb in kind.verbs {
            let Some(id) = fit(verb.suffix, rest) else { continue };
            if verb.method == method {
                let id = (!id.is_empty()).then_some(id);
                return Match::Found(Route { kind, verb, account, workspace, id });
            }
            methods.push(verb.method);
        }
    }
    if methods.is_empty() { Match::Nothing } else { Match::Methods(methods) }
}

/// The id among parts that fit a verb's suffix; empty when the suffix has none.
fn fit<'p>(suffix: &str, parts: &[&'p str]) -> Option<&'p str> {
    let mut wanted = suffix.split('/').filter(|part| !part.is_empty());
    let mut id = "";
    for part in parts {
        match wanted.next()? {
            "{id}" if !part.is_empty() => id = part,
            word if word == *part => {}
            _ => return None,
        }
    }
    wanted.next().is_none().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> String {
        match find(method, path) {
            Match::Found(route) => {
                let id = route.id.unwrap_or("-");
                format!("{} {} {id}", route.kind.name, route.verb.name)
            }
            Match::Methods(methods) => methods.join(","),
            Match::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn both_slash_forms_and_nothing_else() {
        for (method, path, expected) in [
            ("POST", "/api/accounts/a/workspaces/w/webhooks", "webhook create -"),
            ("POST", "/api/accounts/a/workspaces/w/webhooks/", "webhook create -"),
            ("HEAD", "/api/accounts/a/workspaces/w/webhooks/", "webhook list -"),
            ("POST", "/api/accounts/a/workspaces/w/webhooks/filter/", "webhook filter -"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks/i", "webhook read i"),
            ("POST", "/api/accounts/a/workspaces/w/webhooks/i/rotate", "webhook rotate i"),
            (
                "POST",
                "/api/accounts/a/workspaces/w/webhooks/templates/validate",
                "webhook validate -",
            ),
            ("DELETE", "/api/accounts/a/workspaces/w/webhooks", "POST,GET"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks/i/rotate", "POST"),
            ("GET", "/api/accounts/a/workspaces/w", "workspace read w"),
            ("GET", "/api/accounts/a/workspaces/w/", "workspace read w"),
            ("POST", "/api/accounts/a/bots/", "service-account create -"),
            ("POST", "/api/accounts/a/bots/i/rotate_api_key", "service-account rotate i"),
            ("GET", "/api/accounts/a/webhooks", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w//webhooks", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks//", "nothing"),
            ("GET", "/api/accounts/a/", "nothing"),
            ("GET", "/api/accounts/a//", "nothing"),
            ("GET", "/api/accounts", "nothing"),
            ("GET", "/api", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks/i/rotate/x/y/z", "nothing"),
        ] {
            assert_eq!(name(method, path), expected, "{method} {path}");
        }
    }
}
