//! Rules about the event: its name, its resource, its labels. In: values with the place they have in the event's JSON.
//! Out: findings. Never about a payload, which may hold anything.

use std::ops::Range;

use minijinja::machinery::ast::{Expr, ForLoop};

use crate::event::reserved_prefix;

use super::super::code::Code;
use super::Edit;
use super::prints::{begins_with_text, first_text, is_data, kind};
use super::safety::{operand, written_as_json};
use super::scope::Origin;
use super::skeleton::{Frame, Piece, Skeleton, Spot, Text};
use super::tree::{last_name, shown};
use super::walk::Walk;

/// Most related resources that a loop should give, as the gallery has it.
const RELATED_CUT: usize = 90;
/// Fields that hold texts of any length.
const LONG: [&str; 20] = [
    "body",
    "comment",
    "content",
    "data",
    "description",
    "diff",
    "html",
    "log",
    "logs",
    "message",
    "note",
    "output",
    "patch",
    "payload",
    "stack",
    "stacktrace",
    "summary_text",
    "text",
    "trace",
    "traceback",
];
/// Fields that are new each time.
const FRESH: [&str; 14] = [
    "created",
    "date",
    "delivery",
    "guid",
    "id",
    "nonce",
    "number",
    "sha",
    "time",
    "timestamp",
    "ts",
    "updated",
    "uuid",
    "sequence",
];

impl<'s, 'a> Walk<'s, 'a> {
    /// A string in the place of a value.
    pub(super) fn check_string_value(&mut self, text: &Text<'s, 'a>) {
        let spot = self.skeleton.as_ref().map_or(Spot::Other, Skeleton::spot);
        for piece in &text.pieces {
            if let Piece::Shown(expr, ..) = *piece {
                self.check_parts(spot, expr);
            }
        }
        if spot != Spot::Event || text.is_mixed {
            return;
        }
        match text.pieces.first() {
            Some(&Piece::Literal(literal)) => {
                let start = text.start + 1;
                self.check_reserved(literal, start..start + literal.len());
            }
            Some(&Piece::Shown(expr, start, end)) => self.check_name(expr, start..end),
            None => {}
        }
    }

    /// A value that `tojson` or the template itself writes, in a place of the event.
    pub(super) fn check_event_value(
        &mut self,
        spot: Spot,
        expr: &'s Expr<'a>,
        range: Range<usize>,
        is_whole: bool,
    ) {
        self.check_parts(spot, expr);
        match spot {
            Spot::Event => {
                if let Some(text) = first_text(expr) {
                    self.check_reserved(text, range.clone());
                }
                self.check_name(expr, range);
            }
            Spot::Label => self.check_label(expr, range, is_whole),
            Spot::Other => {}
        }
    }

    fn check_reserved(&mut self, text: &str, range: Range<usize>) {
        if let Some(prefix) = reserved_prefix(text) {
            let what = format!("names that begin with '{prefix}' are the gateway's own");
            let help = "name the event after what sends it, such as \"github.push\"".to_owned();
            self.fail(Code::ReservedName, range, what, help, Vec::new());
        }
    }

    fn check_name(&mut self, expr: &'s Expr<'a>, range: Range<usize>) {
        if begins_with_text(expr, self.scope) == Some(false) {
            let what = format!(
                "the event's name begins with '{}', so that any sender can name an event at will",
                self.quote(range.start, range.end)
            );
            let help = "begin it with a text of your own: \"github.\" ~ body.action".to_owned();
            self.warn(Code::BareName, range, what, help);
        }
    }

    /// The parts that a name or label is made of.
    fn check_parts(&mut self, spot: Spot, expr: &'s Expr<'a>) {
        if spot == Spot::Other {
            return;
        }
        let mut found = Vec::new();
        parts(expr, &mut |part| found.push(part));
        for part in found {
            match spot {
                Spot::Event => self.check_fresh(part),
                _ => self.check_long(part),
            }
        }
    }

    fn check_fresh(&mut self, part: &'s Expr<'a>) {
        let Some(name) = last_name(part) else { return };
        if is_fresh(name) && is_data(part, self.scope) {
            let range = self.range(part);
            let what = format!(
                "'{}' is new each time, and so is the event's name: nothing can wait for it",
                self.quote(range.start, range.end)
            );
            let help = "name the kind of event; ids and moments belong to `resource`, `occurred` \
                        or `payload`";
            self.warn(Code::FreshName, range, what, help.to_owned());
        }
    }

    fn check_long(&mut self, part: &'s Expr<'a>) {
        let root = matches!(part, Expr::Var(var) if matches!(var.id, "body" | "headers")
            && !self.scope.is_set(var.id));
        let is_long = last_name(part).is_some_and(|name| LONG.contains(&name));
        if root || (is_long && is_data(part, self.scope)) {
            let range = self.range(part);
            let what = format!(
                "'{}' in a label has no bound: labels are for names, and are kept in an index",
                self.quote(range.start, range.end)
            );
            let help = "cut it, such as [:200], or put it into `payload`".to_owned();
            self.warn(Code::LongLabel, range, what, help);
        }
    }

    /// Labels are strings.
    fn check_label(&mut self, expr: &'s Expr<'a>, range: Range<usize>, is_whole: bool) {
        let (value, is_json) = match expr {
            Expr::Filter(node) if node.name == "tojson" => match &node.expr {
                Some(inner) => (inner, true),
                None => return,
            },
            other => (other, false),
        };
        let Some(found) = kind(value, self.scope).other_than_text() else { return };
        let what = format!("a label must be a string, and this is {found}");
        let help = "make it one: |string|tojson".to_owned();
        let mut fixes = Vec::new();
        if is_whole {
            let inner = if is_json {
                written_as_json(expr).map(|inner| self.inner_source(inner, range.start))
            } else {
                Some(operand(&self.source[range.clone()], expr))
            };
            if let Some(inner) = inner {
                let text = format!("{inner}|string|tojson");
                fixes.push(Edit { start: range.start, end: range.end, text });
            }
        }
        self.fail(Code::LabelKind, range, what, help, fixes);
    }

    /// A number or word of the template's own.
    pub(super) fn check_literal(&mut self, range: Range<usize>) {
        let spot = self.skeleton.as_ref().map_or(Spot::Other, Skeleton::spot);
        let text = self.source.get(range.clone()).unwrap_or_default();
        match spot {
            Spot::Label => {
                let what = format!("a label must be a string, and this is {text}");
                let fix = Edit { start: range.start, end: range.end, text: format!("\"{text}\"") };
                let help = format!("write it in quotes: \"{text}\"");
                self.fail(Code::LabelKind, range, what, help, vec![fix]);
            }
            Spot::Event => {
                let what = format!("the event's name must be a string, and this is {text}");
                let help = "write a name, such as \"github.push\"".to_owned();
                self.fail(Code::EventParts, range, what, help, Vec::new());
            }
            Spot::Other => {}
        }
    }

    /// An object of the event is complete: what must be in it is there.
    pub(super) fn check_closed(&mut self, frame: &Frame, end: usize) {
        let Some(skeleton) = &self.skeleton else { return };
        let range = frame.start..frame.start + 1;
        let example = "{\"event\": \"a.b\", \"resource\": {\"prefect.resource.id\": \"a.1\"}}";
        if skeleton.stack.is_empty() && !frame.is_object {
            let what = "an event is a JSON object, and this is an array".to_owned();
            self.fail(Code::EventParts, range, what, format!("write {example}"), Vec::new());
            return;
        }
        let key = |place: usize| skeleton.stack.get(place).and_then(|frame| frame.key.as_deref());
        let (of, wanted): (&str, &[&str]) = match (skeleton.stack.len(), key(0)) {
            (0, _) => ("the event", &["event", "resource"]),
            (1, Some("resource")) => ("the resource", &["prefect.resource.id"]),
            (2, Some("related")) if !skeleton.stack[1].is_object => {
                ("a related resource", &["prefect.resource.id", "prefect.resource.role"])
            }
            _ => return,
        };
        if !frame.complete || !frame.is_object || end > self.source.len() {
            return;
        }
        for missing in wanted.iter().filter(|key| !frame.may_have(key)) {
            let what = format!("{of} has no \"{missing}\"");
            let help = match *missing {
                "prefect.resource.role" => {
                    "say what it is to the event: \"prefect.resource.role\": \"sender\""
                }
                "prefect.resource.id" => {
                    "name it by what stays: {{ (\"github.repository.\" ~ body.repository.id)|tojson }}"
                }
                _ => example,
            };
            self.fail(Code::EventParts, range.clone(), what, help.to_owned(), Vec::new());
        }
    }

    /// A loop over what a sender sent, straight into the related resources.
    pub(super) fn check_iterable(&mut self, node: &'s ForLoop<'a>) {
        if !self.skeleton.as_ref().is_some_and(Skeleton::is_in_related) {
            return;
        }
        let is_path = matches!(node.iter, Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Var(_));
        if !is_path || !is_data(&node.iter, self.scope) || self.is_cut(&node.iter) {
            return;
        }
        let range = self.range(&node.iter);
        let shown = self.quote(range.start, range.end);
        let what = format!("'{shown}' has no bound, and an event holds 99 related resources");
        let cut = format!("[:{RELATED_CUT}]");
        let help = format!("cut it: {shown}{cut}");
        let fix = Edit { start: range.end, end: range.end, text: cut };
        self.warn_fix(Code::RelatedCut, range, what, help, vec![fix]);
    }

    fn is_cut(&self, expr: &Expr<'a>) -> bool {
        let Expr::Var(var) = expr else { return false };
        matches!(self.scope.origin(var.id), Some(Origin::Set(value))
            if !matches!(value, Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Var(_)))
    }
}

fn is_fresh(name: &str) -> bool {
    let ends =
        ["_id", "_at", "_uuid", "_time", "_date", "_number", "Id", "At", "Timestamp", "Date"];
    FRESH.contains(&name) || ends.iter().any(|end| name.ends_with(end))
}

/// What an expression is made of, down to lookups and names; what is cut is left out.
fn parts<'s, 'a>(expr: &'s Expr<'a>, visit: &mut dyn FnMut(&'s Expr<'a>)) {
    match expr {
        Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Var(_) => visit(expr),
        Expr::Slice(_) | Expr::Call(_) => {}
        Expr::Filter(node)
            if matches!(
                node.name,
                "truncate" | "length" | "count" | "int" | "first" | "last" | "default" | "d"
            ) =>
        {
            if matches!(node.name, "default" | "d" | "int") {
                node.expr.iter().for_each(|inner| parts(inner, visit));
            }
        }
        other => shown(other, &mut |part| parts(part, visit)),
    }
}
