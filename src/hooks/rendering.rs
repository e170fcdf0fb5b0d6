//! Body and template to text, where it delays nobody. In: a submission. Out: the submission again, its body as the
//! template saw it, and the text or the failure. Runs inline; a template known to be slow runs on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::apart::Apart;
use crate::event::Event;
use crate::id::Uuid;
use crate::json;
use crate::parse;
use crate::render;
use crate::request::Body;
use crate::spool::{Digest, SpoolError};
use crate::telemetry::hooks::Facts;

use super::events;
use super::failure::Failure;
use super::redaction::Shown;
use super::refusal::Refusal;
use super::{Options, Submission};

/// A rendering that takes longer sends the webhook's next ones elsewhere.
const SLOW: Duration = Duration::from_millis(2);
/// One that takes less brings them back.
const QUICK: Duration = Duration::from_millis(1);

/// A submission after its template: the text, or why there is none.
pub(super) struct Rendering {
    pub(super) submission: Submission,
    pub(super) body: Body,
    pub(super) text: Result<String, Box<Failure>>,
    /// The request as it is kept, when that is another.
    pub(super) shown: Option<Box<Shown>>,
    /// What tells the request from others, when it is to be taken once.
    pub(super) key: Option<Digest>,
    /// How long that took.
    took: Duration,
}

/// Renders; bounded in how many slow templates run at once.
#[derive(Debug)]
pub(super) struct Renderer {
    json: json::Limits,
    render: render::Limits,
    slow: Apart,
}

impl Renderer {
    pub(super) fn new(options: &Options) -> Self {
        let slow = Apart::new(options.slow_renders_max);
        Self { json: options.json, render: options.render, slow }
    }

    /// Parses the body and renders.
    ///
    /// # Errors
    /// Only when the process is stopping.
    pub(super) async fn run(
        &self,
        submission: Submission,
        facts: &Facts,
    ) -> Result<Rendering, Refusal> {
        let (json, limits) = (self.json, self.render);
        if !submission.endpoint.is_slow() {
            let (rendering, took) = render_one(submission, json, limits);
            rendering.submission.endpoint.mark_slow(took > SLOW);
            facts.rendered(took);
            return Ok(rendering);
        }
        let stopping = || SpoolError::Failed("stopping".to_owned());
        let work = move || render_one(submission, json, limits);
        let (rendering, took) = self.slow.run(work).await.ok_or_else(stopping)?;
        if took < QUICK {
            rendering.submission.endpoint.mark_slow(false);
        }
        facts.rendered(took);
        Ok(rendering)
    }
}

impl Rendering {
    /// The request and its body as events tell them.
    pub(super) fn shown(&self) -> (&Submission, &Body) {
        match &self.shown {
            Some(shown) => (&shown.submission, &shown.body),
            None => (&self.submission, &self.body),
        }
    }

    /// The request as it is kept.
    pub(super) fn kept(self) -> Submission {
        match self.shown {
            Some(shown) => shown.submission,
            None => self.submission,
        }
    }

    /// The failed event. Of a request that is not to be read on the disk it has no word.
    pub(super) fn failed(
        &self,
        failure: &Failure,
        id: Uuid,
        follows: Uuid,
        is_sealed: bool,
    ) -> Event {
        let (submission, body) = self.shown();
        let body = Some(body).filter(|_| !is_sealed);
        if is_sealed || self.shown.is_some() {
            let quiet = failure.without_quotes(is_sealed);
            return events::failed(submission, body, &quiet, id, follows);
        }
        events::failed(submission, body, failure, id, follows)
    }

    /// The failure with the expression to blame, and with what else was odd. The template runs once more for that, so a
    /// slow one goes without; and so does one whose words are not kept.
    pub(super) fn explained(
        &self,
        mut failure: Box<Failure>,
        limits: render::Limits,
        is_sealed: bool,
    ) -> Box<Failure> {
        let endpoint = &self.submission.endpoint;
        let (Some(cause), Ok(template)) = (failure.cause(), endpoint.template(limits)) else {
            return failure;
        };
        if self.took > SLOW || self.shown.is_some() || is_sealed {
            return failure;
        }
        let context = self.submission.context(&self.body);
        let told = catch_unwind(AssertUnwindSafe(|| template.explain(&context, cause)));
        failure.diagnostics = told.unwrap_or(failure.diagnostics);
        failure
    }
}

fn render_one(
    submission: Submission,
    json: json::Limits,
    limits: render::Limits,
) -> (Rendering, Duration) {
    let started = Instant::now();
    // A bug of the engine that one template and body find must not cost the request.
    let made = catch_unwind(AssertUnwindSafe(|| interpret(&submission, json, limits)));
    let (body, text, key) = made.unwrap_or_else(|_| (Body::Empty, Err(Failure::of_engine()), None));
    let shown = submission.redacted(json).map(|copy| Shown::new(copy, json));
    let took = started.elapsed();
    (Rendering { submission, body, text, shown, key, took }, took)
}

fn interpret(
    submission: &Submission,
    json: json::Limits,
    limits: render::Limits,
) -> (Body, Result<String, Box<Failure>>, Option<Digest>) {
    let body = match parse::of_request(
        &submission.method,
        &submission.headers,
        submission.content.decoded.clone(),
        json,
    ) {
        Ok(body) => body,
        Err(fault) => {
            let text = String::from_utf8_lossy(&submission.content.decoded).into_owned();
            return (Body::Text(text), Err(Failure::of_body(&fault)), None);
        }
    };
    let context = submission.context(&body);
    let once = submission.endpoint.once.as_ref();
    let key = once.and_then(|once| once.digest(&context, limits));
    let text =
        submission.endpoint.template(limits).map_err(Failure::of_template).and_then(|template| {
            template.render(&context).map_err(|fault| Failure::of_template(&fault))
        });
    (body, text, key)
}
