//! Rules about JSON: what is written must be JSON whatever the request says. In: strings, values and commas with the
//! expressions in them. Out: findings, most with a way to mend them. Never a finding where the value cannot be told.

use std::fmt::Write as _;
use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, Expr, ForLoop, UnaryOpKind};

use super::super::chars::is_space;
use super::super::code::Code;
use super::super::syntax::lexer::Token;
use super::Edit;
use super::prints::{Prints, prints};
use super::skeleton::{Piece, Skeleton, Spot, Text};
use super::walk::Walk;

/// Longest part of an expression that a message quotes, in characters.
const QUOTE_MAX_CHARS: usize = 40;

impl<'s, 'a> Walk<'s, 'a> {
    /// A string that is complete: nothing in it may end it early.
    pub(super) fn check_string(
        &mut self,
        text: &Text<'s, 'a>,
        is_value: bool,
        range: Range<usize>,
    ) {
        let quoted = text.pieces.iter().find_map(|piece| match *piece {
            Piece::Shown(expr, start, end) if written_as_json(expr).is_some() => Some((start, end)),
            _ => None,
        });
        if let Some((start, end)) = quoted {
            let what = format!(
                "'{}' stands inside quotes, and tojson writes its own",
                self.quote(start, end)
            );
            let help = "leave the quotes out: tojson quotes and escapes".to_owned();
            let fixes = self.string_fixes(text, is_value, range);
            self.fail(Code::QuotedJson, start..end, what, help, fixes);
            return;
        }
        let unsafe_one = text.pieces.iter().find_map(|piece| match *piece {
            Piece::Shown(expr, start, end) => {
                let writes = prints(expr, self.scope);
                matches!(writes, Prints::Data | Prints::Python).then_some((start, end))
            }
            Piece::Literal(_) => None,
        });
        let Some((start, end)) = unsafe_one else { return };
        let what = format!(
            "a quotation mark, backslash or line break in '{}' ends this string and breaks the JSON",
            self.quote(start, end)
        );
        let fixes = self.string_fixes(text, is_value, range);
        let help = match fixes.first() {
            Some(fix) if fix.text.len() <= 120 => {
                format!("let tojson quote and escape it: {}", fix.text)
            }
            _ => "let tojson quote and escape it: \"a {{ x }}\" is {{ (\"a \" ~ x)|tojson }}"
                .to_owned(),
        };
        self.warn_fix(Code::QuotedValue, start..end, what, help, fixes);
    }

    /// The string as one expression, or nothing when its parts cannot be moved.
    fn string_fixes(&self, text: &Text<'s, 'a>, is_value: bool, range: Range<usize>) -> Vec<Edit> {
        let Some(parts) = self.parts(text, range.clone(), false) else { return Vec::new() };
        // Right behind a brace, the braces of a tag would be read as other ones.
        let space = if self.source[..range.start].ends_with('{') { " " } else { "" };
        let edit = |text: String| {
            let text = format!("{space}{text}");
            Edit { start: range.start, end: range.end, text }
        };
        if let [Piece::Shown(expr, start, end)] = text.pieces[..] {
            let source = &self.source[start..end];
            if let Some(inner) = written_as_json(expr) {
                let inner = self.inner_source(inner, start);
                // What was written inside quotes so far was no string: as a string, or as JSON in one.
                return vec![
                    edit(format!("{{{{ {source} }}}}")),
                    edit(format!("{{{{ {inner}|string|tojson }}}}")),
                    edit(format!("{{{{ {source}|tojson }}}}")),
                ];
            }
            let value = operand(source, expr);
            let text = edit(format!("{{{{ {value}|string|tojson }}}}"));
            // A key is a string, and so is what is joined; anything else may be a number as well.
            return match expr {
                Expr::BinOp(node) if matches!(node.op, BinOpKind::Concat) => {
                    vec![edit(format!("{{{{ {value}|tojson }}}}"))]
                }
                _ if !is_value => vec![text],
                _ => vec![edit(format!("{{{{ {value}|tojson }}}}")), text],
            };
        }
        let kept = self.parts(text, range.clone(), true).filter(|kept| *kept != parts);
        let whole = |parts: Vec<String>| edit(format!("{{{{ ({})|tojson }}}}", parts.join(" ~ ")));
        std::iter::once(parts).chain(kept).map(whole).collect()
    }

    /// The parts of a string as operands of `~`, with `tojson` kept where it is, or left out.
    fn parts(&self, text: &Text<'s, 'a>, range: Range<usize>, keeps: bool) -> Option<Vec<String>> {
        if text.is_mixed {
            return None;
        }
        // Every byte between the quotes must be one of the parts: no comment, no tag of another kind.
        let mut at = range.start + 1;
        let mut parts = Vec::new();
        for piece in &text.pieces {
            match *piece {
                Piece::Literal(literal) => {
                    if literal.contains('\\') || !self.source[at..].starts_with(literal) {
                        return None;
                    }
                    at += literal.len();
                    parts.push(format!("\"{literal}\""));
                }
                Piece::Shown(expr, start, end) => {
                    let tag = self.tag(start, end)?;
                    if tag.start != at {
                        return None;
                    }
                    at = tag.end;
                    parts.push(match written_as_json(expr) {
                        Some(inner) if !keeps => self.inner_source(inner, start),
                        _ => operand(&self.source[start..end], expr),
                    });
                }
            }
        }
        (at == range.end - 1).then_some(parts)
    }

    /// What `|tojson` is applied to, as it is written: what stands before the bar, without the brackets that are closed
    /// only behind the filter.
    pub(super) fn inner_source(&self, (inner, name): (&Expr<'a>, usize), start: usize) -> String {
        let Some((_bar, before)) = self.tokens_in(start..name).split_last() else {
            return String::new();
        };
        let count = |brackets: [&str; 3]| {
            before.iter().filter(|token| brackets.iter().any(|one| token.is_op(one))).count()
        };
        let open = count(["(", "[", "{"]).saturating_sub(count([")", "]", "}"]));
        let first = before.get(open).map_or(name, |token| token.start);
        let end = before.last().map_or(name, Token::end);
        operand(self.source.get(first..end).unwrap_or_default(), inner)
    }

    /// A value without quotes.
    pub(super) fn check_value(
        &mut self,
        expr: &'s Expr<'a>,
        writes: &Prints,
        whole: Option<Range<usize>>,
    ) {
        let spot = self.skeleton.as_ref().map_or(Spot::Other, Skeleton::spot);
        let range = whole.clone().unwrap_or_else(|| self.range(expr));
        let shown = self.quote(range.start, range.end);
        let is_body = matches!(expr, Expr::Var(var) if var.id == "body");
        // Authors write `true` and `false` so.
        let is_lower = matches!(expr, Expr::Filter(node)
            if node.name == "lower" && !matches!(node.expr, Some(Expr::BinOp(_))));
        let what = match writes {
            _ if is_lower => {
                self.check_event_value(spot, expr, range, whole.is_some());
                return;
            }
            Prints::Data => format!(
                "'{shown}' is written as it is: text without quotes, None, True and False are not JSON"
            ),
            Prints::Python if is_body => {
                "'body' is written as Python writes it: {'key': None} is not JSON".to_owned()
            }
            Prints::Python => {
                format!("'{shown}' is written as Python writes it, which is not JSON")
            }
            Prints::Texts(texts) if texts.iter().any(|text| is_python_word(text)) => {
                format!(
                    "'{shown}' is written as Python writes it: True, False and None are not JSON"
                )
            }
            Prints::Plain => format!("'{shown}' is written without quotes, which is not JSON"),
            Prints::Texts(texts) if texts.iter().all(|text| is_bare_word(text)) => {
                format!("'{shown}' is written without quotes, which is not JSON")
            }
            _ => {
                self.check_event_value(spot, expr, range, whole.is_some());
                return;
            }
        };
        let end = if spot == Spot::Other { "|tojson" } else { "|string|tojson" };
        let help = format!("let tojson write it: {{{{ {}{end} }}}}", operand(&shown, expr));
        let fixes = whole.map(|whole| {
            let mended = operand(&self.source[whole.clone()], expr);
            let edit = |end: &str| Edit {
                start: whole.start,
                end: whole.end,
                text: format!("{mended}{end}"),
            };
            if spot == Spot::Other {
                vec![edit("|tojson")]
            } else {
                vec![edit("|tojson"), edit("|string|tojson")]
            }
        });
        self.fail_or_warn(matches!(writes, Prints::Data), range, what, help, fixes);
    }

    /// A key without quotes.
    pub(super) fn check_key(&mut self, expr: &'s Expr<'a>, whole: Option<Range<usize>>) {
        let range = whole.clone().unwrap_or_else(|| self.range(expr));
        let shown = self.quote(range.start, range.end);
        let what = format!("'{shown}' is written as a key without quotes, which is not JSON");
        let text = |source: &str| format!("{}|string|tojson", operand(source, expr));
        let help = format!("let tojson write it: {{{{ {} }}}}", text(&shown));
        let fix = whole.map(|whole| {
            let text = text(&self.source[whole.clone()]);
            Edit { start: whole.start, end: whole.end, text }
        });
        self.fail(Code::BareValue, range, what, help, fix.into_iter().collect());
    }

    fn fail_or_warn(
        &mut self,
        may_work: bool,
        range: Range<usize>,
        what: String,
        help: String,
        fixes: Option<Vec<Edit>>,
    ) {
        let fixes = fixes.unwrap_or_default();
        if may_work {
            self.warn_fix(Code::BareValue, range, what, help, fixes);
        } else {
            self.fail(Code::BareValue, range, what, help, fixes);
        }
    }

    /// A comma that stays behind the last item of a loop.
    pub(super) fn check_comma(&mut self, comma: usize) {
        let what = "this comma stays behind the last item of the loop, where JSON takes none";
        let sure = "{% if not loop.last %},{% endif %}";
        let fix = Edit { start: comma, end: comma + 1, text: sure.to_owned() };
        let help = format!("write it between items only: {sure}");
        self.fail(Code::LoopComma, comma..comma + 1, what.to_owned(), help, vec![fix]);
    }

    /// Items of a loop with nothing between them.
    pub(super) fn check_turns(&mut self, node: &ForLoop<'a>) {
        let what =
            "the second item of this loop cannot stand behind the first: no comma is between";
        let help = "end the loop's body with {% if not loop.last %},{% endif %}";
        let range = self.range(&node.iter);
        self.fail(Code::LoopItems, range, what.to_owned(), help.to_owned(), Vec::new());
    }

    /// Text of the template that no JSON can have at this place.
    pub(super) fn check_broken(&mut self, at: usize) {
        let found = self.source[at..].chars().next().unwrap_or(' ');
        let before = self.source[..at].trim_end();
        let range = at..at + found.len_utf8();
        let (what, help) = match found {
            '"' if self.string_breaks(at) => (
                "this string has no end in its line".to_owned(),
                "close it with '\"', or write a line break as \\n",
            ),
            '}' | ']' if before.ends_with(',') => (
                format!("a comma in front of '{found}', which JSON does not take"),
                "leave out the comma",
            ),
            '\'' => (
                "a string in single quotes, which JSON does not know".to_owned(),
                "write it in double quotes",
            ),
            '"' | '{' | '[' => (
                format!("'{found}' stands where a comma or a colon is missing"),
                "write a comma between members, and a colon behind a key",
            ),
            _ => (
                format!("'{found}' cannot stand here in JSON"),
                "an event is one JSON object: {\"event\": …, \"resource\": {…}}",
            ),
        };
        self.fail(Code::NeverJson, range, what, help.to_owned(), Vec::new());
    }

    /// A value right behind a value.
    pub(super) fn check_second_value(&mut self, expr: &Expr<'_>) {
        let range = self.range(expr);
        let what = "a value stands right behind another, and JSON wants a comma between them";
        self.fail(
            Code::NeverJson,
            range,
            what.to_owned(),
            "write the comma".to_owned(),
            Vec::new(),
        );
    }

    fn string_breaks(&self, at: usize) -> bool {
        let rest = &self.source[at + 1..];
        match (rest.find('"'), rest.find(|c: char| c < ' ')) {
            (Some(quote), Some(control)) => control < quote,
            (quote, _) => quote.is_none(),
        }
    }

    /// The end of the template: nothing may be open.
    pub(super) fn check_end(&mut self) {
        let Some(skeleton) = &self.skeleton else { return };
        if !skeleton.certain || skeleton.is_whole() {
            return;
        }
        let (at, what) = match (&skeleton.text, skeleton.stack.last()) {
            (Some(text), _) => (text.start, "this string has no end".to_owned()),
            (None, Some(frame)) => {
                let bracket = if frame.is_object { '{' } else { '[' };
                (frame.start, format!("this '{bracket}' is never closed"))
            }
            (None, None) => (0, "the template writes nothing".to_owned()),
        };
        let help = "an event is one JSON object: {\"event\": …, \"resource\": {…}}".to_owned();
        let end = (at + 1).min(self.source.len());
        self.fail(Code::NeverJson, at..end, what, help, Vec::new());
    }

    /// A part of the source for a message.
    pub(super) fn quote(&self, start: usize, end: usize) -> String {
        let text = &self.source[start..end];
        let words = text.split(is_space).filter(|word| !word.is_empty());
        let text = words.collect::<Vec<_>>().join(" ");
        if text.chars().count() <= QUOTE_MAX_CHARS {
            return text;
        }
        let mut short: String = text.chars().take(QUOTE_MAX_CHARS - 1).collect();
        let _ = write!(short, "…");
        short
    }

    /// Where an expression stands. A filter's own span starts at its name.
    pub(super) fn range(&self, expr: &Expr<'_>) -> Range<usize> {
        let span = expr.span();
        let end = span.end_offset as usize;
        first_byte(expr)..end.min(self.source.len())
    }
}

/// Where an expression begins.
fn first_byte(expr: &Expr<'_>) -> usize {
    let own = expr.span().start_offset as usize;
    match expr {
        Expr::Filter(node) => node.expr.as_ref().map_or(own, |inner| first_byte(inner).min(own)),
        Expr::Test(node) => first_byte(&node.expr).min(own),
        Expr::BinOp(node) => first_byte(&node.left).min(own),
        _ => own,
    }
}

fn is_python_word(text: &str) -> bool {
    matches!(text, "True" | "False" | "None")
}

/// A word that JSON does not know.
fn is_bare_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic()) && !matches!(text, "true" | "false" | "null")
}

/// What `tojson` is applied to, when that is what writes an expression, and where its name stands.
pub(super) fn written_as_json<'s, 'a>(expr: &'s Expr<'a>) -> Option<(&'s Expr<'a>, usize)> {
    match expr {
        Expr::Filter(node) if node.name == "tojson" && node.args.is_empty() => {
            Some((node.expr.as_ref()?, node.span().start_offset as usize))
        }
        _ => None,
    }
}

/// An expression as it is written, in brackets when what follows would bind tighter.
pub(super) fn operand(source: &str, expr: &Expr<'_>) -> String {
    let is_loose = match expr {
        Expr::BinOp(_) | Expr::Compare(_) | Expr::IfExpr(_) | Expr::Test(_) | Expr::Tuple(_) => {
            true
        }
        Expr::UnaryOp(node) => matches!(node.op, UnaryOpKind::Not),
        _ => false,
    };
    if is_loose && !is_bracketed(source) { format!("({source})") } else { source.to_owned() }
}

/// Whether one pair of brackets is around all of it.
fn is_bracketed(source: &str) -> bool {
    let (mut depth, mut quote) = (0_usize, None);
    let mut chars = source.char_indices();
    while let Some((place, c)) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 && place + 1 < source.len() {
                    return false;
                }
            }
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    source.starts_with('(')
}
