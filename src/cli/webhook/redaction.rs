//! What is not kept of requests, as flags. In: names of headers, paths into bodies, names of a query. Out: a member
//! of a body, and words for people.

use serde_json::{Value, json};

/// What is not kept of its requests.
#[derive(Debug, clap::Args)]
pub(super) struct Redaction {
    /// Keep [redacted] instead of a header's value, here and in events; the template has the true one. Several count
    /// at once
    #[arg(id = "redact_header", long = "redact-header", value_name = "HEADER")]
    header: Vec<String>,
    /// Keep [redacted] instead of what a path of the body names: `$.card.number`, `$.items[*].secret`, `$..token`; in
    /// forms the field that its first step names. A body that cannot be read is not kept then
    #[arg(id = "redact_body", long = "redact-body", value_name = "PATH")]
    body: Vec<String>,
    /// Keep [redacted] instead of a value of the query
    #[arg(id = "redact_query", long = "redact-query", value_name = "NAME")]
    query: Vec<String>,
}

impl Redaction {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        self.parts().iter().any(|(_, said)| !said.is_empty())
    }

    /// Puts what is said into a body; parts that are not said stay as the webhook has them.
    pub(super) fn fill(&self, body: &mut Value, webhook: &Value) {
        if !self.is_said() {
            return;
        }
        let mut rules = json!({});
        for (part, said) in self.parts() {
            rules[part] =
                if said.is_empty() { webhook["redact"][part].clone() } else { json!(said) };
        }
        body["redact"] = rules;
    }

    fn parts(&self) -> [(&'static str, &Vec<String>); 3] {
        [("headers", &self.header), ("body", &self.body), ("query", &self.query)]
    }
}

/// What is not kept, in words; nothing when all is.
pub(super) fn told(webhook: &Value) -> String {
    let parts = [("headers", "header"), ("body", "body"), ("query", "query")];
    let all = parts.iter().flat_map(|(part, word)| {
        let listed = webhook["redact"][part].as_array().into_iter().flatten();
        listed.filter_map(Value::as_str).map(move |name| format!("{word} {name}"))
    });
    all.collect::<Vec<_>>().join(", ")
}

/// What was not kept of a request, in words; nothing when all was.
pub(in crate::cli) fn told_of(request: &Value) -> String {
    let redacted = &request["redacted"];
    let places = redacted["places"].as_array().into_iter().flatten();
    let mut told: Vec<String> = places.filter_map(Value::as_str).map(str::to_owned).collect();
    if redacted["body_withheld"] == true {
        told.push("the whole body, which could not be read".to_owned());
    }
    match (redacted.is_object(), told.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "by its webhook's rules".to_owned(),
        (true, false) => told.join(", "),
    }
}
