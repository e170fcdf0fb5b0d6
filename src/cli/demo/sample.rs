//! What the demo sends: requests of the gallery. In: nothing. Out: HTTP requests, and the same as lines for a shell.

use std::fmt::Write as _;

use http::HeaderName;
use http::header::CONTENT_TYPE;

use crate::cli::case::Request;
use crate::cli::gallery;
use crate::cli::output::Failure;

/// The templates, by the name of their folder.
pub(super) const TEMPLATES: &[&str] = &["github", "stripe", "alertmanager", "cloudevents"];

/// One request of the demo.
#[derive(Debug)]
pub(super) struct Sample {
    /// The template it is for.
    pub(super) template: &'static str,
    /// What it is.
    pub(super) name: &'static str,
    /// Whether its template should fail on it.
    pub(super) fails: bool,
}

/// What is sent, in this order.
pub(super) const SAMPLES: &[Sample] = &[
    sample("github", "push"),
    sample("github", "issue-opened"),
    sample("stripe", "payment-succeeded"),
    sample("alertmanager", "firing"),
    sample("cloudevents", "binary"),
    Sample { fails: true, ..sample("alertmanager", "no-alerts") },
];

const fn sample(template: &'static str, name: &'static str) -> Sample {
    Sample { template, name, fails: false }
}

impl Sample {
    /// The request of the gallery.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        gallery::sample(&format!("{}/{}", self.template, self.name))
    }

    /// A line for a shell that sends something like it.
    pub(super) fn curl(&self, address: &str) -> Result<String, Failure> {
        let request = self.request()?;
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
        Ok(line)
    }
}

fn is_cloud_event(name: &HeaderName) -> bool {
    ["ce-specversion", "ce-type", "ce-source", "ce-id"].contains(&name.as_str())
}
