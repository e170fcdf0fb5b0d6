//! A trial as JSON: the one shape of the command line's `-o json` and of the API. In: a trial. Out: one object. Never a
//! number that lost digits: the event is the rendered text itself.

use serde::Serialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::Context;
use super::diagnostic::{Diagnostic, Place, Severity};
use super::trial::{Cost, Shown, Span, Trial};
use crate::request::Body;

#[derive(Serialize)]
struct Report<'t> {
    /// What the template saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Seen>,
    /// What the template made, when it is an event.
    event: Option<&'t RawValue>,
    /// What a failed event would have as `error_type`.
    error_type: Option<&'static str>,
    /// JSON pointer of the fault in the rendered text.
    pointer: Option<&'t str>,
    text: Option<&'t str>,
    diagnostics: &'t [Diagnostic],
    values: Vec<Value<'t>>,
    spans: Vec<Written>,
    cost: Costs,
}

#[derive(Serialize)]
struct Seen {
    method: String,
    headers: Map<String, serde_json::Value>,
    body: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Value<'t> {
    #[serde(flatten)]
    place: Place,
    kind: &'t str,
    text: &'t str,
    times: u32,
}

#[derive(Serialize)]
struct Written {
    output: [usize; 2],
    #[serde(flatten)]
    place: Place,
    is_value: bool,
}

#[derive(Serialize)]
struct Costs {
    steps: u64,
    text_bytes: usize,
    memory_bytes: usize,
    micros: u64,
}

impl Trial {
    /// The kind of failure, as a failed event tells it; nothing when there is an event.
    #[must_use]
    pub fn error_type(&self) -> Option<&'static str> {
        let is_error = |told: &Diagnostic| told.severity == Severity::Error;
        match &self.fault {
            Some(fault) => Some(fault.reject.name()),
            None => self.diagnostics.iter().any(is_error).then_some("template"),
        }
    }

    /// All of it as a JSON object, with what the template saw when that is asked for.
    #[must_use]
    pub fn to_json(&self, context: Option<&Context<'_>>) -> String {
        let text = self.text.as_deref();
        let event = text.filter(|_| self.event.is_some());
        let event = event.and_then(|text| serde_json::from_str(text).ok());
        let report = Report {
            context: context.map(seen),
            event,
            error_type: self.error_type(),
            pointer: self.fault.as_ref().and_then(|fault| fault.pointer.as_deref()),
            text,
            diagnostics: &self.diagnostics,
            values: self.values.iter().map(value).collect(),
            spans: self.spans.iter().map(written).collect(),
            cost: costs(&self.cost),
        };
        serde_json::to_string(&report).unwrap_or_default()
    }
}

fn seen(context: &Context<'_>) -> Seen {
    let mut headers = Map::new();
    for name in context.headers.keys() {
        let values = context.headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        headers.insert(name.as_str().to_owned(), texts.join(", ").into());
    }
    let body = match context.body {
        Body::Empty => Some(String::from("\"\"")),
        Body::Json(document) => Some(document.text().trim().to_owned()),
        Body::Text(text) => serde_json::to_string(text).ok(),
        Body::Form(fields) => {
            let fields = fields.iter().map(|(name, text)| (name.clone(), text.clone().into()));
            serde_json::to_string(&fields.collect::<Map<String, serde_json::Value>>()).ok()
        }
    };
    let body = body.and_then(|text| RawValue::from_string(text).ok());
    Seen { method: context.method.as_str().to_owned(), headers, body }
}

fn value(shown: &Shown) -> Value<'_> {
    let Shown { place, text, kind, times } = shown;
    Value { place: *place, kind, text, times: *times }
}

fn written(span: &Span) -> Written {
    let output = [span.output.start, span.output.end];
    Written { output, place: span.place, is_value: span.is_value }
}

fn costs(cost: &Cost) -> Costs {
    Costs {
        steps: cost.steps,
        text_bytes: cost.bytes,
        memory_bytes: cost.memory,
        micros: cost.time.as_micros() as u64,
    }
}
