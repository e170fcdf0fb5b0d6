//! One request through one template. In: both. Out: the text of the event, or the failure in the words of a failed
//! event. Needs a thread with a stack of 16 MiB; a panic of the engine is a failure like others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::event::{Draft, DraftError};
use crate::json::Fault;
use crate::render::{Cause, Context, Diagnostic, Reached, Template};

use super::super::case::{Request, context};
use super::super::stage;

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
    /// All that can be said of it; only the error itself when it is not explained.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What the template rendered to, when it did.
    pub(super) rendered: Option<String>,
}

impl Failed {
    fn new(error_type: &'static str, message: String) -> Self {
        Self {
            error_type,
            message,
            line: None,
            pointer: None,
            diagnostics: Vec::new(),
            rendered: None,
        }
    }

    fn of_body(fault: &Fault) -> Self {
        Self::new("too-large", format!("body: {fault}"))
    }

    /// A template that does not parse.
    pub(super) fn of_template(told: &Diagnostic) -> Self {
        Self { diagnostics: vec![told.clone()], ..Self::of_rendering(told) }
    }

    fn of_rendering(told: &Diagnostic) -> Self {
        Self { line: told.line(), ..Self::new("template", told.sentence()) }
    }

    fn of_draft(fault: DraftError, rendered: String) -> Self {
        let error_type = fault.reject.name();
        let DraftError { what, pointer, line, .. } = fault;
        Self { line, pointer, rendered: Some(rendered), ..Self::new(error_type, what) }
    }

    /// A budget was used up, rather than a rule broken.
    pub(super) fn is_budget(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_budget)
    }

    /// The line of the template that is to blame, when one is.
    pub(super) fn blamed_line(&self) -> Option<usize> {
        let told = self.diagnostics.first().and_then(Diagnostic::line);
        told.or(self.line.filter(|_| self.error_type == "template")).map(|line| line as usize)
    }
}

/// Renders and checks.
pub(super) fn outcome(template: &Template, request: &Request) -> Outcome {
    caught(|| {
        render(template, request, &|_, cause| match cause {
            Cause::Template(fault) => vec![fault.clone()],
            Cause::Draft(..) => Vec::new(),
        })
    })
}

/// The same; a failure is explained, which costs another rendering.
pub(super) fn explained(template: &Template, request: &Request) -> Outcome {
    caught(|| render(template, request, &|context, cause| template.explain(context, cause)))
}

/// Renders and looks where the template went.
pub(super) fn reached(template: &Template, request: &Request) -> Vec<Reached> {
    let Ok(body) = request.body(stage::body_limits()) else { return Vec::new() };
    let trial = || template.trial(&context(request, &body), &stage::stamp(request)).reached;
    catch_unwind(AssertUnwindSafe(trial)).unwrap_or_default()
}

fn caught(work: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "the template engine itself failed on this template and request";
        Err(Failed::new(PANIC, message.to_owned()))
    })
}

fn render(
    template: &Template,
    request: &Request,
    explain: &dyn Fn(&Context<'_>, Cause<'_>) -> Vec<Diagnostic>,
) -> Outcome {
    let body = request.body(stage::body_limits()).map_err(|fault| Failed::of_body(&fault))?;
    let context = context(request, &body);
    let text = template.render(&context).map_err(|fault| {
        let diagnostics = explain(&context, Cause::Template(&fault));
        Failed { diagnostics, ..Failed::of_rendering(&fault) }
    })?;
    let checked =
        Draft::read(&text).and_then(|draft| draft.event(&stage::stamp(request)).map(drop));
    match checked {
        Ok(()) => Ok(text),
        Err(fault) => {
            let diagnostics = explain(&context, Cause::Draft(&text, &fault));
            Err(Failed { diagnostics, ..Failed::of_draft(fault, text) })
        }
    }
}
