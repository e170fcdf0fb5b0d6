//! Templates that are about to be saved. In: a source. Out: whether it compiles, and what the lints find in it: a
//! number beside the reply of a change, the whole list for who asks to validate. What only may fail is taken.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Api, Call, text};
use crate::accept::Reply;
use crate::catalogue::{Fault, Values};
use crate::render::{Diagnostic, Finding, KeyRule, Template, lint};
use crate::request::SECRET_HEADERS;

/// How many findings the saved template has; absent when there are none. What `templates/validate?warnings=true` lists.
const WARNINGS: HeaderName = HeaderName::from_static("hookgate-warnings");

impl Api {
    /// Refuses values whose template does not compile, that tell requests apart by what is no rule, or never give it a
    /// turn.
    pub(super) fn check_template(&self, values: &Values) -> Result<(), Problem> {
        if let Some(source) = values.get("template").and_then(Value::as_str) {
            self.check(source).map_err(Problem::Template)?;
        }
        let wrong = |field: &str, says: String| {
            let says = format!("Value error, {says}");
            Problem::Invalid(vec![Fault::new("value_error", &["body", field], says)])
        };
        if values.get("dedup_window_seconds").and_then(Value::as_u64) == Some(0) {
            return Err(wrong("dedup_window_seconds", "a window has at least 1 second".to_owned()));
        }
        if values.get("weight").and_then(Value::as_u64) == Some(0) {
            return Err(wrong("weight", "a turn has at least 1 event".to_owned()));
        }
        let Some(rule) = values.get("dedup_key").and_then(Value::as_str) else { return Ok(()) };
        if SECRET_HEADERS.iter().any(|secret| rule.trim().eq_ignore_ascii_case(secret.as_str())) {
            let says = format!("{} goes no further than the gateway's door", rule.trim());
            return Err(wrong("dedup_key", format!("{says}: name a header of the request itself")));
        }
        let rule = KeyRule::compile(rule, self.options.render).map(drop);
        rule.map_err(|fault| wrong("dedup_key", fault.sentence()))
    }

    /// Whether a template compiles.
    fn check(&self, source: &str) -> Result<(), Box<Diagnostic>> {
        Template::compile(source, self.options.render).map(drop).map_err(Box::new)
    }

    /// How much the lints find in the template among the values.
    pub(super) fn warnings(&self, call: &Call, values: &Values) -> usize {
        let source = values.get("template").and_then(Value::as_str);
        let found = source.and_then(|source| lint(source, self.options.render).ok());
        let found = found.unwrap_or_default();
        if !found.is_empty() {
            let codes: Vec<&str> = found.iter().map(|finding| finding.told.code.name()).collect();
            let id = call.id().map(|id| id.to_string()).unwrap_or_default();
            tracing::info!(id, codes = codes.join(","), "a template has warnings");
        }
        found.len()
    }

    /// Whether a template, sent as a JSON string, would be taken. With `?warnings=true` also what is found in one that
    /// would.
    pub(super) fn validate(&self, body: Option<&Value>, query: &str) -> Result<Reply, Problem> {
        let Some(source) = body.and_then(Value::as_str) else {
            let (rule, says) = match body {
                None => ("missing", "Field required"),
                Some(_) => ("string_type", "Input should be a valid string"),
            };
            return Err(Problem::Invalid(vec![Fault::new(rule, &["body"], says)]));
        };
        if let Err(fault) = self.check(source) {
            let told = json!({"error": {
                "line": fault.line(), "message": fault.sentence(), "source": source,
                "diagnostics": [fault],
            }});
            return Ok(Reply::json(StatusCode::UNPROCESSABLE_ENTITY, told.to_string()));
        }
        // Clients of Prefect know only the empty reply.
        if text::find(query, "warnings").is_none_or(|asked| asked != "true") {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        let found = lint(source, self.options.render).unwrap_or_default();
        let told: Vec<Value> = found.iter().map(warning).collect();
        Ok(Reply::json(StatusCode::OK, json!({ "warnings": told }).to_string()))
    }
}

/// A finding with its ways to be mended: bytes of the source, and what to put there.
fn warning(finding: &Finding) -> Value {
    let mut told = serde_json::to_value(&finding.told).unwrap_or_default();
    let edits = finding.fixes.iter();
    told["fixes"] = edits
        .map(|edit| json!({"start": edit.start, "end": edit.end, "text": edit.text}))
        .collect();
    told
}

/// The reply of a change, with the number of findings in its template.
pub(super) fn with_warnings(mut reply: Reply, warnings: usize) -> Reply {
    if warnings > 0 {
        reply.headers.insert(WARNINGS, HeaderValue::from(warnings));
    }
    reply
}
