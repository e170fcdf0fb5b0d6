//! What is not kept of a request. In: paths, a body, names and a query, in words that meet often. Holds, by a model
//! that tries each path at each value: what a path means is cut, whole, and nothing else; numbers keep their digits;
//! cut once is cut; of a form or query, the values of those names and no others.
#![no_main]

use std::fmt::Write as _;

use arbitrary::Arbitrary;
use bytes::Bytes;
use hookgate::json::Limits;
use hookgate::parse::redact::{Keep, REDACTED, RULES_MAX, Rules};
use hookgate_fuzz::tree::Tree;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const LIMITS: Limits = Limits { depth_max: 100, nodes_max: 100_000 };
/// Deeper ones would be no other.
const DEPTH_MAX: usize = 12;
const WORDS: [&str; 8] = ["a", "b", "token", "naïve", "a b", "x.y", "0", ""];

/// What the fuzzer decides.
#[derive(Arbitrary, Debug)]
struct Story {
    paths: Vec<Vec<Step>>,
    body: Node,
    names: Vec<u8>,
    fields: Vec<(u8, Vec<u8>)>,
    /// Paths and a body as strangers may write them.
    raw: Option<(Vec<String>, String)>,
}

#[derive(Arbitrary, Debug)]
struct Step {
    is_deep: bool,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Name(u8),
    Place(u8),
    Any,
}

#[derive(Arbitrary, Debug)]
enum Node {
    Null,
    Number(i16),
    Text(u8),
    List(Vec<Node>),
    Object(Vec<(u8, Node)>),
}

/// From a value to one inside it.
#[derive(Clone)]
enum Turn {
    Name(String),
    Place(usize),
}

fuzz_target!(|story: Story| {
    let paths: Vec<&[Step]> = story.paths.iter().map(|path| &path[..path.len().min(16)]).collect();
    let paths = &paths[..paths.len().min(RULES_MAX)];
    let texts: Vec<String> = paths.iter().map(|path| written(path)).collect();
    let mut body = String::new();
    write_node(&mut body, &story.body, 0);
    if let Some(rules) = read(&texts) {
        let kept = cut(&rules, "application/json", &body);
        let tree = Tree::read(&body).expect("it was written as JSON");
        let mut expected = tree.clone();
        model(&mut expected, &mut Vec::new(), paths);
        match &kept {
            Keep::Same => assert_eq!(tree, expected, "{texts:?} {body}"),
            Keep::Cut(kept) => {
                let kept = std::str::from_utf8(kept).expect("text");
                let found = Tree::read(kept);
                assert_eq!(found.as_ref(), Some(&expected), "{texts:?} {body}\n{kept}");
                if let Keep::Cut(again) = cut(&rules, "application/json", kept) {
                    assert_eq!(again, kept.as_bytes(), "cut again");
                }
            }
            Keep::Withheld => panic!("JSON is read: {body}"),
        }
    }
    fields(&story.names, &story.fields);
    if let Some((paths, body)) = &story.raw {
        if let Some(rules) = read(paths) {
            let _ = cut(&rules, "application/json", body);
            let _ = cut(&rules, "application/x-www-form-urlencoded", body);
            let _ = rules.cut_query(body);
        }
    }
});

/// Rules for a body; those that were read are read again in their one form.
fn read(paths: &[String]) -> Option<Rules> {
    let rules = Rules::read(&json!({ "body": paths })).ok()?;
    assert_eq!(Rules::read(&rules.to_value()).as_ref(), Ok(&rules));
    Some(rules)
}

fn cut(rules: &Rules, media_type: &'static str, body: &str) -> Keep {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
    rules.cut_body(&Method::POST, &headers, &Bytes::copy_from_slice(body.as_bytes()), LIMITS)
}

fn word(which: u8) -> &'static str {
    WORDS[usize::from(which) % WORDS.len()]
}

fn written(path: &[Step]) -> String {
    let mut text = "$".to_owned();
    for Step { is_deep, what } in path {
        text.push_str(if *is_deep { ".." } else { "" });
        let _ = match what {
            What::Name(which) => write!(text, "['{}']", word(*which)),
            What::Place(place) => write!(text, "[{}]", place % 4),
            What::Any => write!(text, "[*]"),
        };
    }
    text
}

fn write_node(out: &mut String, node: &Node, depth: usize) {
    match node {
        _ if depth > DEPTH_MAX => out.push_str("null"),
        Node::Null => out.push_str("null"),
        // A form that a reader of numbers would not write.
        Node::Number(number) => drop(write!(out, " {number}.50e1 ")),
        Node::Text(which) => out.push_str(&Value::from(word(*which)).to_string()),
        Node::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                write_node(out, item, depth + 1);
            }
            out.push(']');
        }
        Node::Object(members) => {
            out.push('{');
            for (place, (name, value)) in members.iter().enumerate() {
                out.push_str(if place > 0 { " , " } else { "" });
                out.push_str(&Value::from(word(*name)).to_string());
                out.push(':');
                write_node(out, value, depth + 1);
            }
            out.push('}');
        }
    }
}

/// Cuts what a path means, each value on its own.
fn model(value: &mut Tree, trail: &mut Vec<Turn>, paths: &[&[Step]]) {
    if paths.iter().any(|path| means(path, trail)) {
        *value = Tree::Text(REDACTED.to_owned());
        return;
    }
    match value {
        Tree::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                trail.push(Turn::Place(place));
                model(item, trail, paths);
                trail.pop();
            }
        }
        Tree::Object(members) => {
            for (name, inner) in members.iter_mut() {
                trail.push(Turn::Name(name.clone()));
                model(inner, trail, paths);
                trail.pop();
            }
        }
        _ => {}
    }
}

fn means(path: &[Step], trail: &[Turn]) -> bool {
    let Some((step, steps)) = path.split_first() else { return trail.is_empty() };
    let Some((turn, turns)) = trail.split_first() else { return false };
    let fits = match (&step.what, turn) {
        (What::Any, _) => true,
        (What::Name(which), Turn::Name(name)) => word(*which) == name,
        (What::Place(place), Turn::Place(at)) => usize::from(place % 4) == *at,
        _ => false,
    };
    fits && means(steps, turns) || step.is_deep && means(path, turns)
}

/// A query and a form of the same fields.
fn fields(names: &[u8], fields: &[(u8, Vec<u8>)]) {
    let names: Vec<&str> = names.iter().take(RULES_MAX).map(|name| word(*name)).collect();
    let Ok(rules) = Rules::read(&json!({ "query": names })) else { return };
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        text.append_pair(word(*name), &String::from_utf8_lossy(value));
    }
    let text = text.finish();
    let pairs = |text: &str| -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    };
    let mut expected = pairs(&text);
    for (_, value) in expected.iter_mut().filter(|(name, _)| names.contains(&name.as_str())) {
        *value = REDACTED.to_owned();
    }
    let kept = rules.cut_query(&text);
    assert_eq!(pairs(kept.as_deref().unwrap_or(&text)), expected, "{names:?} {text}");
}
