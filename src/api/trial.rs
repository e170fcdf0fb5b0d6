//! Drafts of templates tried on requests: `{id}/test` and `render`. In: `{"template": …, "request": …}`, the request
//! written down as a test case is. Out: what the template saw and made, and all that is to be said of it. Nothing is
//! kept, no event leaves.

use http::StatusCode;

use super::problem::Problem;
use super::{Api, Call};
use crate::accept::Reply;
use crate::catalogue::{Effect, Fault};
use crate::event::Stamp;
use crate::json::{self, Document, Value};
use crate::parse::sample::Sample;
use crate::render::{Context, More, Template, Trial};
use crate::request::Content;

/// Bounds of the whole: a request at its own bounds fits in.
const LIMITS: json::Limits = json::Limits { depth_max: 110, nodes_max: 120_000 };
/// Bounds of the body inside, as on the way of a webhook.
pub(super) const BODY: json::Limits = json::Limits { depth_max: 100, nodes_max: 100_000 };
/// Most bytes of the body inside, as a gateway takes them unless it is told otherwise.
const BODY_MAX_BYTES: usize = 5 << 20;

/// What is to be tried.
struct Draft {
    template: Option<String>,
    sample: Sample,
}

impl Api {
    /// Renders the template that was sent, or the webhook's own, with the request that was sent.
    pub(super) async fn attempt(&self, call: &Call, content: &Content) -> Result<Reply, Problem> {
        // Where it delays no webhook; a rendering that runs already is waited for, with nothing made of the content.
        let turn = self.trials.turn().await.ok_or(Problem::Engine)?;
        let Draft { template, sample } = read(content)?;
        let webhook = match call.verb.effect {
            Effect::Test => Some(self.record(call).await?),
            _ => None,
        };
        let name = webhook.as_ref().map_or("draft", |webhook| webhook.text("name")).to_owned();
        let template = match (template, webhook) {
            (Some(template), _) => template,
            (None, Some(webhook)) => webhook.text("template").to_owned(),
            (None, None) => {
                return Err(invalid("missing", &["template"], "Field required".to_owned()));
            }
        };
        if sample.body.len() > BODY_MAX_BYTES {
            let has = sample.body.len();
            let says = format!("Value error, {has} bytes; a body has at most {BODY_MAX_BYTES}");
            return Err(invalid("value_error", &["request", "body"], says));
        }
        let body = sample.body(BODY).map_err(|fault| {
            invalid("value_error", &["request", "body"], format!("Value error, {fault}"))
        })?;
        let limits = self.options.render;
        let received = sample.received.unwrap_or_else(|| self.clock.now());
        let work = move || {
            let _turn = turn;
            let more = More {
                query: sample.query.as_deref().unwrap_or_default(),
                path: sample.path.as_deref().unwrap_or_default(),
                webhook: &name,
                received: Some(received),
            };
            let seen = Context::new(&sample.method, &sample.headers, &body).with(more);
            let trial = match Template::compile(&template, limits) {
                Ok(template) => template.trial(&seen, &Stamp::of_trial(received)),
                Err(fault) => Trial { diagnostics: vec![fault], ..Trial::default() },
            };
            trial.to_json(Some(&seen))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(text) => Ok(Reply::json(StatusCode::OK, text)),
            Err(_) => Err(Problem::Engine),
        }
    }
}

/// The body of such a call. Its request is read from its own text, so that no digit is lost.
fn read(content: &Content) -> Result<Draft, Problem> {
    let mut draft = Draft { template: None, sample: Sample::default() };
    if content.decoded.iter().all(u8::is_ascii_whitespace) {
        return Ok(draft);
    }
    let document = Document::parse(content.decoded.clone(), LIMITS);
    let document = document.map_err(|fault| {
        invalid("json_invalid", &[&fault.at.to_string()], "JSON decode error".to_owned())
    })?;
    let root = document.root();
    if root.kind() != json::Kind::Object {
        let says = "Input should be a valid dictionary".to_owned();
        return Err(invalid("dict_type", &[], says));
    }
    for (name, value) in root.members() {
        match &*name {
            "template" => draft.template = template(value)?,
            "request" => draft.sample = sample(value)?,
            other => {
                let says = "Extra inputs are not permitted".to_owned();
                return Err(invalid("extra_forbidden", &[other], says));
            }
        }
    }
    Ok(draft)
}

fn template(value: Value<'_>) -> Result<Option<String>, Problem> {
    match (value.kind(), value.text()) {
        (json::Kind::Null, _) => Ok(None),
        (_, Some(text)) => Ok(Some(text.into_owned())),
        _ => {
            let says = "Input should be a valid string".to_owned();
            Err(invalid("string_type", &["template"], says))
        }
    }
}

fn sample(value: Value<'_>) -> Result<Sample, Problem> {
    Sample::parse(value.raw())
        .map_err(|fault| invalid("value_error", &["request"], format!("Value error, {fault}")))
}

fn invalid(rule: &'static str, at: &[&str], says: String) -> Problem {
    let at: Vec<&str> = std::iter::once("body").chain(at.iter().copied()).collect();
    Problem::Invalid(vec![Fault::new(rule, &at, says)])
}
