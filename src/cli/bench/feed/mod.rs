//! `hookgate bench --feed`: how fast events can be asked for, and that the index keeps up. In: how many events. Out: a
//! table or JSON. Events go through a real spool as requests do, and the index follows them meanwhile; then filters are
//! asked for pages and totals. Never a figure of a page that was not right: pages and totals are counted, too.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::task::JoinSet;

use super::folder::Folder;
use super::made::{ACCOUNT, Made};
use crate::cli::output::{Failure, say};
use crate::clock::Clock;
use crate::feed::{self, Feed, Question};
use crate::filter::Filter;
use crate::serve;
use crate::spool::{self, Capture, Frame, Spool};
use crate::telemetry::Telemetry;

/// Requests on their way at once, each with two events.
const SENDERS: u64 = 64;
const EVENTS_PER_REQUEST: u64 = 2;
/// Bytes of a request's body, kept beside its events.
const BODY_BYTES: usize = 300;
/// Pages asked for of each filter, and events of each.
const PAGES: u64 = 200;
const PAGE_EVENTS: usize = 200;
/// Totals asked for of each filter.
const TOTALS: u64 = 5;
/// What is to be reached.
const EVENTS_PER_SECOND_MIN: f64 = 10_000.0;
const PAGE_P99_MAX_MS: f64 = 50.0;
/// After the last event, as the index sees it; and the time it has to put its words in order.
const AGE_SECONDS: i64 = 60;
const SETTLE: Duration = Duration::from_secs(5);
/// Longest wait for the index after the last event.
const INDEX_MAX: Duration = Duration::from_hours(1);

/// One filter's figures.
#[derive(Clone, Debug, Serialize)]
struct Line {
    filter: &'static str,
    pages: u64,
    events_per_page: f64,
    p50_ms: f64,
    p99_ms: f64,
    total_p50_ms: f64,
    total_max_ms: f64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    events: u64,
    event_bytes: usize,
    file_system: String,
    index_bytes: u64,
    /// Events that the spool took in a second, while the index followed.
    kept_per_second: f64,
    /// Events that the index took in a second, from the first one kept to the last one indexed.
    indexed_per_second: f64,
    /// From the last event kept to the last one indexed.
    behind_seconds: f64,
    /// The 99th percentile over the pages of all filters but those for words.
    page_p99_ms: f64,
    lines: Vec<Line>,
}

/// Measures with so many events.
pub(super) fn measure(events: u64, root: Option<&std::path::Path>) -> Result<Report, Failure> {
    let runtime = serve::runtime().map_err(|fault| Failure::No(format!("a runtime: {fault}")))?;
    let folder = Folder::make(root)?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure_in(&folder, events) => report,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    report
}

fn failed(fault: &impl std::fmt::Display) -> Failure {
    Failure::No(fault.to_string())
}

async fn measure_in(folder: &Folder, events: u64) -> Result<Report, Failure> {
    let made = Made::new(events, Clock::System.now());
    // The index's clock goes as fast as the events come, not as they were made.
    let (clock, telemetry) = (Arc::new(Clock::fixed(made.moment(0))), Telemetry::new());
    let options = spool::Options {
        spool_max_bytes: u64::MAX,
        retention_max_bytes: 256 << 20,
        ..spool::Options::default()
    };
    let spool = Spool::open(folder.path(), options, &clock, &telemetry);
    let (spool, _) = spool.map_err(|fault| failed(&fault))?;
    let limits = feed::Options { bytes_max: u64::MAX, ..feed::Options::default() };
    let history: feed::History = Box::new(|_| Ok(()));
    let feed = Feed::start(folder.path(), limits, &spool, &clock, &telemetry, history);
    let feed = feed.map_err(|fault| failed(&fault))?;
    let began = Instant::now();
    keep(&spool, &clock, made).await?;
    let kept = began.elapsed();
    say(&format!("{events} events kept in {:.1} s", kept.as_secs_f64()));
    await_index(&feed, made).await?;
    let indexed = began.elapsed();
    say(&format!("all of them indexed after {:.1} s", indexed.as_secs_f64()));
    clock.advance_seconds(AGE_SECONDS);
    tokio::time::sleep(SETTLE).await;
    let per_second = |time: Duration| events as f64 / time.as_secs_f64();
    let (lines, page_p99_ms) = ask(&feed, made).await?;
    feed.stop().await;
    spool.close();
    let file = folder.path().join(feed::FILE_NAME);
    let index_bytes = std::fs::metadata(file).map_or(0, |about| about.len());
    Ok(Report {
        events,
        event_bytes: made.event(events / 2).json.len(),
        file_system: folder.file_system(),
        index_bytes,
        kept_per_second: per_second(kept),
        indexed_per_second: per_second(indexed),
        behind_seconds: indexed.saturating_sub(kept).as_secs_f64(),
        page_p99_ms,
        lines,
    })
}

/// Hands all events to the spool, as fast as it takes them.
async fn keep(spool: &Spool, clock: &Arc<Clock>, made: Made) -> Result<(), Failure> {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (spool, clock) = (spool.clone(), Arc::clone(clock));
        senders.spawn(async move {
            let body = Bytes::from(vec![b'x'; BODY_BYTES]);
            let mut number = sender * EVENTS_PER_REQUEST;
            while number < made.count {
                let numbers = number..(number + EVENTS_PER_REQUEST).min(made.count);
                let events: Vec<_> = numbers.map(|number| made.event(number)).collect();
                let capture =
                    Capture { webhook: ACCOUNT, body: body.clone(), ..Capture::default() };
                let workspace = Some(Made::workspace(number));
                let received = made.moment(number);
                let is_second = received.micros() - clock.now().micros() >= 1_000_000;
                if sender == 0 && is_second {
                    clock.advance_seconds(1);
                }
                let frame = Frame::encode(ACCOUNT, workspace, received, &events, Some(&capture));
                spool.append(frame).await?;
                number += SENDERS * EVENTS_PER_REQUEST;
            }
            Ok::<_, spool::SpoolError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(|fault| failed(&fault))?.map_err(|fault| failed(&fault))?;
    }
    Ok(())
}

fn question(made: Made, filter: &serde_json::Value) -> Result<Question, Failure> {
    let until = made.moment(made.count);
    let mut filter = Filter::read(filter, until).map_err(|faults| {
        Failure::No(faults.first().map_or_else(String::new, |fault| fault.says.clone()))
    })?;
    filter.until = filter.until.or(Some(until));
    let (account, workspace, limit) = (ACCOUNT, None, PAGE_EVENTS);
    Ok(Question { account, workspace, filter, limit, after: None, total: None })
}

/// Waits until every event can be found.
async fn await_index(feed: &Feed, made: Made) -> Result<(), Failure> {
    let end = Instant::now() + INDEX_MAX;
    let last = made.event(made.count - 1).id;
    let last = question(made, &serde_json::json!({"id": {"id": [last]}}))?;
    while feed.page(last.clone()).await.map_err(|fault| failed(&fault))?.events.is_empty() {
        if Instant::now() > end {
            return Err(Failure::No("the index never had all events".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let all = Question { limit: 0, ..question(made, &serde_json::Value::Null)? };
    let found = feed.page(all).await.map_err(|fault| failed(&fault))?.total;
    if found != made.count {
        return Err(Failure::No(format!("{found} of {} events are in the index", made.count)));
    }
    Ok(())
}

/// Asks each filter for pages and totals, one after the other; and the 99th percentile over all pages but
/// those of words.
async fn ask(feed: &Feed, made: Made) -> Result<(Vec<Line>, f64), Failure> {
    let (mut lines, mut every) = (Vec::new(), Vec::new());
    for (place, (name, _)) in made.filters(0).into_iter().enumerate() {
        let (mut times, mut totals, mut events) = (Vec::new(), Vec::new(), 0);
        for number in 0..PAGES {
            let (_, filter) = made.filters(number * 31 + 7).swap_remove(place);
            let mut asked = Question { total: Some(0), ..question(made, &filter)? };
            let began = Instant::now();
            let page = feed.page(asked.clone()).await.map_err(|fault| failed(&fault))?;
            times.push(began.elapsed());
            events += page.events.len();
            if number < TOTALS {
                asked.total = None;
                let full = page.after.is_some();
                asked.limit = 0;
                let began = Instant::now();
                let total = feed.page(asked).await.map_err(|fault| failed(&fault))?.total;
                totals.push(began.elapsed());
                let counted = page.events.len() as u64;
                if total < counted || (!full && total != counted) {
                    return Err(Failure::No(format!("{name}: total {total}, but {counted} found")));
                }
            }
        }
        // Words may be anywhere: they are looked for, not looked up.
        if made.filters(0)[place].1.get("text").is_none() {
            every.extend_from_slice(&times);
        }
        let line = Line {
            filter: name,
            pages: PAGES,
            events_per_page: events as f64 / PAGES as f64,
            p50_ms: quantile(&mut times, 0.5),
            p99_ms: quantile(&mut times, 0.99),
            total_p50_ms: quantile(&mut totals, 0.5),
            total_max_ms: quantile(&mut totals, 1.0),
        };
        say(&format!("{name}: p99 {:.1} ms", line.p99_ms));
        lines.push(line);
    }
    Ok((lines, quantile(&mut every, 0.99)))
}

/// A quantile in milliseconds.
fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1));
    times.get(place - 1).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

impl Report {
    /// Whether the index keeps up and pages come in time.
    pub(super) fn reaches_targets(&self) -> bool {
        self.indexed_per_second >= EVENTS_PER_SECOND_MIN && self.page_p99_ms <= PAGE_P99_MAX_MS
    }

    /// As a table.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} events of {} bytes on {}, index {:.2} GB\n\
             kept      {:>9.0} events/s\n\
             indexed   {:>9.0} events/s beside that ({:.1} s behind at the end), at least {:.0}\n\n\
             {:<18}{:>8}{:>10}{:>10}{:>14}{:>14}\n",
            self.events,
            self.event_bytes,
            self.file_system,
            self.index_bytes as f64 / 1e9,
            self.kept_per_second,
            self.indexed_per_second,
            self.behind_seconds,
            EVENTS_PER_SECOND_MIN,
            "filter",
            "events",
            "p50 ms",
            "p99 ms",
            "total p50 ms",
            "total max ms",
        );
        for line in &self.lines {
            let _ = writeln!(
                text,
                "{:<18}{:>8.0}{:>10.2}{:>10.2}{:>14.1}{:>14.1}",
                line.filter,
                line.events_per_page,
                line.p50_ms,
                line.p99_ms,
                line.total_p50_ms,
                line.total_max_ms,
            );
        }
        let _ = write!(
            text,
            "pages of all filters but words: p99 {:.2} ms, at most {PAGE_P99_MAX_MS:.0}",
            self.page_p99_ms
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_made_is_one_and_every_filter_one() {
        let made = Made::new(1000, Clock::System.now());
        for number in [0, 1, 999] {
            let event = made.event(number);
            let size = event.json.len();
            assert!((400..600).contains(&size), "{size} bytes");
            let seen = crate::filter::Seen::read(&event.json).expect("an event");
            assert_eq!((seen.id(), seen.occurred()), (Some(event.id), made.moment(number)));
        }
        for (name, filter) in made.filters(5) {
            assert!(question(made, &filter).is_ok(), "{name}");
        }
    }

    #[test]
    fn quantiles() {
        let mut times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert!((quantile(&mut times, 0.99) - 99.0).abs() < 1e-9);
        assert!((quantile(&mut times, 1.0) - 100.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).abs() < 1e-9);
    }
}
