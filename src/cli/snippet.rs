//! Diagnostics drawn for people: the source line, a caret under what is meant, the way out below. In: a template's name
//! and source, and what is told of it. Out: text, coloured when it is for a terminal. Decides nothing.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::io::Write as _;

use super::output::clean;
use super::stage;
use crate::render::{Diagnostic, Place, Severity, Sight, doubts, strangers};

/// Says diagnostics on stderr, coloured if that is a terminal.
pub(super) fn tell(name: &str, source: &str, told: &[Diagnostic]) {
    let mut out = anstream::stderr().lock();
    for diagnostic in told {
        let _ = writeln!(out, "{}\n", draw(&Renderer::styled(), name, source, diagnostic));
    }
}

/// Says on stderr which names of a `--where` nothing gives: no failure, and never what was meant.
pub(super) fn tell_strangers(condition: Option<&str>, sight: Sight) {
    let Some(condition) = condition else { return };
    if let Ok(told) = stage::perform(|| Ok(strangers(condition, sight))) {
        tell("--where", condition, &told);
    }
}

/// Says on stderr why a `--dedup-key` may not tell requests apart: no failure, and never what was meant.
pub(super) fn tell_doubts(key: Option<&str>) {
    let Some(key) = key else { return };
    if let Ok(told) = stage::perform(|| Ok(doubts(key))) {
        tell("--dedup-key", key, &told);
    }
}

/// A diagnostic as text.
pub(super) fn draw(renderer: &Renderer, name: &str, source: &str, told: &Diagnostic) -> String {
    let level = match told.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(clean(&told.message)).id(told.code.name());
    let help = told.help.as_ref().map(|help| Level::HELP.message(clean(help)));
    let Some(place) = told.place else {
        let origin = annotate_snippets::Origin::path(name);
        return renderer.render(&[title.element(origin).elements(help)]);
    };
    let lines = clean(&source.replace("\r\n", "\n").replace('\r', "\n"));
    let (start, end) = span(&lines, &place);
    let snippet =
        Snippet::source(lines).path(name).annotation(AnnotationKind::Primary.span(start..end));
    renderer.render(&[title.element(snippet).elements(help)])
}

/// The bytes of a place in a source whose lines end with `\n`; at least one, so that a caret is seen.
fn span(lines: &str, place: &Place) -> (usize, usize) {
    let start = offset(lines, place.line, place.column);
    let end = offset(lines, place.end_line, place.end_column).max(start);
    if end > start {
        return (start, end);
    }
    let next = lines[start..].chars().next().map_or(0, char::len_utf8);
    (start, start + next)
}

fn offset(lines: &str, line: u32, column: u32) -> usize {
    let start: usize =
        lines.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum();
    let own = &lines[start.min(lines.len())..];
    let within = own.char_indices().nth(column.saturating_sub(1) as usize);
    start + within.map_or(own.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Code;

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        let source = "{\r\n \"ü\": {{ body.x }}\r\n}";
        let place = Place { start: 12, end: 18, line: 2, column: 10, end_line: 2, end_column: 16 };
        let told = Diagnostic::warning(Code::Missing, "`body.x` is not there").at(place);
        let drawn = draw(&Renderer::plain(), "t.j2", source, &told.with_help("say `y`".to_owned()));
        let expected = "\
warning[J201]: `body.x` is not there
 --> t.j2:2:10
  |
2 |  \"ü\": {{ body.x }}
  |          ^^^^^^
  |
  = help: say `y`";
        assert_eq!(drawn, expected);
        let told = Diagnostic::error(Code::Bound, "too long");
        assert_eq!(
            draw(&Renderer::plain(), "t.j2", source, &told),
            "error[J103]: too long\n--> t.j2"
        );
    }
}
