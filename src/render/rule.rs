//! What an event is asked, and what is made of it: expressions that say whether a destination wants it, and templates
//! of the text it gets instead. In: a source, compiled once; then event by event its JSON. Out: yes or no, or a JSON
//! text on one line; or where and why not. The machine and the dialect are those of webhooks' templates; what is seen
//! is `event` alone, and the bounds are tighter: a lane has many events in hand.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use minijinja::machinery::CodeGenerator;

use super::diagnostic::Lines;
use super::error::{Fault, nearest};
use super::{
    Code, Compiled, Diagnostic, Form, Limits, Place, Program, Template, check_size, context, fold,
    lint, program, syntax,
};
use crate::json::{self, Document, Node, scan};

/// Longest expression, in characters.
pub const CONDITION_MAX_CHARS: usize = 4096;
/// What stands in front of an expression while it is read, and behind it.
const OPENING: &str = "{{ ";
const CLOSING: &str = " }}";
/// What an expression writes that holds.
const YES: &str = "1";

/// Bounds of one look at an event.
const CONDITION: Limits = Limits {
    source_max_chars: CONDITION_MAX_CHARS,
    source_max_bytes: 4 * CONDITION_MAX_CHARS,
    output_max_bytes: YES.len(),
    fuel: 20_000,
    time: Duration::from_millis(5),
    memory_max_bytes: 4 << 20,
    loops_max: 10,
    loop_depth_max: 2,
    range_max_items: 100,
    extensions: false,
};
/// Bounds of one text.
const RESHAPING: Limits = Limits {
    source_max_chars: 30_000,
    source_max_bytes: 128 << 10,
    output_max_bytes: 1 << 20,
    fuel: 100_000,
    time: Duration::from_millis(20),
    memory_max_bytes: 16 << 20,
    ..CONDITION
};
/// Bounds of an event, which was taken once, and of what is made of one.
const JSON: json::Limits = json::Limits { depth_max: 1000, nodes_max: 1_500_000 };

/// What an event has, beside its name.
const EVENT_FIELDS: [&str; 6] = ["follows", "id", "occurred", "payload", "related", "resource"];

/// What an expression sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// An event.
    Event,
    /// A request, as templates see it; a server's extensions may be there.
    Request,
}

impl Sight {
    fn names(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Event => (&["event"], &[]),
            Self::Request => (&lint::REQUEST, &lint::EXTENSIONS),
        }
    }
}

/// Warnings of names in an expression that nothing gives: they are undefined, which counts as false. Of what is no
/// expression, nothing.
#[must_use]
pub fn strangers(source: &str, sight: Sight) -> Vec<Diagnostic> {
    let (text, lines) = Lines::read(&format!("{OPENING}{source}{CLOSING}"));
    let (given, more) = sight.names();
    let all = [given, more].concat();
    let told = |(name, start): (&str, usize)| {
        let (own, about) = match sight {
            Sight::Event if EVENT_FIELDS.contains(&name) => ("", "event"),
            Sight::Event => ("payload.", "event"),
            Sight::Request => ("", "request"),
        };
        let what = format!("nothing gives the name '{name}': it is undefined for every {about}");
        let names = given.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let meant = match nearest(name, all.iter().copied()) {
            Some(meant) => meant.to_owned(),
            None => format!("{}.{own}{name}", given[0]),
        };
        let help = format!("an expression sees {names}; did you mean '{meant}'?");
        let place = lines.place(&text, start, start + name.len());
        let told = Diagnostic::warning(Code::UnknownName, what).with_help(help).at(place);
        inside(told, source.len())
    };
    lint::strangers(&text, &all).into_iter().map(told).collect()
}

/// An expression over an event, such as `event.payload.amount > 100`.
#[derive(Debug)]
pub struct Condition {
    template: Template,
    source_bytes: usize,
}

impl Condition {
    /// Checks and compiles an expression.
    ///
    /// # Errors
    /// The first fault, with its place in the expression.
    pub fn compile(source: &str) -> Result<Self, Diagnostic> {
        check_size(source, &CONDITION)?;
        let (text, lines) = Lines::read(&format!("{OPENING}{source}{CLOSING}"));
        let compiled = Compiled::try_new(text, |text| condition(text, &lines));
        let compiled = compiled.map_err(|fault| inside(fault, source.len()))?;
        let (form, limits) = (Form::Compiled(compiled, lines), CONDITION);
        let guess = YES.len().into();
        let template = Template { form, limits, guess, watched: OnceLock::new() };
        Ok(Self { template, source_bytes: source.len() })
    }

    /// Whether it holds for an event, given as JSON.
    ///
    /// # Errors
    /// What failed, or which budget was used up.
    pub fn holds(&self, event: &bytes::Bytes) -> Result<bool, Diagnostic> {
        let event = document(event)?;
        let text = self.template.run(|_| context::event(&event));
        text.map(|text| !text.is_empty()).map_err(|fault| inside(fault, self.source_bytes))
    }
}

/// A template of the text that a destination gets instead of an event.
#[derive(Debug)]
pub struct Reshaping(Template);

impl Reshaping {
    /// Checks and compiles a template.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn compile(source: &str) -> Result<Self, Diagnostic> {
        Template::compile(source, RESHAPING).map(Self)
    }

    /// The text for an event, both JSON; on one line.
    ///
    /// # Errors
    /// What failed, which budget was used up, or where the text is no JSON.
    pub fn text(&self, event: &bytes::Bytes) -> Result<Vec<u8>, Diagnostic> {
        let event = document(event)?;
        let text = self.0.run(|_| context::event(&event))?;
        let text = text.trim();
        let mut nodes: Vec<Node> = Vec::new();
        if let Err(fault) = scan(text, JSON, &mut nodes) {
            let what = format!("the text is no JSON: {fault}");
            return Err(Diagnostic::error(Code::Json, what));
        }
        // Inside a string a line's end would be escaped: only blanks are changed.
        let flat = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
        Ok(text.bytes().map(flat).collect())
    }
}

fn document(event: &bytes::Bytes) -> Result<Arc<Document>, Diagnostic> {
    let read = Document::parse(event.clone(), JSON).map(Arc::new);
    read.map_err(|fault| Diagnostic::error(Code::Budget, format!("the event: {fault}")))
}

/// Makes instructions that write something if the expression inside `{{ }}` holds.
fn condition<'a>(text: &'a str, lines: &Lines) -> Result<Program<'a>, Diagnostic> {
    let told = |fault: Fault| fault.in_source(text, lines);
    let parsed = syntax::parse_condition(text, YES).map_err(told)?;
    // In a branch an unknown name fails only when it is reached, as in Jinja; here it is told at once.
    program(text, lines, &CONDITION, None)?;
    let (folded, names) = fold::fold(&parsed, text, &CONDITION, None).map_err(told)?;
    let mut generator = CodeGenerator::new("condition", text);
    generator.compile_stmt(&folded);
    let (instructions, blocks) = generator.finish();
    Ok(Program { instructions, blocks, names })
}

/// A fault as its author counts, who wrote no braces.
fn inside(fault: Diagnostic, source_bytes: usize) -> Diagnostic {
    // What is missing at the end is missing behind the last character, not at the braces.
    let back = |at: usize, line: u32, column: u32| {
        let at = at.saturating_sub(OPENING.len());
        let excess = at.saturating_sub(source_bytes);
        let opening = if line == 1 { OPENING.len() } else { 0 };
        let column = column.saturating_sub((opening + excess) as u32).max(1);
        (at - excess, column)
    };
    let place = fault.place.map(|place| {
        let (start, column) = back(place.start, place.line, place.column);
        let (end, end_column) = back(place.end, place.end_line, place.end_column);
        Place { start, end, column, end_column, ..place }
    });
    let message = fault.message.replace("the end of the tag, '}}'", "its end");
    Diagnostic { message, place, ..fault }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const EVENT: &str = r#"{"occurred":"2026-11-28T12:00:00Z","event":"shop.order","resource":{
        "prefect.resource.id":"shop.7","kind":"big"},"related":[],"payload":{"amount":120,"tags":["a"],
        "note":"two\nlines"},"id":"019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10","follows":null}"#;

    fn event() -> Bytes {
        Bytes::from_static(EVENT.as_bytes())
    }

    #[test]
    fn expressions_say_yes_or_no() {
        for (source, holds) in [
            ("event.payload.amount > 100", true),
            ("event.payload.amount > 120", false),
            ("event.event == 'shop.order' and event.resource.kind in ['big', 'huge']", true),
            ("event.resource['prefect.resource.id'].startswith('shop.')", true),
            ("event.payload.tags", true),
            ("event.payload.missing", false),
            ("event.payload.missing is defined or event.related", false),
            ("-event.payload.amount < 0", true),
            (" 'a' in event.payload.tags\n  and not event.follows ", true),
            ("'}}' in event.payload.note", false),
            ("'x' if event.payload.amount else ''", true),
        ] {
            let condition = Condition::compile(source).expect(source);
            assert_eq!(condition.holds(&event()), Ok(holds), "{source}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        for (source, line, column) in [
            ("event.payload.amount >", 1, 23),
            ("event.amount >> 3", 1, 15),
            ("event.amount\n  | nosuch > 3", 2, 5),
            ("", 1, 1),
            ("a }} and {{ b", 1, 5),
            ("a }}{% for x in y %}{% endfor %}{{ b", 1, 5),
        ] {
            let fault = Condition::compile(source).expect_err(source);
            let place = fault.place.expect("a place");
            assert_eq!((place.line, place.column), (line, column), "{source}: {fault}");
            assert!(place.end <= source.len(), "{source}");
        }
        let long = format!("event.{}", "a".repeat(CONDITION_MAX_CHARS));
        assert!(Condition::compile(&long).expect_err("too long").is_budget());
    }

    #[test]
    fn names_that_nothing_gives_are_told_with_their_place() {
        for (source, sight, column, words) in [
            ("event.payload.amount > 100", Sight::Event, 0, ""),
            ("evnt.payload.amount > 100", Sight::Event, 1, "did you mean 'event'?"),
            ("event.a and payload.amount", Sight::Event, 13, "did you mean 'event.payload'?"),
            ("body.a and headers['x'] and method == 'PUT'", Sight::Request, 0, ""),
            ("query.a and now and path and webhook.name", Sight::Request, 0, ""),
            ("query.a", Sight::Event, 1, "an expression sees `event`"),
            ("\n not (amount > 3)", Sight::Request, 7, "did you mean 'body.amount'?"),
            ("ü is defined and range(3)", Sight::Request, 0, ""),
            ("body.", Sight::Request, 0, ""),
        ] {
            let told = strangers(source, sight);
            let found = told.first().and_then(Diagnostic::column).unwrap_or(0);
            let says = told.first().map(Diagnostic::sentence).unwrap_or_default();
            assert_eq!(found, column, "{source}: {says}");
            assert!(says.contains(words), "{source}: {says}");
        }
    }

    #[test]
    fn what_fails_and_what_takes_too_much_is_told() {
        for source in
            ["event.payload.amount > 'x'", "1 // (event.payload.amount - 120)", "nobody.x > 3"]
        {
            let condition = Condition::compile(source).expect(source);
            assert!(condition.holds(&event()).is_err(), "{source}");
        }
        let condition = Condition::compile("('x' * 3000000) | length > 3").expect("an expression");
        assert!(condition.holds(&event()).expect_err("too much").is_budget());
    }

    #[test]
    fn a_text_is_json_on_one_line_or_told() {
        let text = |source: &str| {
            let text = Reshaping::compile(source).expect(source).text(&event());
            text.map(|text| String::from_utf8(text).expect("text"))
        };
        let made = text(
            "{\n \"sum\": {{ event.payload.amount * 2 }},\n \"note\": {{ event.payload.note | tojson }}}\n",
        );
        assert_eq!(made.as_deref(), Ok(r#"{  "sum": 240,  "note": "two\nlines"}"#));
        assert_eq!(
            text("{{ event.payload | tojson }}").map(|text| text.starts_with('{')),
            Ok(true)
        );
        let fault = text("{\"a\": {{ event.event }}}").expect_err("no JSON");
        assert!(fault.message.contains("no JSON"), "{fault}");
        assert!(text("{{ event.payload.amount / 0 }}").is_err());
        assert!(Reshaping::compile("{{ event.").is_err());
    }
}
