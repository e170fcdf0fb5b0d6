//! What becomes of a request, and all an author wants to know of it. In: a template, a request, a stamp. Out: text,
//! event, diagnostics with what to do, values beside their expressions, branches taken, cost. The one mechanism behind
//! the command line's render and test, the API's, and the words of a failed event. Pure: nothing is kept.

mod watch;

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use minijinja::Value;

use super::budget::{Running, used};
use super::code::Code;
use super::diagnostic::{Diagnostic, Lines, Place};
use super::trace::{self, Branch};
use super::{
    Compiled, Context, Form, Limits, Names, Plan, Template, Watched, context, eval, program,
};
use crate::event::{Draft, DraftError, Event, Reject, Stamp};
use watch::Watch;

/// How many more steps a watched rendering may take: marks are paid for, too.
const WATCHING_FACTOR: u64 = 8;
/// What part of a rendering's time the second, watched one may take that says why a request failed.
const EXPLAINING_PART: u32 = 5;
/// Most warnings beside such a failure.
const EXPLAINED_MAX: usize = 9;
/// Most warnings of one rendering.
const WARNINGS_MAX: usize = 50;

/// What a rendering cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Steps, of [`Limits::fuel`].
    pub steps: u64,
    /// Bytes of text.
    pub bytes: usize,
    /// Bytes of values made, of [`Limits::memory_max_bytes`].
    pub memory: usize,
    /// Time this thread computed.
    pub time: Duration,
}

/// An expression and what it gave.
#[derive(Clone, Debug)]
pub struct Shown {
    pub place: Place,
    /// Its first value as text, cut at 200 characters.
    pub text: String,
    /// That value's type, in Python's words.
    pub kind: &'static str,
    /// How often it was asked.
    pub times: u32,
}

/// A place that the rendering can come to.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    pub place: Place,
    /// `None` for an expression.
    pub branch: Option<Branch>,
    /// How often it did.
    pub times: u32,
}

/// A piece of the text and the part of the template that wrote it.
#[derive(Clone, Debug)]
pub struct Span {
    /// Bytes of the text.
    pub output: Range<usize>,
    pub place: Place,
    /// An expression's value, rather than the template's own text.
    pub is_value: bool,
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct Trial {
    /// What the template rendered to, when it did.
    pub text: Option<String>,
    /// The event, when the text is one.
    pub event: Option<Event>,
    /// Why the text is none.
    pub fault: Option<DraftError>,
    /// Errors first, then warnings.
    pub diagnostics: Vec<Diagnostic>,
    pub values: Vec<Shown>,
    pub reached: Vec<Reached>,
    /// In the order of the text; empty when it is too long to be watched.
    pub spans: Vec<Span>,
    pub cost: Cost,
}

/// Why there is no event.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// The template failed.
    Template(&'a Diagnostic),
    /// Its text is no event.
    Draft(&'a str, &'a DraftError),
}

impl Cause<'_> {
    /// The fault without what a record could add.
    #[must_use]
    pub fn bare(self) -> Diagnostic {
        match self {
            Cause::Template(fault) => fault.clone(),
            Cause::Draft(_, fault) => Diagnostic::error(code(fault), fault.what.clone()),
        }
    }
}

impl Template {
    /// Renders a request and looks at everything.
    #[must_use]
    pub fn trial(&self, context: &Context<'_>, stamp: &Stamp<'_>) -> Trial {
        let before = used();
        let mut trial = Trial::default();
        let done = self.run_counted(|names| context::request(context, names, &self.limits));
        let time = used().saturating_sub(before);
        let failed = match done {
            Ok((text, cost)) => {
                trial.cost = Cost { time, ..cost };
                let drafted = Draft::read(&text).and_then(|draft| draft.event(stamp));
                match drafted {
                    Ok((event, _)) => trial.event = Some(event),
                    Err(fault) => trial.fault = Some(fault),
                }
                trial.text = Some(text);
                None
            }
            Err(fault) => Some(fault),
        };
        // What used up a budget would do so again.
        let is_spent = failed.as_ref().is_some_and(Diagnostic::is_budget);
        let watch = if is_spent { None } else { self.watch(context, self.limits.time) };
        let Some(watch) = watch else {
            trial.diagnostics.extend(failed);
            return trial;
        };
        let cause = match (&failed, &trial.text, &trial.fault) {
            (Some(fault), _, _) => Some(Cause::Template(fault)),
            (None, Some(text), Some(fault)) => Some(Cause::Draft(text, fault)),
            _ => None,
        };
        trial.diagnostics = watch.diagnostics(cause, WARNINGS_MAX);
        trial.values = watch.values();
        trial.reached = watch.reached();
        trial.spans = watch.spans();
        trial
    }

    /// Says why a request gave no event, and what else was odd about it: the template is rendered once more, watched.
    #[must_use]
    pub fn explain(&self, context: &Context<'_>, cause: Cause<'_>) -> Vec<Diagnostic> {
        if let Cause::Template(fault) = cause
            && fault.is_budget()
        {
            return vec![fault.clone()];
        }
        match self.watch(context, self.limits.time / EXPLAINING_PART) {
            Some(watch) => watch.diagnostics(Some(cause), EXPLAINED_MAX),
            None => vec![cause.bare()],
        }
    }

    /// Renders with marks.
    fn watch(&self, context: &Context<'_>, time: Duration) -> Option<Watch<'_>> {
        let root = |names| context::request(context, names, &self.limits);
        self.watch_root(root, time).map(|(_, watch)| watch)
    }

    /// What is written, and the record of it.
    fn watch_root(
        &self,
        root: impl FnOnce(Names) -> Value,
        time: Duration,
    ) -> Option<(Option<String>, Watch<'_>)> {
        let (compiled, lines) = match &self.form {
            Form::Verbatim(source) => return Some((None, Watch::verbatim(source))),
            Form::Compiled(compiled, lines) => (compiled, lines),
        };
        let watched =
            self.watched.get_or_init(|| watched(compiled, lines, &self.limits)).as_ref()?;
        let limits = Limits {
            fuel: self.limits.fuel.saturating_mul(WATCHING_FACTOR),
            time,
            memory_max_bytes: self.limits.memory_max_bytes * 2,
            ..self.limits
        };
        let _running = Running::begin(&limits);
        trace::begin();
        let mut text = String::new();
        let done = eval(&watched.compiled, &limits, true, root, &mut text);
        let record = trace::end(text.len());
        let marks = Cow::Borrowed(&*watched.plan.marks);
        let source = compiled.borrow_owner();
        let watch = Watch { source, lines: Cow::Borrowed(lines), marks, record };
        Some((done.ok().map(|_| text), watch))
    }
}

fn watched(compiled: &Compiled, lines: &Lines, limits: &Limits) -> Option<Watched> {
    let mut plan = Plan::default();
    let source = compiled.borrow_owner().clone();
    let compiled = Compiled::try_new(source, |text| program(text, lines, limits, Some(&mut plan)));
    compiled.ok().map(|compiled| Watched { compiled, plan })
}

fn code(fault: &DraftError) -> Code {
    match fault.reject {
        Reject::Json => Code::Json,
        Reject::InvalidEvent => Code::Event,
        Reject::TooLarge => Code::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::trace::Sort;
    use super::*;
    use crate::json::{self, Document};

    const JSON: json::Limits = json::Limits { depth_max: 101, nodes_max: 100_000 };

    /// Whether a template writes the same when it is watched, and whether the record tells who wrote what.
    fn check(source: &str, names: &str, limits: Limits) -> Option<bool> {
        let names = Document::parse(Bytes::copy_from_slice(names.as_bytes()), JSON).expect("JSON");
        let names = Arc::new(names);
        let template = Template::compile(source, limits).ok()?;
        let plain = template.render_names(&names).ok();
        let (watched, watch) = template.watch_root(|_| context::names(&names), limits.time)?;
        if let Form::Compiled(..) = template.form {
            assert_eq!(watched, plain, "{source}");
        }
        let text = plain?;
        let mut end = 0;
        for piece in &watch.record.pieces {
            assert_eq!(piece.start, end, "{source}");
            end = piece.end;
            let mark = watch.marks[piece.mark];
            if mark.sort == Sort::Text {
                let written = &text[piece.start..piece.end];
                assert_eq!(&watch.source[mark.start..mark.end], written, "{source}");
            }
        }
        Some(end == text.len())
    }

    fn try_out(source: &str, body: &str) -> Trial {
        let body = Document::parse(Bytes::copy_from_slice(body.as_bytes()), JSON).expect("JSON");
        let body = crate::request::Body::Json(Arc::new(body));
        let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
        let template = Template::compile(source, limits).expect(source);
        let (method, headers) = (http::Method::POST, http::HeaderMap::new());
        let stamp = Stamp::of_trial(crate::clock::Time::from_micros(0));
        template.trial(&Context::new(&method, &headers, &body), &stamp)
    }

    #[test]
    fn only_what_is_read_in_vain_is_told() {
        let rest = r#""resource": {"prefect.resource.id": "r"}}"#;
        for (name, told) in [
            ("a.{{ body.b }}", 1),
            ("a.{{ body.a }}", 0),
            ("a.{{ body.b|default('c') }}", 0),
            ("a.{{ 'c' if body.b }}", 0),
            ("a.{{ body.b or 'c' }}", 0),
            ("a.{{ body.a ~ body.b ~ body.c.d }}", 2),
            ("a.{% for x in body.b %}{{ x }}{% endfor %}", 1),
            ("a.{% for x in [1, 2] %}{{ body.b }}{% endfor %}", 1),
            ("a.{% if body.b is defined %}{{ body.b }}{% endif %}", 0),
        ] {
            let trial = try_out(&format!("{{\"event\": \"{name}\", {rest}"), r#"{"a": "1"}"#);
            assert!(trial.event.is_some(), "{name}: {:?}", trial.fault);
            assert_eq!(trial.diagnostics.len(), told, "{name}: {:?}", trial.diagnostics);
        }
    }

    #[test]
    fn what_used_up_a_budget_is_not_rendered_again() {
        let source = "{% for a in range(100) %}{% for b in range(100) %}{{ body.t * 99 }}{% endfor %}\
                      {% endfor %}";
        let trial = try_out(source, r#"{"t": "abcdefgh"}"#);
        let told = &trial.diagnostics[..];
        assert!(matches!(told, [told] if told.is_budget()), "{told:?}");
        assert!(trial.values.is_empty() && trial.spans.is_empty());
    }

    #[test]
    fn watching_changes_nothing() {
        let work = || {
            let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
            let (mut known, mut unknown) = (0, 0);
            for file in ["cases", "prefect"] {
                let root = env!("CARGO_MANIFEST_DIR");
                let path = format!("{root}/tests/data/jinja/{file}.jsonl");
                let lines = std::fs::read_to_string(path).expect("cases");
                for line in lines.lines() {
                    let case: serde_json::Value = serde_json::from_str(line).expect("a case");
                    let source = case["template"].as_str().unwrap_or_default();
                    match check(source, &case["context"].to_string(), limits) {
                        Some(true) => known += 1,
                        Some(false) => unknown += 1,
                        None => {}
                    }
                }
            }
            assert!(known > 1200 && unknown < 10, "{known} known, {unknown} unknown");
        };
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(work);
        thread.expect("a thread").join().expect("no difference");
    }
}
