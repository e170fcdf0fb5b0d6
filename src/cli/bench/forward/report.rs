//! What sending on costs, in words and numbers. In: measurements, round by round. Out: medians, ratios to the least in
//! the same round, the floor, as a table or as JSON. Never a ratio across rounds: the machine drifts between them.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::report::{Bound, median};

/// Events per second in batches.
const BATCHES_MIN: f64 = 20_000.0;
/// p99 of a request to the sink at half load, in ms.
const P99_MAX_MS: f64 = 10.0;
/// Of what a bare client reaches with the same bodies.
const BATCHES_OF_BARE_MIN: f64 = 0.1;
const SINGLES_OF_BARE_MIN: f64 = 0.5;
/// p99 to the sink, as a multiple of the answer's: the event goes on once it is durable, as the answer does.
const P99_FACTOR_MAX: f64 = 3.0;
/// Requests taken with a destination, of those without one.
const BESIDE_MIN: f64 = 0.6;

/// Requests taken with many idle destinations, of those without any, and the memory these may take.
const CROWDED_MIN: f64 = 0.95;
const CROWD_MAX_BYTES: u64 = 200 << 20;

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) events: u64,
    pub(super) event_bytes: usize,
    pub(super) file_system: String,
    pub(super) rounds: u32,
    /// Destinations that get nothing.
    pub(super) idle: u32,
}

/// What idle destinations cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// Requests per second.
    pub(super) taken: f64,
    /// Memory beyond that of the gateway without them.
    pub(super) bytes: u64,
}

/// How long requests took to the sink, in ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// To the sender's answer.
    pub(super) answer_p99: f64,
}

/// All parts, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Events per second.
    pub(super) bare_batches: f64,
    pub(super) batches: f64,
    pub(super) bare_singles: f64,
    pub(super) singles: f64,
    /// Requests per second of the delays.
    pub(super) rate: u32,
    /// To the sink, and through a gateway to it.
    pub(super) direct: Delay,
    pub(super) delay: Delay,
    /// Requests per second, without a destination and with one.
    pub(super) alone: f64,
    pub(super) beside: f64,
    /// With idle destinations.
    pub(super) crowd: Option<Crowd>,
}

/// Medians of one part.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    unit: &'static str,
    least: f64,
    gateway: f64,
    /// The gateway's of the least, in the same round.
    ratio: f64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli::bench) struct Report {
    setup: Setup,
    /// Requests per second at half load, median.
    half_load: f64,
    rows: Vec<Row>,
    floor: Vec<Bound>,
}

impl Report {
    pub(super) fn new(setup: Setup, rounds: &[Round]) -> Self {
        let row = |what, unit, pair: fn(&Round) -> (f64, f64)| {
            let over = |figure: fn((f64, f64)) -> f64| {
                median(rounds.iter().map(|round| figure(pair(round))).collect())
            };
            Row {
                what,
                unit,
                least: over(|(least, _)| least),
                gateway: over(|(_, gateway)| gateway),
                ratio: over(|(least, gateway)| gateway / least),
            }
        };
        let mut rows = vec![
            row("batches of 500", "events/s", |one| (one.bare_batches, one.batches)),
            row("one by one", "events/s", |one| (one.bare_singles, one.singles)),
            row("to the sink, p50", "ms", |one| (one.direct.p50, one.delay.p50)),
            row("to the sink, p99", "ms", |one| (one.direct.p99, one.delay.p99)),
            row("to the answer, p99", "ms", |one| (one.direct.answer_p99, one.delay.answer_p99)),
            row("requests taken", "req/s", |one| (one.alone, one.beside)),
        ];
        let to_sink = |round: &Round| round.delay.p99 / round.delay.answer_p99;
        let to_sink = median(rounds.iter().map(to_sink).collect());
        let least =
            |what, wanted: f64, ratio: f64| bound(what, ">=", wanted, ratio, ratio >= wanted);
        let mut floor = vec![
            least("batches, of a bare client", BATCHES_OF_BARE_MIN, rows[0].ratio),
            least("one by one, of a bare client", SINGLES_OF_BARE_MIN, rows[1].ratio),
            bound(
                "p99 to the sink, of the answer's",
                "<=",
                P99_FACTOR_MAX,
                to_sink,
                to_sink <= P99_FACTOR_MAX,
            ),
            least("requests taken, of those without a destination", BESIDE_MIN, rows[5].ratio),
            least("batches, events/s", BATCHES_MIN, rows[0].gateway),
            bound(
                "p99 to the sink at half load, ms",
                "<=",
                P99_MAX_MS,
                rows[3].gateway,
                rows[3].gateway <= P99_MAX_MS,
            ),
        ];
        let half_load = median(rounds.iter().map(|round| f64::from(round.rate)).collect());
        if setup.idle > 0 {
            let crowded = row("beside idle ones", "req/s", |one| {
                (one.alone, one.crowd.map_or(0.0, |crowd| crowd.taken))
            });
            floor.push(least(
                "requests taken beside idle destinations",
                CROWDED_MIN,
                crowded.ratio,
            ));
            rows.push(crowded);
            let bytes = rounds.iter().filter_map(|round| round.crowd).map(|crowd| crowd.bytes);
            let bytes = bytes.max().unwrap_or(0);
            floor.push(Bound {
                what: "memory of idle destinations, MiB".to_owned(),
                wanted: format!("<= {}", CROWD_MAX_BYTES >> 20),
                found: format!("{}", bytes >> 20),
                reached: bytes <= CROWD_MAX_BYTES,
            });
        }
        Self { setup, half_load, rows, floor }
    }

    /// Whether it reaches all that is asked of it.
    pub(in crate::cli::bench) fn reaches_floor(&self) -> bool {
        self.floor.iter().all(|bound| bound.reached)
    }

    /// For people.
    pub(in crate::cli::bench) fn text(&self) -> String {
        let Setup { events, event_bytes, file_system, rounds, idle } = &self.setup;
        let half_load = self.half_load;
        let mut out = format!(
            "{events} events of {event_bytes} bytes on {file_system}, medians of {rounds} rounds; to the sink at \
             half load: {half_load:.0} requests/s,\ntwo events each, one by one. The least is a bare client that \
             sends the same bodies to the same sink; for requests\ntaken, the same gateway without a destination \
             (idle ones: {idle})\n\n\
             {:<20}{:>10}{:>14}{:>14}{:>8}\n",
            "", "", "least", "hookgate", "ratio",
        );
        for row in &self.rows {
            let digits = if row.unit == "ms" { 2 } else { 0 };
            let Row { what, unit, least, gateway, ratio } = row;
            let _ = writeln!(
                out,
                "{what:<20}{unit:>10}{least:>14.digits$}{gateway:>14.digits$}{ratio:>8.2}"
            );
        }
        out.push_str("\nfloor\n");
        for bound in &self.floor {
            let _ = writeln!(out, "{}", bound.text());
        }
        out.truncate(out.trim_end().len());
        out
    }
}

fn bound(what: &str, sign: &str, wanted: f64, found: f64, reached: bool) -> Bound {
    Bound {
        what: what.to_owned(),
        wanted: format!("{sign} {wanted:.2}"),
        found: format!("{found:.2}"),
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a machine of that speed.
    fn round(speed: f64) -> Round {
        let delay = |factor: f64| Delay {
            p50: 0.1 * factor / speed,
            p99: 0.2 * factor / speed,
            answer_p99: 0.1 * factor / speed,
        };
        Round {
            bare_batches: 1e6 * speed,
            batches: 8e5 * speed,
            bare_singles: 10.0 * speed,
            singles: 6.0 * speed,
            rate: 7,
            direct: delay(1.0),
            delay: delay(4.0),
            alone: 20.0 * speed,
            beside: 15.0 * speed,
            crowd: Some(Crowd { taken: 19.5 * speed, bytes: 100 << 20 }),
        }
    }

    fn report(rounds: &[Round]) -> Report {
        let file_system = "ext4".to_owned();
        let setup = Setup { events: 1, event_bytes: 500, file_system, rounds: 3, idle: 10 };
        Report::new(setup, rounds)
    }

    #[test]
    fn ratios_are_those_of_one_round() {
        let report = report(&[round(1.0), round(9.0), round(2.0)]);
        let ratios: Vec<_> = report.rows.iter().map(|row| row.ratio).collect();
        for (found, wanted) in ratios.iter().zip([0.8, 0.6, 4.0, 4.0, 4.0, 0.75, 0.975]) {
            assert!((found - wanted).abs() < 1e-9, "{ratios:?}");
        }
        assert!((report.rows[0].gateway - 1.6e6).abs() < 1e-9, "the median");
        assert!(report.reaches_floor() && report.text().contains("160"), "{}", report.text());
    }

    #[test]
    fn each_line_of_the_floor_can_be_missed() {
        let spoil: [fn(&mut Round); 8] = [
            |round| round.batches /= 10.0,
            |round| round.singles /= 3.0,
            |round| round.delay.p99 *= 4.0,
            |round| round.beside /= 2.0,
            |round| (round.bare_batches, round.batches) = (2e4, 19_999.0),
            |round| (round.delay.p99, round.delay.answer_p99) = (10.1, 10.0),
            |round| round.crowd = Some(Crowd { taken: 18.0, bytes: 0 }),
            |round| round.crowd = Some(Crowd { taken: 20.0, bytes: 201 << 20 }),
        ];
        for (line, spoil) in spoil.into_iter().enumerate() {
            let mut bad = round(1.0);
            spoil(&mut bad);
            let report = report(&[bad]);
            let missed: Vec<bool> = report.floor.iter().map(|bound| !bound.reached).collect();
            assert_eq!(missed.iter().filter(|missed| **missed).count(), 1, "{}", report.text());
            assert!(missed[line] && !report.reaches_floor());
        }
    }
}
