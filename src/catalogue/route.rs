//! Paths to verbs. In: a method and a path as they were sent. Out: the kind and verb of the table, with the path's own
//! parts, not yet checked. Both slash forms are the same path. Never a redirect.

use super::{KINDS, Kind, Verb};

/// A path that means something.
#[derive(Clone, Debug)]
pub struct Route<'p> {
    /// The kind.
    pub kind: &'static Kind,
    /// What is asked of it.
    pub verb: &'static Verb,
    /// What stands for the braces of the verb's path, in their order, as sent.
    pub parts: Vec<(&'static str, &'p str)>,
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

/// Finds the verb of a method and a path that begins with `/api/`. `HEAD` is `GET`. A word stands for itself before it
/// stands for an id: what can be done to a path does not depend on rows of another.
#[must_use]
pub fn find<'p>(method: &str, path: &'p str) -> Match<'p> {
    let method = if method == "HEAD" { "GET" } else { method };
    let Some(path) = path.strip_prefix("/api/") else { return Match::Nothing };
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut found: Vec<Route<'p>> = Vec::new();
    let verbs = KINDS.iter().flat_map(|kind| kind.verbs.iter().map(move |verb| (*kind, verb)));
    for (kind, verb) in verbs {
        let (base, suffix) = match verb.suffix.strip_prefix('/') {
            Some(whole) => ("", whole),
            None => (kind.base, verb.suffix),
        };
        let Some(parts) = fit(base, suffix, path) else { continue };
        let fewest = found.first().map_or(usize::MAX, |route| route.parts.len());
        if parts.len() < fewest {
            found.clear();
        }
        if parts.len() <= fewest {
            found.push(Route { kind, verb, parts });
        }
    }
    if let Some(place) = found.iter().position(|route| route.verb.method == method) {
        return Match::Found(found.swap_remove(place));
    }
    let mut methods = Vec::new();
    for route in found {
        if !methods.contains(&route.verb.method) {
            methods.push(route.verb.method);
        }
    }
    if methods.is_empty() { Match::Nothing } else { Match::Methods(methods) }
}

/// What stands for the braces, when a path has that base and suffix.
fn fit<'p>(
    base: &'static str,
    suffix: &'static str,
    path: &'p str,
) -> Option<Vec<(&'static str, &'p str)>> {
    let mut wanted = base.split('/').chain(suffix.split('/')).filter(|part| !part.is_empty());
    let mut parts = Vec::new();
    for part in path.split('/') {
        let word = wanted.next()?;
        match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) if !part.is_empty() => parts.push((name, part)),
            None if word == part => {}
            _ => return None,
        }
    }
    wanted.next().is_none().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> String {
        match find(method, path) {
            Match::Found(route) => {
                let id = route.parts.iter().find(|(name, _)| *name == "id");
                let id = id.map_or("-", |(_, id)| id);
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
            ("GET", "/api/accounts/a/workspaces/w/webhooks/filter", "POST"),
            ("GET", "/api/accounts/a/workspaces/w", "workspace read -"),
            ("GET", "/api/accounts/a/workspaces/w/", "workspace read -"),
            ("POST", "/api/accounts/a/bots/", "service-account create -"),
            ("POST", "/api/accounts/a/bots/i/rotate_api_key", "service-account rotate i"),
            ("GET", "/api/accounts/a/webhooks", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w//webhooks", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks//", "nothing"),
            ("GET", "/api/accounts/a/", "account read -"),
            ("GET", "/api/accounts/a//", "nothing"),
            ("GET", "/api/accounts", "POST"),
            ("GET", "/api", "nothing"),
            ("GET", "/api/accounts/a/workspaces/w/webhooks/i/rotate/x/y/z", "nothing"),
        ] {
            assert_eq!(name(method, path), expected, "{method} {path}");
        }
    }
}
