//! Template and request to text. In: a source, compiled once; then request by request what it sees. Out: text, or
//! where and why there is none. minijinja stays inside. Pure: no file, and the clock only as a budget.
//!
//! Python's Jinja2 is the measure. The way of a template: [`syntax`] reads it by Jinja's grammar, [`fold`] rewrites
//! the tree to Python's meaning, the engine makes instructions of it and runs them in the one environment of
//! [`engine`]. What runs there is ours: operators (`ops`, `number`, `compare`, `sort`), lookups (`lookup`),
//! `filters/` and `humanize/`, `tests`, `methods/`, `globals`; arguments are bound by `args`, texts are made by
//! `repr`, from formats by `pyformat/`, and laid out by `pprint` and `textwrap`; `chars` and `numeral` know
//! characters and digits. Values the engine cannot hold are objects of `value`, `keeper`, `routine` and `chain`; the
//! request's JSON stays what it is behind `lazy` and `context`. Everything pays from `budget`. `code` and
//! `diagnostic` are what authors are told; `trial` renders a request once more with marks (`trace`) and finds the
//! expression to `blame`; `advice` knows the way out. `tidy` spaces sources, and runs nothing; `stock` is the engine
//! without all this, for a bench to measure beside.

mod advice;
mod args;
mod blame;
mod budget;
mod chain;
mod chars;
mod code;
mod compare;
mod context;
mod diagnostic;
mod engine;
mod error;
mod filters;
mod fold;
mod globals;
mod humanize;
mod keeper;
mod key;
mod lazy;
mod lint;
mod lookup;
mod methods;
mod number;
mod numeral;
mod ops;
mod pprint;
mod pyformat;
mod report;
mod repr;
mod routine;
mod rule;
mod shadow;
mod sort;
mod stock;
mod syntax;
mod tests;
mod textwrap;
mod tidy;
mod trace;
mod trial;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, Method};
use minijinja::machinery::{self, CodeGenerator, Instructions};
use minijinja::{AutoEscape, Value};
use self_cell::self_cell;

use crate::clock::Time;
use crate::json::Document;
use crate::request::Body;
use budget::Running;
use fold::Names;

pub use code::{Code, Entry, Example, Part, all as codes};
use diagnostic::Lines;
use trace::Plan;

pub use diagnostic::{Diagnostic, Place, Severity};
pub use key::{KeyRule, doubts};
pub use lint::{Edit, Finding, lint};
pub use rule::{CONDITION_MAX_CHARS, Condition, Reshaping, Sight, strangers};
pub use shadow::{
    DIFFERENCES_MAX, Difference, Made, SHOWN_MAX_BYTES, Shadow, Shadows, Tally, Verdict,
};
pub use stock::{Stock, StockTemplate};
pub use tidy::tidy;
pub use trace::Branch;
pub use trial::{Cause, Cost, Reached, Shown, Span, Trial};

/// Largest first guess of a rendering's length.
const GUESS_MAX_BYTES: usize = 64 << 10;

/// Bounds of a template and of one rendering.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Characters of a source.
    pub source_max_chars: usize,
    /// Bytes of a source.
    pub source_max_bytes: usize,
    /// Bytes of rendered text.
    pub output_max_bytes: usize,
    /// Steps of the engine, each worth 64 bytes touched.
    pub fuel: u64,
    /// Time of one rendering.
    pub time: Duration,
    /// Bytes of all values made in one rendering.
    pub memory_max_bytes: usize,
    /// `for` loops of a template, as Prefect counts them.
    pub loops_max: usize,
    /// Nesting of `for` loops.
    pub loop_depth_max: usize,
    /// Items of a `range`, as in Prefect's sandbox.
    pub range_max_items: usize,
    /// Whether templates see what Prefect Cloud does not have: [`More`].
    pub extensions: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_max_chars: 30_000,
            source_max_bytes: 128 << 10,
            output_max_bytes: 2 << 20,
            fuel: 200_000,
            time: Duration::from_millis(50),
            memory_max_bytes: 32 << 20,
            loops_max: 10,
            loop_depth_max: 2,
            range_max_items: 100,
            extensions: false,
        }
    }
}

/// What a template sees: these three names, and with [`Limits::extensions`] those of [`More`]. The secret headers are
/// gone already.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    pub body: &'a Body,
    /// Looked at only with [`Limits::extensions`].
    pub more: More<'a>,
}

/// What a template sees beyond Prefect Cloud's names, as `query`, `path`, `webhook.name` and `now`.
#[derive(Clone, Copy, Debug, Default)]
pub struct More<'a> {
    /// The query as it was sent, without `?`; a dict of texts in a template, of a doubled name the last.
    pub query: &'a str,
    /// The path, its slug hidden.
    pub path: &'a str,
    /// The webhook's name.
    pub webhook: &'a str,
    /// When the request came; RFC 3339 in UTC in a template. No clock: the same request renders the same again.
    pub received: Option<Time>,
}

impl<'a> Context<'a> {
    /// The three names.
    #[must_use]
    pub fn new(method: &'a Method, headers: &'a HeaderMap, body: &'a Body) -> Self {
        Self { method, headers, body, more: More::default() }
    }

    /// The same with what extensions show.
    #[must_use]
    pub fn with(self, more: More<'a>) -> Self {
        Self { more, ..self }
    }
}

/// A template, checked and compiled; shared by all requests of its webhook.
#[derive(Debug)]
pub struct Template {
    form: Form,
    limits: Limits,
    /// The longest rendering so far, up to [`GUESS_MAX_BYTES`]: the next one's first guess.
    guess: AtomicUsize,
    /// The same template with marks, made when a rendering is to be watched.
    watched: OnceLock<Option<Watched>>,
}

#[derive(Debug)]
enum Form {
    /// A source without tags is its own rendering, a trailing newline and comments included.
    Verbatim(String),
    Compiled(Compiled, Lines),
}

/// A template whose renderings leave a record.
#[derive(Debug)]
struct Watched {
    compiled: Compiled,
    plan: Plan,
}

struct Program<'a> {
    instructions: Instructions<'a>,
    blocks: BTreeMap<&'a str, Instructions<'a>>,
    names: Names,
}

self_cell!(
    /// A source and the instructions that point into it.
    struct Compiled {
        owner: String,
        #[not_covariant]
        dependent: Program,
    }
);

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compiled").field(self.borrow_owner()).finish()
    }
}

impl Template {
    /// Checks and compiles a source: size, nesting and chain length before parsing.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn compile(source: &str, limits: Limits) -> Result<Self, Diagnostic> {
        check_size(source, &limits)?;
        let form = if source.contains("{{") || source.contains("{%") {
            let (text, lines) = Lines::read(source);
            let compiled = Compiled::try_new(text, |text| program(text, &lines, &limits, None))?;
            Form::Compiled(compiled, lines)
        } else {
            Form::Verbatim(source.to_owned())
        };
        Ok(Self { form, limits, guess: AtomicUsize::new(source.len()), watched: OnceLock::new() })
    }

    /// Renders. Needs a thread with a stack of 16 MiB.
    ///
    /// # Errors
    /// What failed, or which budget was used up.
    pub fn render(&self, context: &Context<'_>) -> Result<String, Diagnostic> {
        self.run(|names| context::request(context, names, &self.limits))
    }

    /// Renders with other names than a request's: those of a JSON object, `headers` among them being a mapping that
    /// knows no case.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_names(&self, names: &Arc<Document>) -> Result<String, Diagnostic> {
        self.run(|_| context::names(names))
    }

    fn run(&self, root: impl FnOnce(Names) -> Value) -> Result<String, Diagnostic> {
        self.run_counted(root).map(|(text, _)| text)
    }

    fn run_counted(&self, root: impl FnOnce(Names) -> Value) -> Result<(String, Cost), Diagnostic> {
        let (compiled, lines) = match &self.form {
            Form::Verbatim(text) => {
                return Ok((text.clone(), Cost { bytes: text.len(), ..Cost::default() }));
            }
            Form::Compiled(compiled, lines) => (compiled, lines),
        };
        let _running = Running::begin(&self.limits);
        let mut text = String::with_capacity(self.guess.load(Ordering::Relaxed));
        let done = eval(compiled, &self.limits, false, root, &mut text);
        let source = compiled.borrow_owner();
        let limits = &self.limits;
        let done =
            done.map_err(|fault| error::rendering(&fault, source, lines, limits, Running::over()));
        let engine_steps = done?;
        let most = self.limits.output_max_bytes;
        if text.len() > most {
            let length = text.len();
            let what = format!("the text has {length} bytes; at most {most} are taken");
            return Err(Diagnostic::error(Code::Budget, what));
        }
        if text.len() > self.guess.load(Ordering::Relaxed) {
            self.guess.store(text.len().min(GUESS_MAX_BYTES), Ordering::Relaxed);
        }
        let (own_steps, memory) = Running::spent(limits);
        let (steps, bytes) = (engine_steps + own_steps, text.len());
        Ok((text, Cost { steps, bytes, memory, ..Cost::default() }))
    }
}

/// Runs a program; the steps the engine took.
fn eval(
    compiled: &Compiled,
    limits: &Limits,
    is_watched: bool,
    root: impl FnOnce(Names) -> Value,
    text: &mut String,
) -> Result<u64, minijinja::Error> {
    let done = compiled.with_dependent(|_, program| {
        let environment = engine::environment(limits.fuel, is_watched);
        let root = root(program.names);
        let (code, blocks) = (&program.instructions, &program.blocks);
        let mut out = machinery::make_string_output(text);
        machinery::eval(environment, code, root, blocks, &mut out, AutoEscape::None)
            .map(|(_, state)| state.fuel_levels().map_or(0, |(used, _)| used))
    });
    keeper::forget_kept();
    chain::forget_refused();
    done
}

/// Refuses a source that is too large, before anything else looks at it.
fn check_size(source: &str, limits: &Limits) -> Result<(), Diagnostic> {
    let (has, most, unit) = if source.len() > limits.source_max_bytes {
        (source.len(), limits.source_max_bytes, "bytes")
    } else {
        (source.chars().count(), limits.source_max_chars, "characters")
    };
    if has <= most {
        return Ok(());
    }
    let what = format!("the template has {has} {unit}; at most {most} are taken");
    Err(Diagnostic::error(Code::Bound, what))
}

/// Parses, rewrites, and makes instructions.
fn program<'a>(
    source: &'a str,
    lines: &Lines,
    limits: &Limits,
    plan: Option<&mut Plan>,
) -> Result<Program<'a>, Diagnostic> {
    let parsed = syntax::parse(source).map_err(|fault| fault.in_source(source, lines))?;
    let (folded, names) = fold::fold(&parsed, source, limits, plan)
        .map_err(|fault| fault.in_source(source, lines))?;
    let mut generator = CodeGenerator::new("template", source);
    generator.compile_stmt(&folded);
    let (instructions, blocks) = generator.finish();
    Ok(Program { instructions, blocks, names })
}
