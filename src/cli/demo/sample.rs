//! What the demo sends: requests of `templates/`, built in, so that the binary shows them anywhere. In: nothing. Out:
//! HTTP requests, and the same as lines for a shell.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

macro_rules! built_in {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path))
    };
}

/// The templates, by the name of their folder.
pub(super) const TEMPLATES: &[(&str, &str)] = &[
    ("github", built_in!("github/template.j2")),
    ("stripe", built_in!("stripe/template.j2")),
    ("alertmanager", built_in!("alertmanager/template.j2")),
    ("cloudevents", built_in!("cloudevents/template.j2")),
];

/// One request of the demo.
#[derive(Debug)]
pub(super) struct Sample {
    /// The template it is for.
    pub(super) template: &'static str,
    /// What it is.
    pub(super) name: &'static str,
    /// Whether its template should fail on it.
    pub(super) fails: bool,
    text: &'static str,
}

/// What is sent, in this order.
pub(super) const SAMPLES: &[Sample] = &[
    sample("github", "push", built_in!("github/cases/push.request.json")),
    sample("github", "issue opened", built_in!("github/cases/issue-opened.request.json")),
    sample("stripe", "payment succeeded", built_in!("stripe/cases/payment-succeeded.request.json")),
    sample("alertmanager", "firing", built_in!("alertmanager/cases/firing.request.json")),
    sample("cloudevents", "binary mode", built_in!("cloudevents/cases/binary.request.json")),
    Sample {
        fails: true,
        ..sample(
            "alertmanager",
            "no alerts",
            built_in!("alertmanager/cases/no-alerts.request.json"),
        )
    },
];

const fn sample(template: &'static str, name: &'static str, text: &'static str) -> Sample {
    Sample { template, name, fails: false, text }
}

/// A request, ready to be sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Sample {
    /// The request of the file.
    pub(super) fn request(&self) -> Request {
        let file: Value = serde_json::from_str(self.text).expect("a built-in request is JSON");
        let mut headers = HeaderMap::new();
        for (name, value) in file["headers"].as_object().into_iter().flatten() {
            let name = HeaderName::try_from(name.as_str());
            let value = HeaderValue::try_from(value.as_str().unwrap_or_default());
            headers.insert(name.expect("a header's name"), value.expect("a header's value"));
        }
        let method = file["method"].as_str().and_then(|method| method.parse().ok());
        let body = match (&file["body_json"], &file["body"]) {
            (Value::Null, Value::String(text)) => text.clone(),
            (Value::Null, _) => String::new(),
            (json, _) => json.to_string(),
        };
        Request { method: method.unwrap_or(Method::POST), headers, body: body.into() }
    }

    /// A line for a shell that sends something like it.
    pub(super) fn curl(&self, address: &str) -> String {
        let request = self.request();
        let media_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mut line = format!("curl -i {address}");
        let told = |name: &HeaderName| name.as_str().starts_with("x-") || is_cloud_event(name);
        let headers = request.headers.iter().filter(|(name, _)| told(name));
        for (name, value) in headers.filter_map(|(name, value)| Some((name, value.to_str().ok()?)))
        {
            let _ = write!(line, " -H '{name}: {value}'");
        }
        let _ = write!(line, " -H 'Content-Type: {}'", media_type.unwrap_or("text/plain"));
        let short = match self.template {
            "github" => {
                r#"{"repository":{"full_name":"me/mine","name":"mine"},"sender":{"login":"me"}}"#
            }
            "stripe" => {
                r#"{"type":"charge.failed","data":{"object":{"id":"ch_1","object":"charge"}}}"#
            }
            "alertmanager" => r#"{"status":"resolved","receiver":"me","alerts":[]}"#,
            _ => r#"{"hello":"world"}"#,
        };
        let _ = write!(line, " -d '{short}'");
        line
    }
}

fn is_cloud_event(name: &HeaderName) -> bool {
    ["ce-specversion", "ce-type", "ce-source", "ce-id"].contains(&name.as_str())
}
