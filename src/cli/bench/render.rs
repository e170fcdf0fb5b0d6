//! `hookgate bench --render`: what a rendering costs beside the stock engine rendering the same template over the same
//! index, and with its parsing beside parsers alone. In: how long. Out: a table or JSON, and whether the bounds are
//! kept. One thread, no socket, no disk. Never two sides measured at different times: their batches take turns.
//!
//! The bound on parsing and rendering is one on what rendering may add where parsing is the work: a body of 8 KB, and
//! a parser that makes values of it, as `serde_json` does. Our index of the same body takes a fraction of that time,
//! which no rendering is small beside; it is measured too, and has no bound.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

use super::super::stage;
use super::report::median;
use super::shape::{Shape, TEMPLATE};
use crate::cli::output::Failure;
use crate::json::{self, Document};
use crate::render::{Context, Limits, Stock, Template};
use crate::request::Body;

/// A header, nested names, a slice, `tojson`, `length`.
const SIX_LINES: &str = include_str!("six.j2");
/// As the gateway parses.
const JSON: json::Limits = json::Limits { depth_max: 100, nodes_max: 100_000 };
/// One side's turn: short, so that few are interrupted, and long beside a look at the clock.
const TURN: Duration = Duration::from_micros(200);
/// Rendering, as a multiple of the stock engine's.
const OF_STOCK_MAX: f64 = 1.3;
/// Parsing and rendering, as a multiple of a parser's time alone.
const OF_PARSER_MAX: f64 = 1.2;

/// What is measured beside what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Beside {
    /// Rendering, beside the stock engine's.
    #[serde(rename = "stock")]
    Stock,
    /// Parsing and rendering, beside making values.
    #[serde(rename = "serde_json")]
    SerdeJson,
    /// Parsing and rendering, beside making our index.
    #[serde(rename = "own parser")]
    OwnParser,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
struct Line {
    template: &'static str,
    body: &'static str,
    bytes: usize,
    beside: Beside,
    ours_microseconds: f64,
    other_microseconds: f64,
    /// The median of the ratios of turns that followed each other.
    ratio: f64,
    bound: Option<f64>,
    kept: bool,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    rounds: u32,
    seconds: u32,
    lines: Vec<Line>,
}

/// A template and a body, ready to be rendered by both.
struct Case {
    template: &'static str,
    source: &'static str,
    body: &'static str,
    text: Bytes,
    headers: Arc<HeaderMap>,
    beside: Beside,
}

/// Nanoseconds of one thing done, turn by turn, on both sides.
#[derive(Default)]
struct Turns {
    ours: Vec<f64>,
    other: Vec<f64>,
}

/// Measures on a thread like those that serve requests.
pub(super) fn measure(rounds: u32, seconds: u32) -> Result<Report, Failure> {
    stage::perform(move || measure_here(rounds, seconds))
}

fn measure_here(rounds: u32, seconds: u32) -> Result<Report, Failure> {
    let mut cases = Vec::new();
    let [small, push] = Shape::all();
    for (beside, shapes) in [
        (Beside::Stock, &[&small, &push][..]),
        (Beside::SerdeJson, &[&push]),
        (Beside::OwnParser, &[&push]),
    ] {
        for shape in shapes {
            for (template, source) in [("push", TEMPLATE), ("six lines", SIX_LINES)] {
                cases.push((Case::new(template, source, shape, beside), Turns::default()));
            }
        }
    }
    let share = Duration::from_secs(seconds.into()) / cases.len() as u32;
    for _ in 0..rounds {
        for (case, turns) in &mut cases {
            case.measure(share, turns).map_err(Failure::No)?;
        }
    }
    let lines = cases.iter().map(|(case, turns)| case.line(turns)).collect();
    Ok(Report { rounds, seconds, lines })
}

impl Case {
    fn new(template: &'static str, source: &'static str, shape: &Shape, beside: Beside) -> Self {
        let mut headers = shape.header_map();
        let event = HeaderName::from_static("x-github-event");
        headers.entry(event).or_insert(HeaderValue::from_static("push"));
        let text = shape.body.clone().into();
        Self { template, source, body: shape.name, text, headers: Arc::new(headers), beside }
    }

    fn measure(&self, share: Duration, turns: &mut Turns) -> Result<(), String> {
        let template = Template::compile(self.source, Limits::default());
        let template = template.map_err(|fault| fault.to_string())?;
        let render = |document: &Arc<Document>| {
            let body = Body::Json(Arc::clone(document));
            template.render(&Context::new(&Method::POST, &self.headers, &body))
        };
        let parse = || Document::parse(self.text.clone(), JSON).map(Arc::new);
        let document = parse().map_err(|fault| fault.to_string())?;
        let stock = Stock::compile(self.source, Limits::default().fuel)?;
        let stock = stock.template()?;
        let stock = || stock.render(&self.headers, &document);
        let (mine, theirs) = (render(&document).map_err(|fault| fault.to_string())?, stock()?);
        if mine != theirs {
            return Err(format!("the engines do not agree: {mine}\nand {theirs}"));
        }
        let whole = || parse().map(|document| render(&document));
        match self.beside {
            Beside::Stock => turns.take(share, || render(&document), stock),
            Beside::SerdeJson => {
                turns
                    .take(share, whole, || serde_json::from_slice::<serde_json::Value>(&self.text));
            }
            Beside::OwnParser => turns.take(share, whole, parse),
        }
        Ok(())
    }

    fn line(&self, turns: &Turns) -> Line {
        let ratios = turns.ours.iter().zip(&turns.other).map(|(ours, other)| ours / other);
        let ratio = median(ratios.collect());
        let bound = match self.beside {
            Beside::Stock => Some(OF_STOCK_MAX),
            Beside::SerdeJson => Some(OF_PARSER_MAX),
            Beside::OwnParser => None,
        };
        Line {
            template: self.template,
            body: self.body,
            bytes: self.text.len(),
            beside: self.beside,
            ours_microseconds: median(turns.ours.clone()) / 1000.0,
            other_microseconds: median(turns.other.clone()) / 1000.0,
            ratio,
            bound,
            kept: bound.is_none_or(|bound| ratio <= bound),
        }
    }
}

impl Turns {
    /// Lets both do their thing in turn until `share` is over.
    fn take<A, B>(&mut self, share: Duration, ours: impl Fn() -> A, other: impl Fn() -> B) {
        let ended = Instant::now() + share;
        let (ours_count, other_count) = (times(&ours), times(&other));
        while Instant::now() < ended {
            self.ours.push(turn(ours_count, &ours));
            self.other.push(turn(other_count, &other));
        }
    }
}

/// How often it is done in one turn.
pub(super) fn times<T>(what: impl Fn() -> T) -> u32 {
    let mut count = 1;
    loop {
        let nanoseconds = turn(count, &what) * f64::from(count);
        if nanoseconds >= TURN.as_nanos() as f64 || count >= 1 << 16 {
            return count;
        }
        count *= 2;
    }
}

/// Nanoseconds of doing it once, when it is done so often.
pub(super) fn turn<T>(count: u32, what: impl Fn() -> T) -> f64 {
    let started = Instant::now();
    for _ in 0..count {
        black_box(what());
    }
    started.elapsed().as_nanos() as f64 / f64::from(count)
}

impl Report {
    /// Whether every bound is kept.
    pub(super) fn keeps_bounds(&self) -> bool {
        self.lines.iter().all(|line| line.kept)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { rounds, seconds, .. } = self;
        let mut out = format!(
            "one thread, medians of {rounds} rounds of {seconds} s, both sides in turn\n\n{:<14} {:<9}  \
             {:<15} {:>7}  {:<10} {:>7} {:>6}    bound\n",
            "what", "template", "body", "ours µs", "beside", "µs", "ratio"
        );
        for line in &self.lines {
            let (what, beside) = match line.beside {
                Beside::Stock => ("render", "stock"),
                Beside::SerdeJson => ("parse + render", "serde_json"),
                Beside::OwnParser => ("parse + render", "own parser"),
            };
            let bound = match line.bound {
                Some(bound) => format!("<= {bound:.2}  {}", if line.kept { "ok" } else { "NO" }),
                None => "-".to_owned(),
            };
            let _ = writeln!(
                out,
                "{what:<14} {:<9}  {:<15} {:>7.2}  {beside:<10} {:>7.2} {:>6.2}  {bound}",
                line.template,
                format!("{} ({} B)", line.body, line.bytes),
                line.ours_microseconds,
                line.other_microseconds,
                line.ratio,
            );
        }
        out.push_str(
            "\nserde_json makes values of the body, which the bound is for; our parser makes an index, and is here \
             to be seen",
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ours: f64, beside: Beside) -> Report {
        let [small, _] = Shape::all();
        let case = Case::new("push", TEMPLATE, &small, beside);
        // A machine that is twice as slow for a while is so for both sides.
        let other = vec![1000.0, 2000.0, 1000.0];
        let turns = Turns { ours: other.iter().map(|other| other * ours).collect(), other };
        Report { rounds: 1, seconds: 1, lines: vec![case.line(&turns)] }
    }

    #[test]
    fn a_bound_is_kept_or_broken() {
        let kept = report(1.29, Beside::Stock);
        assert!(kept.keeps_bounds() && kept.text().contains("<= 1.30  ok"), "{}", kept.text());
        assert!(!report(1.31, Beside::Stock).keeps_bounds());
        assert!(!report(1.21, Beside::SerdeJson).keeps_bounds());
        let unbound = report(9.0, Beside::OwnParser);
        assert!(unbound.keeps_bounds() && !unbound.text().contains("<="), "{}", unbound.text());
    }

    #[test]
    fn both_engines_make_the_same_text() {
        for shape in Shape::all() {
            for source in [TEMPLATE, SIX_LINES] {
                let mut turns = Turns::default();
                let case = Case::new("any", source, &shape, Beside::Stock);
                case.measure(Duration::ZERO, &mut turns).expect("the same text");
                assert!(turns.ours.is_empty());
            }
        }
    }
}
