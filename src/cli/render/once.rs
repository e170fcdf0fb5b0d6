//! One template and one request. In: both. Out: the event on stdout, everything to say about it on stderr, the exit
//! code. The rendering is the gateway's own, on a stack as its threads have.

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use super::super::case::{Request, context};
use super::super::output::{Failure, clean, print_line, print_text, say};
use super::super::pretty;
use super::super::snippet::tell;
use super::super::stage;
use super::{Args, given};
use crate::json;
use crate::render::{Severity, Template, Trial};

/// How often files are looked at while watching.
const LOOK: Duration = Duration::from_millis(100);

/// Renders once.
pub(super) fn run(path: &Path, args: &Args) -> Result<(), Failure> {
    let (name, source) = given::source(path)?;
    let request = args.given.request()?;
    let (parsed, trial) = trial(&source, &request, args.extensions)?;
    if args.form.is_json() {
        print_line(&trial.to_json(None))?;
    } else {
        show(&name, &source, &trial, args)?;
    }
    match verdict(parsed, &trial, args) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Renders whenever a file has changed.
pub(super) fn watch(path: &Path, args: &Args) -> Result<(), Failure> {
    let times = || -> Vec<Option<SystemTime>> {
        let files = args.given.files().chain([path]);
        files.map(|file| file.metadata().and_then(|data| data.modified()).ok()).collect()
    };
    let mut seen = Vec::new();
    loop {
        let now = times();
        if now != seen {
            seen = now;
            if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                print_text("\x1b[H\x1b[2J")?;
            }
            // What is wrong with the files is said, and may be mended.
            match run(path, args) {
                Ok(()) => say("ok; waiting for changes, Ctrl-C ends"),
                Err(Failure::NoReader) => return Err(Failure::NoReader),
                Err(failure) => say(&format!("{failure}; waiting for changes, Ctrl-C ends")),
            }
        }
        thread::sleep(LOOK);
    }
}

/// Whether the template parsed, and what became of the request.
fn trial(source: &str, request: &Request, extensions: bool) -> Result<(bool, Trial), Failure> {
    let body = request.body(stage::body_limits());
    let body = body.map_err(|fault| Failure::No(format!("body: {fault}")))?;
    stage::perform(|| match Template::compile(source, stage::limits(extensions)) {
        Ok(template) => {
            let trial = template.trial(&context(request, &body), &stage::stamp(request));
            Ok((true, trial))
        }
        Err(fault) => Ok((false, Trial { diagnostics: vec![fault], ..Trial::default() })),
    })
}

/// How it ends; nothing when there is what was asked for.
fn verdict(parsed: bool, trial: &Trial, args: &Args) -> Option<Failure> {
    let count = |severity| trial.diagnostics.iter().filter(|d| d.severity == severity).count();
    let warnings = count(Severity::Warning);
    let is_there = if args.text { trial.text.is_some() } else { trial.event.is_some() };
    match () {
        () if !parsed => Some(Failure::NotLoaded("the template does not parse".to_owned())),
        () if trial.text.is_none() => Some(Failure::No("rendering failed: no event".to_owned())),
        () if !is_there => Some(Failure::No("the rendered text is no event".to_owned())),
        () if args.strict && warnings > 0 => {
            let noun = if warnings == 1 { "warning" } else { "warnings" };
            Some(Failure::No(format!("{warnings} {noun}, and --strict")))
        }
        () => None,
    }
}

fn show(name: &str, source: &str, trial: &Trial, args: &Args) -> Result<(), Failure> {
    match (&trial.text, &trial.event) {
        (Some(text), _) if args.text => print_text(text)?,
        (Some(text), Some(_)) => print_text(&pretty::laid_out(text))?,
        _ => {}
    }
    if args.trace && trial.text.is_some() {
        trial.values.iter().for_each(|shown| {
            let words = source.get(shown.place.start..shown.place.end).unwrap_or_default();
            let words = clean(words);
            let times = match shown.times {
                0 | 1 => String::new(),
                times => format!("  ({times} times, first shown)"),
            };
            let (line, column) = (shown.place.line, shown.place.column);
            let at = format!("{name}:{line}:{column}");
            say(&format!("{at}  {words}  →  {} {}{times}", shown.kind, quoted(&shown.text)));
        });
        let cost = trial.cost;
        let (steps, bytes, memory) = (cost.steps, cost.bytes, cost.memory);
        let micros = cost.time.as_micros();
        say(&format!(
            "{steps} steps, {memory} bytes of values, {bytes} bytes of text, {micros} µs"
        ));
    }
    // Whoever asks for the text wants to hear only why there is none.
    if !args.text || trial.text.is_none() || args.strict {
        tell(name, source, &trial.diagnostics);
    }
    if let (Some(text), Some(fault), false) = (&trial.text, &trial.fault, args.text) {
        fault.line.iter().for_each(|line| say_around(text, *line));
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::write_str(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

/// The lines of the rendered text around the one that is not JSON.
fn say_around(text: &str, line: u32) {
    let at = (line as usize).saturating_sub(1);
    say("the rendered text:");
    let from = at.saturating_sub(2);
    for (number, line) in text.lines().enumerate().skip(from).take(5) {
        let mark = if number == at { '>' } else { ' ' };
        let end = line.floor_char_boundary(200);
        let more = if end < line.len() { "…" } else { "" };
        say(&format!("{mark} {:>3} | {}{more}", number + 1, clean(&line[..end])));
    }
}
