//! Why a kept request gave no event of its template. In: what parse, render and event checks found. Out: the words of
//! a failed event, and the little a sender is told. Never the template's text or a line to the sender.

use crate::event::{DraftError, Reject};
use crate::json::{Fault, FaultKind};
use crate::render::Diagnostic;

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
}

impl Failure {
    fn new(kind: FailureKind, message: String, line: Option<u32>) -> Self {
        Self { kind, message, line, pointer: None, rendered: None }
    }

    /// The body is too much of JSON or form, or none at all.
    pub(super) fn of_body(fault: &Fault) -> Self {
        let kind = match fault.what {
            FaultKind::TooDeep(_) | FaultKind::TooMany(_) => FailureKind::TooLarge,
            FaultKind::Expected(_) => FailureKind::Body,
        };
        Self::new(kind, format!("body: {fault}"), None)
    }

    /// The template failed.
    pub(super) fn of_template(fault: &Diagnostic) -> Self {
        Self::new(FailureKind::Template, fault.sentence(), fault.line())
    }

    /// The engine itself failed on this template and body.
    pub(super) fn of_engine() -> Self {
        let message = "the template engine failed on this template and body".to_owned();
        Self::new(FailureKind::Template, message, None)
    }

    /// The rendered text is no event.
    pub(super) fn of_draft(fault: DraftError, rendered: String) -> Self {
        let kind = match fault.reject {
            Reject::Json => FailureKind::Json,
            Reject::InvalidEvent => FailureKind::InvalidEvent,
            Reject::TooLarge => FailureKind::TooLarge,
        };
        let DraftError { what, pointer, line, .. } = fault;
        Self { kind, message: what, line, pointer, rendered: Some(rendered) }
    }

    /// The template gave the id of an event that said something else.
    pub(super) fn of_known_id(rendered: String) -> Self {
        let message = "an event of this id was seen before with other content".to_owned();
        Self {
            pointer: Some("/id".to_owned()),
            rendered: Some(rendered),
            ..Self::new(FailureKind::InvalidEvent, message, None)
        }
    }
}
