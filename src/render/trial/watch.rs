//! A watched rendering, read: its record beside the source. In: marks, what was seen at them, and what became of the
//! text. Out: diagnostics with the expression to blame and the way out; values, branches and pieces with their places.

use std::borrow::Cow;

use super::super::advice::{self, joined, plain, split};
use super::super::blame::{self, Blame};
use super::super::chars::is_space;
use super::super::code::Code;
use super::super::diagnostic::{Diagnostic, Lines, Place};
use super::super::error::nearest;
use super::super::trace::{Mark, Miss, Record, Sort};
use super::{Cause, Reached, Shown, Span, code};
use crate::event::{DraftError, Reject};

/// Most keys named in a hint.
const HINT_KEYS_MAX: usize = 12;
/// Longest expression inside a message.
const WORDS_MAX_BYTES: usize = 120;

/// A watched rendering, read.
pub(super) struct Watch<'t> {
    pub(super) source: &'t str,
    pub(super) lines: Cow<'t, Lines>,
    pub(super) marks: Cow<'t, [Mark]>,
    pub(super) record: Record,
}

impl<'t> Watch<'t> {
    /// A source without tags is its own rendering.
    pub(super) fn verbatim(source: &'t str) -> Self {
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
    pub(super) fn diagnostics(&self, cause: Option<Cause<'_>>, warnings: usize) -> Vec<Diagnostic> {
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
        told.extend(silent.take(warnings).map(|miss| {
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
            let there = there.map_or(String::new(), |there| {
                let end = if there.ends_with('?') { " Or " } else { "; or " };
                there + end
            });
            let told = Diagnostic { message: format!("{what}; `{words}` printed nothing"), ..told };
            return told.with_help(format!("{there}give a default: `{words}|default(…)`"));
        }
        let value = plain(&words);
        let mark = self.marks[piece.mark];
        let help = match fault.reject {
            Reject::Json if words.contains("tojson") => {
                format!("`tojson` writes its own quotes: `{{{{ {words} }}}}` stands without any")
            }
            Reject::Json if !self.is_written_plainly(mark) => {
                "what is put together there must be JSON: let `tojson` write the values inside"
                    .to_owned()
            }
            Reject::Json => {
                advice::of_value(&value, &advice::around(text, piece.start, self.source, mark))
            }
            Reject::InvalidEvent if fault.what.contains("must be a string") => {
                format!("make a string of it: `{{{{ {value}|string|tojson }}}}`")
            }
            _ => return told.with_help(advice::of_event(fault)),
        };
        told.with_help(help)
    }

    /// Whether a mark is an expression of values, rather than a call or a block that puts text together.
    fn is_written_plainly(&self, mark: Mark) -> bool {
        let words = self.source.get(mark.start..mark.end).unwrap_or_default();
        let before = self.source.get(..mark.start).unwrap_or_default().trim_end_matches(is_space);
        let in_braces = before.trim_end_matches(['-', '+']).ends_with("{{");
        in_braces && !words.trim_end_matches(is_space).ends_with(')')
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

    pub(super) fn values(&self) -> Vec<Shown> {
        let given = self.record.given.iter().map(|(&mark, given)| {
            let Mark { start, end, .. } = self.marks[mark];
            let (place, text) = (self.place(start, end), given.text.clone());
            Shown { place, text, kind: given.kind, times: given.times }
        });
        let mut shown: Vec<Shown> = given.collect();
        shown.sort_by_key(|shown| (shown.place.start, shown.place.end));
        shown
    }

    pub(super) fn reached(&self) -> Vec<Reached> {
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

    pub(super) fn spans(&self) -> Vec<Span> {
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
