//! Kept requests rendered once more. In: frames, templates as they are today. Out: the event each would make, or what
//! fails, in the words of a failed event. Sends nothing; a template that is out of its mind costs its own request only.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;

use super::super::trial::BODY;
use super::capture::Captured;
use crate::api::problem::Problem;
use crate::catalogue::Fault;
use crate::event::{Draft, Event, Stamp, webhook_label};
use crate::id::{self, Uuid};
use crate::render::{self, Context, Diagnostic, Limits, More, Template};
use crate::request::{Body, HIDDEN_PATH, help};
use crate::seal::SealError;

/// What the id of an event is derived for that its request did not get when it came.
pub(super) const HEALED: &str = "event";

/// A webhook as renderings need it.
pub(super) struct Renderer {
    name: String,
    label: String,
    template: Result<Template, Diagnostic>,
    /// For how long requests are known again by its key.
    pub(super) window_seconds: i64,
}

/// Why there is no event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) error_type: &'static str,
    pub(super) line: Option<u32>,
}

impl Failure {
    fn new(error_type: &'static str, error: impl Into<String>, line: Option<u32>) -> Self {
        Self { error: error.into(), error_type, line }
    }

    /// An event's text that is no JSON, which no draft lets pass.
    pub(super) fn of_text(error: impl Into<String>) -> Self {
        Self::new("json", error, None)
    }
}

impl From<&Diagnostic> for Failure {
    fn from(fault: &Diagnostic) -> Self {
        Self::new("template", fault.sentence(), fault.line())
    }
}

impl Renderer {
    pub(super) fn new(id: Uuid, name: &str, source: &str, limits: Limits) -> Self {
        let template = Template::compile(source, limits);
        let (name, label) = (name.to_owned(), webhook_label(id, name));
        Self { name, label, template, window_seconds: 0 }
    }

    /// The same webhook with another template.
    pub(super) fn with_template(&self, source: &str, limits: Limits) -> Self {
        let (name, label) = (self.name.clone(), self.label.clone());
        let template = Template::compile(source, limits);
        Self { name, label, template, window_seconds: self.window_seconds }
    }

    /// The event of a request, under the id it was born with, or else the one id that follows from the request.
    pub(super) fn event(&self, captured: &Captured, body: &Body) -> Result<Event, Failure> {
        let template = self.template.as_ref().map_err(Failure::from)?;
        let sample = &captured.sample;
        let stamp = Stamp {
            id: captured.born().unwrap_or_else(|| id::derived(captured.id, HEALED)),
            received: sample.received.unwrap_or_default(),
            follows: captured.id,
            webhook: &self.label,
            payload: &|| help(&sample.method, &sample.headers, body),
        };
        let context = self.context(captured, body);
        let made = catch_unwind(AssertUnwindSafe(|| {
            let text = template.render(&context).map_err(|fault| Failure::from(&fault))?;
            let drafted = Draft::read(&text).and_then(|draft| draft.event(&stamp));
            drafted
                .map(|(event, _)| event)
                .map_err(|fault| Failure::new(fault.reject.name(), fault.what, fault.line))
        }));
        made.unwrap_or_else(|_| {
            let says = "the template engine failed on this template and body";
            Err(Failure::new("template", says, None))
        })
    }

    /// What is odd about the rendering of a request, whatever becomes of it.
    pub(super) fn warnings(&self, captured: &Captured, body: &Body) -> Vec<Diagnostic> {
        let template = match &self.template {
            Ok(template) => template,
            Err(fault) => return vec![fault.clone()],
        };
        let stamp = Stamp::of_trial(captured.sample.received.unwrap_or_default());
        let context = self.context(captured, body);
        let trial = catch_unwind(AssertUnwindSafe(|| template.trial(&context, &stamp)));
        trial.map_or_else(|_| Vec::new(), |trial| trial.diagnostics)
    }

    fn context<'a>(&'a self, captured: &'a Captured, body: &'a Body) -> Context<'a> {
        let sample = &captured.sample;
        let more = More {
            query: sample.query.as_deref().unwrap_or_default(),
            path: HIDDEN_PATH,
            webhook: &self.name,
            received: sample.received,
        };
        Context::new(&sample.method, &sample.headers, body).with(more)
    }
}

/// The body of a request as its template sees it.
pub(super) fn body(captured: &Captured) -> Result<Body, Failure> {
    if let Some(lost) = &captured.lost {
        return Err(Failure::new("body", format!("body: {}", unsealed(lost)), None));
    }
    if captured.is_withheld() {
        let says = "body: not kept, for nobody could tell what in it is to be redacted";
        return Err(Failure::new("body", says, None));
    }
    let body = captured.sample.body(BODY);
    body.map_err(|fault| Failure::new("body", format!("body: {fault}"), None))
}

/// Why a request does not open, and what to do.
pub(super) fn unsealed(lost: &SealError) -> String {
    match lost {
        SealError::UnknownKey { key } => format!(
            "it is sealed with key {key}, which store.key_file does not have: put the key back there"
        ),
        lost => format!("it is sealed: {lost}"),
    }
}

/// A condition that requests are chosen by: an expression over what templates see.
pub(super) struct Condition(Template);

impl Condition {
    /// Reads an expression.
    pub(super) fn new(expression: &str, limits: Limits) -> Result<Self, Problem> {
        let source = format!("{{% if ({expression}) %}}1{{% endif %}}");
        Template::compile(&source, limits).map(Self).map_err(|fault| {
            // Whoever wrote it knows of no template around it.
            let inside = render::Condition::compile(expression).err().unwrap_or(fault);
            let says = format!("Value error, no expression: {}", inside.message);
            Problem::Invalid(vec![Fault::new("value_error", &["body", "where"], says)])
        })
    }

    /// Whether it holds; nothing when it fails on a request.
    pub(super) fn holds(
        &self,
        renderer: &Renderer,
        captured: &Captured,
        body: &Body,
    ) -> Option<bool> {
        let context = renderer.context(captured, body);
        let made = catch_unwind(AssertUnwindSafe(|| self.0.render(&context)));
        made.ok()?.ok().map(|text| text == "1")
    }
}

/// Webhooks by their ids.
pub(super) type Renderers = HashMap<Uuid, Renderer>;
