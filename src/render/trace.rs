//! A rendering watched: which expression gave which value and which bytes, what was read and was not there, which
//! branches were taken. In: marks that [`fold`](super::fold) puts into a tree of its own for this. Out: a
//! [`Record`]. Never on the way of a request: a template is traced when its author asks, or when it failed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;

use minijinja::machinery::{Span, make_string_output};
use minijinja::{Environment, Error, Output, State, Value};

use super::engine::write;
use super::lazy::Node;
use super::repr::write_str;
use super::value::{Kind, is_undefined, kind, type_name};

/// Most pieces of output that are kept.
const PIECES_MAX: usize = 20_000;
/// Most reads in vain that are kept, those that printed nothing and those of expressions without a value yet.
const MISSES_MAX: usize = 200;
/// Most characters of a value that are shown.
const SHOWN_MAX_CHARS: usize = 200;
/// Most keys of a dict that are told, and most characters of each.
const KEYS_MAX: usize = 64;
const KEY_MAX_CHARS: usize = 60;

/// What a mark stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Text of the template.
    Text,
    /// `{{ expression }}`, or a part of one that is joined to others.
    Value,
    /// A lookup of an attribute or item.
    Read,
    /// A way through an `if` or `for`.
    Branch(Branch),
}

/// A way through a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The condition held.
    Then,
    /// It did not.
    Else,
    /// The loop went round.
    Each,
    /// The loop had nothing to go through.
    Empty,
}

/// A place in the tree that is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) sort: Sort,
}

/// All marks of a template; a mark is known by its index.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) marks: Vec<Mark>,
}

impl Plan {
    pub(super) fn mark(&mut self, span: Span, sort: Sort) -> Value {
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        self.marks.push(Mark { start, end, sort });
        Value::from(self.marks.len() as u32 - 1)
    }
}

/// A piece of the output and the mark that wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) mark: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What an expression gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// How often it was asked.
    pub(super) times: u32,
    /// The first value: its text, cut.
    pub(super) text: String,
    /// What kind of value that is.
    pub(super) kind: &'static str,
}

/// A read of what is not there.
#[derive(Clone, Debug)]
pub(super) struct Miss {
    pub(super) mark: usize,
    /// The keys that were there instead.
    pub(super) keys: Arc<[String]>,
}

/// What was seen of one rendering.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) pieces: Vec<Piece>,
    pub(super) given: BTreeMap<usize, Given>,
    /// Reads in vain that printed nothing, each once.
    pub(super) silent: BTreeMap<usize, Miss>,
    /// Reads in vain of the expressions at hand.
    open: Vec<Miss>,
    /// Branches that were taken.
    pub(super) taken: BTreeMap<usize, u32>,
    /// The keys that were there at each mark's first read in vain.
    keys: BTreeMap<usize, Arc<[String]>>,
    /// What is being looked into, innermost last.
    bases: Vec<Value>,
    frames: Vec<Frame>,
    /// What the next writing belongs to.
    current: Option<usize>,
    written: usize,
}

/// How far the record was when an expression began: what it captures is no output of its own.
#[derive(Clone, Copy, Debug)]
struct Frame {
    pieces: usize,
    written: usize,
    open: usize,
}

thread_local! {
    static RECORD: RefCell<Record> = RefCell::default();
}

/// Starts a record on this thread.
pub(super) fn begin() {
    RECORD.take();
}

/// The record since [`begin`]; without pieces when they do not add up to `length` bytes.
pub(super) fn end(length: usize) -> Record {
    let mut record = RECORD.take();
    if record.written != length || record.pieces.len() >= PIECES_MAX {
        record.pieces.clear();
    }
    record
}

fn with<T>(use_it: impl FnOnce(&mut Record) -> T) -> T {
    RECORD.with_borrow_mut(use_it)
}

/// Adds the operators that marks are made of, and the writer that counts bytes.
pub(super) fn equip(made: &mut Environment<'static>) {
    made.set_formatter(write_watched);
    made.add_filter("op.begin", |mark: usize| {
        with(|record| {
            let (pieces, written) = (record.pieces.len(), record.written);
            record.frames.push(Frame { pieces, written, open: record.open.len() });
        });
        mark
    });
    made.add_filter("op.emit", |mark: usize, value: &Value| {
        with(|record| {
            record.settle(mark, value);
            record.current = Some(mark);
        });
        value.clone()
    });
    made.add_filter("op.part", |mark: usize, value: &Value| {
        with(|record| record.settle(mark, value));
        value.clone()
    });
    made.add_filter("op.raw", |text: &Value, mark: usize| {
        with(|record| record.current = Some(mark));
        text.clone()
    });
    made.add_filter("op.base", |value: &Value| {
        with(|record| record.bases.push(value.clone()));
        value.clone()
    });
    made.add_filter("op.read", |value: &Value, mark: usize| {
        with(|record| record.read(mark, value));
        value.clone()
    });
    made.add_filter("op.reach", |mark: usize| {
        with(|record| *record.taken.entry(mark).or_default() += 1);
        Value::UNDEFINED
    });
    made.add_filter("op.reached", |value: &Value, mark: usize| {
        with(|record| *record.taken.entry(mark).or_default() += 1);
        value.clone()
    });
}

/// Writes as every rendering does, and counts for whom.
fn write_watched(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let current = with(|record| record.current.take());
    let mut text = String::new();
    write(&mut make_string_output(&mut text), state, value)?;
    if let Some(mark) = current {
        with(|record| {
            let start = record.written;
            record.written += text.len();
            if record.pieces.len() < PIECES_MAX {
                record.pieces.push(Piece { mark, start, end: record.written });
            }
        });
    }
    Ok(out.write_str(&text)?)
}

impl Record {
    /// The record of a template that is only text: one mark, one piece.
    pub(super) fn of_text(length: usize) -> Self {
        let piece = Piece { mark: 0, start: 0, end: length };
        Self { pieces: vec![piece], written: length, ..Self::default() }
    }

    /// Reads in vain of the expression that was at hand when the rendering ended.
    pub(super) fn open_misses(&self) -> &[Miss] {
        let from = self.frames.last().map_or(0, |frame| frame.open);
        self.open.get(from..).unwrap_or_default()
    }

    /// An expression has its value: what was written while it was made is inside that value.
    fn settle(&mut self, mark: usize, value: &Value) {
        let Some(frame) = self.frames.pop() else { return };
        self.pieces.truncate(frame.pieces);
        self.written = frame.written;
        let prints_nothing = match kind(value) {
            Kind::Undefined => true,
            Kind::Str(text) => text.is_empty(),
            _ => false,
        };
        let misses = self.open.split_off(frame.open.min(self.open.len()));
        if prints_nothing {
            // What an `if` without `else` gives is meant to be nothing.
            let nothing_read = misses.is_empty() && value.is_undefined();
            let own = nothing_read.then(|| Miss { mark, keys: Arc::from([]) });
            for miss in misses.into_iter().chain(own) {
                if self.silent.len() < MISSES_MAX {
                    self.silent.entry(miss.mark).or_insert(miss);
                }
            }
        }
        let given = self.given.entry(mark).or_insert_with(|| Given {
            times: 0,
            text: preview(value),
            kind: type_name(value),
        });
        given.times += 1;
    }

    fn read(&mut self, mark: usize, value: &Value) {
        let Some(base) = self.bases.pop() else { return };
        if !is_undefined(value) || is_undefined(&base) || self.open.len() >= MISSES_MAX {
            return;
        }
        let keys = self.keys.entry(mark).or_insert_with(|| keys(&base));
        self.open.push(Miss { mark, keys: Arc::clone(keys) });
    }
}

/// The first keys of a dict.
fn keys(of: &Value) -> Arc<[String]> {
    let Kind::Dict(dict) = kind(of) else { return Arc::from([]) };
    if let Some(node) = dict.downcast_ref::<Node>() {
        return node.json().members().take(KEYS_MAX).map(|(name, _)| short(&name)).collect();
    }
    let keys = dict.try_iter().into_iter().flatten().take(KEYS_MAX);
    keys.filter_map(|key| key.as_str().map(short)).collect()
}

fn short(key: &str) -> String {
    key.chars().take(KEY_MAX_CHARS).collect()
}

/// The start of a value's text.
fn preview(value: &Value) -> String {
    let mut start = Start { text: String::new(), left: SHOWN_MAX_CHARS };
    // What fails while it is written ends there: the rendering itself will say so.
    let whole = write_str(&mut start, value).is_ok();
    if !whole && start.left == 0 {
        start.text.push('…');
    }
    start.text
}

/// Takes the first characters.
struct Start {
    text: String,
    left: usize,
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}
