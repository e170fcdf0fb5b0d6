//! One request through one template. In: both. Out: the text of the event, or the failure in the words of a failed
//! event. Needs a thread with a stack of 16 MiB; a panic of the engine is a failure like others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::Time;
use crate::event::{Draft, DraftError, Reject, Stamp};
use crate::hooks::Options;
use crate::id::Uuid;
use crate::json::Fault;
use crate::render::{Diagnostic, Template};

use super::super::case::{Request, context};

/// The `error_type` of an engine that panicked; no failed event has it.
pub(super) const PANIC: &str = "panic";

/// What became of a request.
pub(super) type Outcome = Result<String, Failed>;

/// Why there is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// As in `prefect-cloud.webhook.failed`.
    pub(super) error_type: &'static str,
    pub(super) message: String,
    /// Line of the template, or of the rendered text when that is not JSON.
    pub(super) line: Option<u32>,
    /// JSON pointer into the rendered text.
    pub(super) pointer: Option<String>,
    /// What the author is told of the template.
    pub(super) diagnostic: Option<Box<Diagnostic>>,
    /// What the template rendered to, when it did.
    pub(super) rendered: Option<String>,
}

impl Failed {
    fn new(error_type: &'static str, message: String) -> Self {
        Self { error_type, message, line: None, pointer: None, diagnostic: None, rendered: None }
    }

    fn of_body(fault: &Fault) -> Self {
        Self::new("too-large", format!("body: {fault}"))
    }

    pub(super) fn of_template(told: Diagnostic) -> Self {
        let (line, message) = (told.line(), told.sentence());
        Self { line, diagnostic: Some(Box::new(told)), ..Self::new("template", message) }
    }

    fn of_draft(fault: DraftError, rendered: String) -> Self {
        let error_type = match fault.reject {
            Reject::Json => "json",
            Reject::InvalidEvent => "invalid-event",
            Reject::TooLarge => "too-large",
        };
        let DraftError { what, pointer, line, .. } = fault;
        Self { line, pointer, rendered: Some(rendered), ..Self::new(error_type, what) }
    }
}

/// Renders and checks.
pub(super) fn outcome(template: &Template, request: &Request) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| render(template, request))).unwrap_or_else(|_| {
        let message = "the template engine itself failed on this template and request";
        Err(Failed::new(PANIC, message.to_owned()))
    })
}

fn render(template: &Template, request: &Request) -> Outcome {
    let body = request.body(Options::default().json).map_err(|fault| Failed::of_body(&fault))?;
    let text = template.render(&context(request, &body)).map_err(Failed::of_template)?;
    let stamp = Stamp {
        id: Uuid::nil(),
        received: request.received.unwrap_or(Time::from_micros(0)),
        follows: Uuid::nil(),
        webhook: "{}",
        payload: &|| "{}".to_owned(),
    };
    let checked = Draft::read(&text).and_then(|draft| draft.event(&stamp).map(drop));
    match checked {
        Ok(()) => Ok(text),
        Err(fault) => Err(Failed::of_draft(fault, text)),
    }
}
