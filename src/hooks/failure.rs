//! Why a kept request gave no event of its template. In: what parse, render and event checks found. Out: the words of
//! a failed event, and the little a sender is told. Never the template's text or a line to the sender.

use crate::event::{DraftError, Reject};
use crate::json::{Fault, FaultKind};
use crate::render::{Cause, Diagnostic};

/// Which stage failed: `error_type` of the failed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The body could not be made out.
    Body,
    /// The template does not compile or render.
    Template,
    /// The rendered text is not JSON.
    Json,
    /// The rendered JSON is not an event.
    InvalidEvent,
    /// Body or event are over a bound.
    TooLarge,
}

impl FailureKind {
    /// The word in the failed event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Template => "template",
            Self::Json => "json",
            Self::InvalidEvent => "invalid-event",
            Self::TooLarge => "too-large",
        }
    }

    /// What the sender is told.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Body => "The body could not be interpreted",
            Self::Template => "The template failed",
            Self::Json => "The rendered text is not JSON",
            Self::InvalidEvent => "The event is invalid",
            Self::TooLarge => "The request or its event is too large",
        }
    }
}

/// A failure with all an author needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) message: String,
    /// Line of the template, or of the rendered text when that is not JSON.
    pub(super) line: Option<u32>,
    /// JSON pointer into the rendered text.
    pub(super) pointer: Option<String>,
    /// What the template rendered to, when it did.
    pub(super) rendered: Option<String>,
    /// The rule of events that the rendered text breaks.
    pub(super) draft: Option<DraftError>,
    /// The same for an author's tools, with the expression to blame and what else was odd.
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Failure {
    fn new(kind: FailureKind, message: String, line: Option<u32>) -> Self {
        let (pointer, rendered, draft) = (None, None, None);
        Self { kind, message, line, pointer, rendered, draft, diagnostics: Vec::new() }
    }

    /// The body is too much of JSON or form, or none at all.
    pub(super) fn of_body(fault: &Fault) -> Box<Self> {
        let kind = match fault.what {
            FaultKind::TooDeep(_) | FaultKind::TooMany(_) => FailureKind::TooLarge,
            FaultKind::Expected(_) => FailureKind::Body,
        };
        Box::new(Self::new(kind, format!("body: {fault}"), None))
    }

    /// The template failed.
    pub(super) fn of_template(fault: &Diagnostic) -> Box<Self> {
        let failure = Self::new(FailureKind::Template, fault.sentence(), fault.line());
        Box::new(Self { diagnostics: vec![fault.clone()], ..failure })
    }

    /// The engine itself failed on this template and body.
    pub(super) fn of_engine() -> Box<Self> {
        let message = "the template engine failed on this template and body".to_owned();
        Box::new(Self::new(FailureKind::Template, message, None))
    }

    /// The rendered text is no event.
    pub(super) fn of_draft(fault: DraftError, rendered: String) -> Box<Self> {
        let kind = match fault.reject {
            Reject::Json => FailureKind::Json,
            Reject::InvalidEvent => FailureKind::InvalidEvent,
            Reject::TooLarge => FailureKind::TooLarge,
        };
        let diagnostics = vec![Cause::Draft(&rendered, &fault).bare()];
        Box::new(Self {
            pointer: fault.pointer.clone(),
            rendered: Some(rendered),
            diagnostics,
            draft: Some(fault.clone()),
            ..Self::new(kind, fault.what, fault.line)
        })
    }

    /// The template gave the id of an event that said something else.
    pub(super) fn of_known_id(rendered: String) -> Box<Self> {
        let message = "an event of this id was seen before with other content";
        let fault = DraftError::invalid("/id", message);
        Self::of_draft(fault, rendered)
    }

    /// What the failure is blamed on, when it is the template's.
    pub(super) fn cause(&self) -> Option<Cause<'_>> {
        match (&self.draft, &self.rendered, self.diagnostics.first()) {
            (Some(fault), Some(text), _) => Some(Cause::Draft(text, fault)),
            (None, None, Some(fault)) => Some(Cause::Template(fault)),
            _ => None,
        }
    }
}
