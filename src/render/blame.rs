//! From a fault in the rendered text back to the template: which expression wrote the bytes that are no event. In: a
//! text, its fault, and the record of a watched rendering. Out: the mark to blame and the bytes of the source. Never
//! more work than a few scans of a short text.

use std::ops::Range;

use super::trace::{Mark, Piece, Sort};
use crate::event::DraftError;
use crate::json::{self, Kind, Value};

/// Most expressions that are tried as the culprit, and the longest text they are tried in.
const TRIES_MAX: usize = 16;
const TRIED_MAX_BYTES: usize = 64 << 10;
/// Bounds of a scan: those of an event.
const LIMITS: json::Limits = json::Limits { depth_max: 190, nodes_max: 250_000 };
/// What stands in for a value, inside a string and outside of one.
const HARMLESS: [&str; 2] = ["x", "null"];

/// What is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    /// The piece of output, by its index.
    pub(super) piece: Option<usize>,
    /// Bytes of the source.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The bytes of the source that are to blame for a fault of the rendered text.
pub(super) fn find(
    text: &str,
    fault: &DraftError,
    marks: &[Mark],
    pieces: &[Piece],
) -> Option<Blame> {
    if let Some(at) = fault.at {
        let culprit = culprit(text, at, marks, pieces);
        return match culprit {
            Some(piece) => Some(of_piece(piece, marks, pieces)),
            // Nothing would be better with another value: it is what stands around it.
            None => at_bytes(at..at + 1, text, marks, pieces)
                .map(|blame| Blame { piece: None, ..blame }),
        };
    }
    // A label that must be there may be there, and empty.
    let labels = ["prefect.resource.id", "prefect.resource.role"];
    let label = labels.iter().find(|label| fault.what.contains(**label));
    let pointer = match (fault.pointer.as_deref()?, label) {
        (pointer, Some(label)) if !pointer.ends_with(label) => format!("{pointer}/{label}"),
        (pointer, _) => pointer.to_owned(),
    };
    let (range, is_whole) = pointed(text, &pointer)?;
    // A container is to blame as a whole: only an expression that wrote all of it did it.
    let wrote = |piece: &Piece| {
        let all = piece.start <= range.start && range.end <= piece.end;
        all || (!is_whole && overlaps(piece, &range))
    };
    let written: Vec<usize> = pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| marks[piece.mark].sort == Sort::Value && wrote(piece))
        .map(|(place, _)| place)
        .collect();
    if fault.what.contains("gateway's own") {
        // Whoever wrote the beginning of the name.
        return at_bytes(range.start + 1..range.end, text, marks, pieces);
    }
    // What printed nothing is the likelier mistake.
    let silent = written.iter().find(|place| pieces[**place].start == pieces[**place].end);
    match silent.or(written.first()) {
        Some(&piece) => Some(of_piece(piece, marks, pieces)),
        None if is_whole => at_bytes(range.start..range.start + 1, text, marks, pieces),
        None => at_bytes(range, text, marks, pieces),
    }
}

fn overlaps(piece: &Piece, range: &Range<usize>) -> bool {
    let is_empty = piece.start == piece.end;
    (piece.start < range.end && piece.end > range.start)
        || (is_empty && range.start <= piece.start && piece.end <= range.end)
}

fn of_piece(piece: usize, marks: &[Mark], pieces: &[Piece]) -> Blame {
    let mark = marks[pieces[piece].mark];
    Blame { piece: Some(piece), start: mark.start, end: mark.end }
}

/// The expression without whose text reading would get further: nearest first.
fn culprit(text: &str, at: usize, marks: &[Mark], pieces: &[Piece]) -> Option<usize> {
    if text.len() > TRIED_MAX_BYTES {
        let holds = |piece: &Piece| piece.start <= at && at < piece.end;
        let place = pieces.iter().position(holds)?;
        return (marks[pieces[place].mark].sort == Sort::Value).then_some(place);
    }
    let before = pieces.iter().enumerate().rev();
    before
        .filter(|(_, piece)| piece.start <= at && marks[piece.mark].sort == Sort::Value)
        .take(TRIES_MAX)
        .find(|(_, piece)| HARMLESS.iter().any(|other| gets_further(text, at, piece, other)))
        .map(|(place, _)| place)
}

/// Whether a text is read beyond `at` when a piece of it is something else.
fn gets_further(text: &str, at: usize, piece: &Piece, other: &str) -> bool {
    let (Some(head), Some(tail)) = (text.get(..piece.start), text.get(piece.end..)) else {
        return false;
    };
    let changed = [head, other, tail].concat();
    match json::scan(&changed, LIMITS, &mut Vec::new()) {
        Ok(()) => true,
        Err(fault) => {
            // Where the fault would be if the piece had nothing to do with it.
            let behind = at.saturating_sub(piece.end);
            fault.at > piece.start + other.len() + behind
        }
    }
}

/// The bytes of the source that wrote bytes of the output; text maps one to one.
fn at_bytes(range: Range<usize>, text: &str, marks: &[Mark], pieces: &[Piece]) -> Option<Blame> {
    let start = range.start.min(text.len());
    let holds = |piece: &Piece| piece.start <= start && start < piece.end;
    let last = || pieces.iter().rposition(|piece| piece.end == start);
    let place = pieces.iter().position(holds).or_else(last)?;
    let (piece, mark) = (pieces[place], marks[pieces[place].mark]);
    if mark.sort != Sort::Text {
        return Some(of_piece(place, marks, pieces));
    }
    let from = mark.start + (start - piece.start);
    let end = from + range.end.min(piece.end).saturating_sub(start);
    Some(Blame { piece: None, start: from, end: end.max(from) })
}

/// The bytes of the value at a JSON pointer, or of the container that lacks it; and whether that is a container.
fn pointed(text: &str, pointer: &str) -> Option<(Range<usize>, bool)> {
    let mut nodes = Vec::new();
    json::scan(text, LIMITS, &mut nodes).ok()?;
    let mut value = Value::root(text, &nodes);
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = match value.kind() {
            Kind::Array => name.parse().ok().and_then(|place: usize| value.items().nth(place)),
            // A long name is cut in the pointer.
            _ => value.get(&name).or_else(|| {
                let mut members = value.members();
                members
                    .find(|(other, _)| name.len() > 100 && other.starts_with(&*name))
                    .map(|m| m.1)
            }),
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    let is_container = matches!(value.kind(), Kind::Array | Kind::Object);
    Some((value.start()..value.start() + value.raw().len(), is_container))
}
