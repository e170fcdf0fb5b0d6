//! What becomes of a request, and all an author wants to know of it. In: a template, a request, a stamp. Out: text,
//! event, diagnostics with what to do, values beside their expressions, branches taken, cost. The one mechanism behind
//! the command line's render and test, the API's, and the words of a failed event. Pure: nothing is kept.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use minijinja::Value;

use super::advice;
use super::blame::{self, Blame};
use super::budget::{Running, used};
use super::code::Code;
use super::diagnostic::{Diagnostic, Lines, Place};
use super::error::nearest;
use super::trace::{self, Branch, Mark, Miss, Record, Sort};
use super::{
    Compiled, Context, Form, Limits, Names, Plan, Template, Watched, context, eval, program,
};
use crate::event::{Draft, DraftError, Event, Reject, Stamp};

/// How much more a watched rendering may cost: marks are paid for, too.
const WATCHING_FACTOR: u32 = 8;
/// Most keys named in a hint.
const HINT_KEYS_MAX: usize = 12;
/// Longest expression inside a message.
const WORDS_MAX_BYTES: usize = 120;
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
        let Some(watch) = self.watch(context) else {
            trial.diagnostics.extend(failed);
            return trial;
        };
        let cause = match (&failed, &trial.text, &trial.fault) {
            (Some(fault), _, _) => Some(Cause::Template(fault)),
            (None, Some(text), Some(fault)) => Some(Cause::Draft(text, fault)),
            _ => None,
        };
        trial.diagnostics = watch.diagnostics(cause);
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
        match self.watch(context) {
            Some(watch) => watch.diagnostics(Some(cause)),
            None => vec![cause.bare()],
        }
    }

    /// Renders with marks.
    fn watch(&self, context: &Context<'_>) -> Option<Watch<'_>> {
        self.watch_root(|names| context::request(context, names, &self.limits))
            .map(|(_, watch)| watch)
    }

    /// What is written, and the record of it.
    fn watch_root(&self, root: impl FnOnce(Names) -> Value) -> Option<(Option<String>, Watch<'_>)> {
        let (compiled, lines) = match &self.form {
            Form::Verbatim(source) => return Some((None, Watch::verbatim(source))),
            Form::Compiled(compiled, lines) => (compiled, lines),
        };
        let watched =
            self.watched.get_or_init(|| watched(compiled, lines, &self.limits)).as_ref()?;
        let limits = Limits {
            fuel: self.limits.fuel.saturating_mul(WATCHING_FACTOR.into()),
            time: self.limits.time * WATCHING_FACTOR,
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

/// A watched rendering, read.
struct Watch<'t> {
    source: &'t str,
    lines: Cow<'t, Lines>,
    marks: Cow<'t, [Mark]>,
    record: Record,
}

impl<'t> Watch<'t> {
    /// A source without tags is its own rendering.
    fn verbatim(source: &'t str) -> Self {
        let mark = Mark { start: 0, end: source.len(), sort: Sort::Text };
        let record = Record::of_text(source.len());
        let lines = Cow::Owned(Lines::default());
        Self { source, lines, marks: Cow::Owned(vec![mark]), record }
    }

    fn place(&self, start: usize, end: usize) -> Place {
        self.lines.place(self.source, start, end)
    }

    /// The source of a mark, the start of it when it is long.
    fn words(&self, mark: usize) -> Cow<'_, str> {
        let mark = self.marks[mark];
        let words = self.source.get(mark.start..mark.end).unwrap_or_default();
        if words.len() <= WORDS_MAX_BYTES {
            return Cow::Borrowed(words);
        }
        Cow::Owned(format!("{}…", &words[..words.floor_char_boundary(WORDS_MAX_BYTES)]))
    }

    /// The error, and warnings for what printed nothing.
    fn diagnostics(&self, cause: Option<Cause<'_>>) -> Vec<Diagnostic> {
        let mut told = Vec::new();
        let mut blamed = None;
        match cause {
            Some(Cause::Template(fault)) => told.push(self.hinted(fault)),
            Some(Cause::Draft(text, fault)) => {
                let blame = blame::find(text, fault, &self.marks, &self.record.pieces);
                blamed = blame.and_then(|blame| blame.piece);
                told.push(self.accused(text, fault, blame));
            }
            None => {}
        }
        let blamed = blamed.map(|piece| self.marks[self.record.pieces[piece].mark]);
        let is_told = |mark: &Mark| {
            blamed.is_some_and(|other| other.start <= mark.start && mark.end <= other.end)
        };
        let silent = self.record.silent.values().filter(|miss| !is_told(&self.marks[miss.mark]));
        told.extend(silent.take(WARNINGS_MAX).map(|miss| {
            let mark = self.marks[miss.mark];
            let what = format!("`{}` is not there, and prints nothing", self.words(miss.mark));
            let place = self.place(mark.start, mark.end);
            let default = format!("`{}|default(…)` would say so", self.words(miss.mark));
            let help = self.instead(miss).unwrap_or(default);
            Diagnostic::warning(Code::Missing, what).with_help(help).at(place)
        }));
        told
    }

    /// An error of the rendering, with what was not there when it happened.
    fn hinted(&self, fault: &Diagnostic) -> Diagnostic {
        let mut told = fault.clone();
        if told.help.is_some() {
            return told;
        }
        let inside = |mark: Mark| {
            let place = self.place(mark.start, mark.end);
            told.place.is_some_and(|at| at.start <= place.start && place.end <= at.end)
        };
        let of_undefined = told.message.contains("undefined");
        let mut open = self.record.open_misses().iter().rev();
        let miss = open.find(|miss| of_undefined || inside(self.marks[miss.mark]));
        let absent = miss.map(|miss| {
            let there = self.instead(miss).map(|there| format!("; {there}")).unwrap_or_default();
            format!("`{}` is not there{there}", self.words(miss.mark))
        });
        told.help = absent.or_else(|| advice::of_refusal(&told.message));
        told
    }

    /// An error of the text, with the expression that wrote it.
    fn accused(&self, text: &str, fault: &DraftError, blame: Option<Blame>) -> Diagnostic {
        let what = &fault.what;
        let place = blame.map(|blame| self.place(blame.start, blame.end));
        let piece = blame.and_then(|blame| blame.piece).map(|piece| self.record.pieces[piece]);
        let Some(piece) = piece else {
            let help = advice::of_text(text, fault);
            return Diagnostic::error(code(fault), what).with_help(help).at(place);
        };
        let words = self.words(piece.mark);
        let wrote = text.get(piece.start..piece.end).unwrap_or_default();
        let told = Diagnostic::error(code(fault), format!("{what}; `{words}` wrote it")).at(place);
        if wrote.trim().is_empty() {
            let mark = self.marks[piece.mark];
            let is_inside = |miss: &&Miss| {
                let other = self.marks[miss.mark];
                mark.start <= other.start && other.end <= mark.end
            };
            let miss = self.record.silent.values().find(is_inside);
            let there = miss.and_then(|miss| self.instead(miss));
            let there = there.map(|there| format!("{there}; or ")).unwrap_or_default();
            let told = Diagnostic { message: format!("{what}; `{words}` printed nothing"), ..told };
            return told.with_help(format!("{there}give a default: `{words}|default(…)`"));
        }
        let value = plain(&words);
        let help = match fault.reject {
            Reject::Json if words.contains("tojson") => {
                format!("`tojson` writes its own quotes: `{{{{ {words} }}}}` stands without any")
            }
            Reject::Json => {
                format!("let `tojson` write the value, without quotes: `{{{{ {value}|tojson }}}}`")
            }
            Reject::InvalidEvent if fault.what.contains("must be a string") => {
                format!("make a string of it: `{{{{ {value}|string|tojson }}}}`")
            }
            _ => return told.with_help(advice::of_event(fault)),
        };
        told.with_help(help)
    }

    /// What is there in place of what is not.
    fn instead(&self, miss: &Miss) -> Option<String> {
        let words = self.words(miss.mark);
        let (base, name) = split(&words)?;
        if let Some(key) = nearest(&name, miss.keys.iter().map(String::as_str)) {
            return Some(format!("did you mean `{}`?", joined(base, key)));
        }
        let (few, more) = miss.keys.split_at(miss.keys.len().min(HINT_KEYS_MAX));
        let more = if more.is_empty() { "" } else { ", …" };
        match few {
            [] => None,
            few => Some(format!("`{base}` has {}{more}", few.join(", "))),
        }
    }

    fn values(&self) -> Vec<Shown> {
        let given = self.record.given.iter().map(|(&mark, given)| {
            let Mark { start, end, .. } = self.marks[mark];
            let (place, text) = (self.place(start, end), given.text.clone());
            Shown { place, text, kind: given.kind, times: given.times }
        });
        let mut shown: Vec<Shown> = given.collect();
        shown.sort_by_key(|shown| (shown.place.start, shown.place.end));
        shown
    }

    fn reached(&self) -> Vec<Reached> {
        let times = |mark: usize| match self.marks[mark].sort {
            Sort::Branch(_) => self.record.taken.get(&mark).copied().unwrap_or(0),
            _ => self.record.given.get(&mark).map_or(0, |given| given.times),
        };
        let marks = self.marks.iter().enumerate();
        marks
            .filter_map(|(place, mark)| {
                let branch = match mark.sort {
                    Sort::Branch(branch) => Some(branch),
                    Sort::Value => None,
                    Sort::Text | Sort::Read => return None,
                };
                let at = self.place(mark.start, mark.end);
                Some(Reached { place: at, branch, times: times(place) })
            })
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let pieces = self.record.pieces.iter();
        pieces
            .map(|piece| {
                let mark = self.marks[piece.mark];
                let place = self.place(mark.start, mark.end);
                let is_value = mark.sort == Sort::Value;
                Span { output: piece.start..piece.end, place, is_value }
            })
            .collect()
    }
}

/// An expression that a filter can be put behind: in brackets when it is more than a path.
fn plain(words: &str) -> String {
    let is_path = words.chars().all(|c| c.is_alphanumeric() || "_.['\"]-|".contains(c));
    if is_path { words.to_owned() } else { format!("({words})") }
}

/// A lookup as what is looked into and the name looked for.
fn split(words: &str) -> Option<(&str, String)> {
    if let Some(inner) = words.strip_suffix(']') {
        let place = inner.rfind('[')?;
        let key = inner[place + 1..].trim();
        let key = key.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
        return Some((inner[..place].trim_end(), key.to_owned()));
    }
    let place = words.rfind('.')?;
    Some((words[..place].trim_end(), words[place + 1..].trim().to_owned()))
}

/// The lookup of a key.
fn joined(base: &str, key: &str) -> String {
    let is_name = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if is_name { format!("{base}.{key}") } else { format!("{base}['{key}']") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::json::{self, Document};

    const JSON: json::Limits = json::Limits { depth_max: 101, nodes_max: 100_000 };

    /// Whether a template writes the same when it is watched, and whether the record tells who wrote what.
    fn check(source: &str, names: &str, limits: Limits) -> Option<bool> {
        let names = Document::parse(Bytes::copy_from_slice(names.as_bytes()), JSON).expect("JSON");
        let names = Arc::new(names);
        let template = Template::compile(source, limits).ok()?;
        let plain = template.render_names(&names).ok();
        let (watched, watch) = template.watch_root(|_| context::names(&names))?;
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
