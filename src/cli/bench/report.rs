//! What a bench found, in words and numbers. In: measurements, round by round. Out: medians, ratios to the limits of
//! the same round, the floor, as a table or as JSON. Never a ratio across rounds: the machine drifts between them.

use std::fmt::Write as _;

use serde::Serialize;

use super::gateway::Delivery;

/// p99 of the gateway, as a multiple of the bare server's.
const P99_FACTOR_MAX: f64 = 5.0;
/// Most resident memory of the gateway; three rounds of five seconds measured 82 to 130 MiB. 26 of that are the program
/// itself, 40 to 50 are in use at a time; the rest the allocator gives back a second late.
const RESIDENT_MAX_BYTES: u64 = 144 << 20;
/// Events at the destination when the load stops, of those accepted.
const DELIVERED_SHARE_MIN: f64 = 0.9;

/// Who is measured, in the order of each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Contestant {
    Bare,
    Durable,
    Gateway,
}

impl Contestant {
    pub(super) const ALL: [Self; 3] = [Self::Bare, Self::Durable, Self::Gateway];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::Durable => "durable limit",
            Self::Gateway => "gateway",
        }
    }
}

/// One contestant under one load.
#[derive(Clone, Debug)]
pub(super) struct Measurement {
    pub(super) requests_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) cpu_micros_per_request: f64,
    pub(super) resident_peak_bytes: u64,
    pub(super) written_bytes_per_request: f64,
    pub(super) delivery: Option<Delivery>,
    pub(super) failed: u64,
    pub(super) fault: Option<String>,
}

/// All contestants under one load, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Place in the list of bodies.
    pub(super) body: usize,
    /// In the order of [`Contestant::ALL`].
    pub(super) measurements: [Measurement; 3],
}

/// A body, and what is asked of the gateway with it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Body {
    pub(super) name: &'static str,
    pub(super) bytes: usize,
    #[serde(skip)]
    pub(super) floor: f64,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    pub(super) connections: usize,
    /// Requests per second of an open loop; none in a closed one.
    pub(super) rate: Option<u32>,
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    pub(super) file_system: String,
    /// `direct` or `buffered`.
    pub(super) posture: String,
}

/// Medians of one contestant and body.
#[derive(Clone, Debug, Serialize)]
struct Row {
    body: &'static str,
    server: Contestant,
    requests_per_second: f64,
    /// Of the bare server's requests per second in the same round.
    of_bare: f64,
    /// Of the durable limit's.
    of_limit: f64,
    p50_milliseconds: f64,
    p99_milliseconds: f64,
    p999_milliseconds: f64,
    p99_of_bare: f64,
    cpu_microseconds_per_request: f64,
    /// The most of all rounds.
    resident_peak_bytes: u64,
    written_bytes_per_request: f64,
    delivered_share: Option<f64>,
    delivery_lag_seconds: Option<f64>,
    /// Events that never came, in all rounds.
    missing: u64,
    /// Answers other than 2xx and broken connections, in all rounds.
    failed: u64,
}

/// One line of the floor.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bound {
    pub(super) what: String,
    pub(super) wanted: String,
    pub(super) found: String,
    pub(super) reached: bool,
}

impl Bound {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { what, wanted, found, reached } = self;
        let word = if *reached { "ok" } else { "NO" };
        format!("{word:>4}  {what:<48} {wanted:>8}, found {found}")
    }
}

/// What a report comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'a> {
    pub(super) floor: &'a [Bound],
    /// What makes the figures worthless: refused requests, broken connections, lost events.
    pub(super) faults: &'a [String],
}

impl Verdict<'_> {
    /// Whether every bound is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.floor.iter().all(|bound| bound.reached)
    }

    /// The end of a text for people.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str("\nfloor\n");
        for bound in self.floor {
            let _ = writeln!(out, "{}", bound.text());
        }
        for fault in self.faults {
            let _ = writeln!(out, "FAIL  {fault}");
        }
        out.truncate(out.trim_end().len());
    }
}

/// What one server did not do in all rounds.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Events that never came.
    pub(super) missing: u64,
    /// Answers other than 2xx and broken connections.
    pub(super) failed: u64,
    /// What is wrong with that, in words.
    pub(super) faults: Vec<String>,
}

impl Lost {
    pub(super) fn of(name: &str, measured: &[&Measurement]) -> Self {
        let deliveries = measured.iter().filter_map(|one| one.delivery);
        let missing = deliveries.map(|delivery| delivery.missing).sum();
        let failed = measured.iter().map(|one| one.failed).sum();
        let mut faults = Vec::new();
        if failed > 0 {
            let first = measured.iter().find_map(|one| one.fault.as_deref()).unwrap_or_default();
            faults.push(format!("{name}: {failed} requests failed; {first}"));
        }
        if missing > 0 {
            faults.push(format!("{name}: {missing} events never came"));
        }
        Self { missing, failed, faults }
    }
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    setup: Setup,
    bodies: Vec<Body>,
    rows: Vec<Row>,
    floor: Vec<Bound>,
    faults: Vec<String>,
}

impl Report {
    pub(super) fn new(setup: Setup, bodies: Vec<Body>, rounds: &[Round]) -> Self {
        let (mut rows, mut floor, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (place, body) in bodies.iter().enumerate() {
            let of_body: Vec<&Round> = rounds.iter().filter(|round| round.body == place).collect();
            for (at, server) in Contestant::ALL.into_iter().enumerate() {
                let name = format!("{}, {}", body.name, server.name());
                let mine: Vec<_> = of_body.iter().map(|round| &round.measurements[at]).collect();
                let lost = Lost::of(&name, &mine);
                let row = Row::of(body.name, server, (at, &lost), &of_body);
                faults.extend(lost.faults);
                if server == Contestant::Gateway {
                    floor.extend(row.bounds(body.floor));
                }
                rows.push(row);
            }
        }
        Self { setup, bodies, rows, floor, faults }
    }

    /// Whether it counts, and the gateway reaches all that is asked of it.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        Verdict { floor: &self.floor, faults: &self.faults }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Setup { connections, rate, rounds, seconds, file_system, posture } = &self.setup;
        let pace = rate.map_or("closed loop".to_owned(), |rate| format!("{rate} requests/s asked"));
        let mut out = format!(
            "{connections} connections, {pace}, medians of {rounds} rounds of {seconds} s; spool on \
             {file_system}, {posture} writes\n"
        );
        for body in &self.bodies {
            let _ = writeln!(out, "\n{} ({} B)\n{}", body.name, body.bytes, Row::HEAD);
            for row in self.rows.iter().filter(|row| row.body == body.name) {
                let _ = writeln!(out, "{}", row.text());
            }
        }
        self.verdict().write(&mut out);
        out
    }
}

impl Row {
    const HEAD: &str = "server            req/s  of bare  of limit   p50 ms   p99 ms p99.9 ms  CPU µs/req  \
                        peak MiB  written B/req  delivered  lag s";

    fn of(
        body: &'static str,
        server: Contestant,
        (at, lost): (usize, &Lost),
        rounds: &[&Round],
    ) -> Self {
        let over = |figure: fn(&Measurement) -> f64| {
            median(rounds.iter().map(|round| figure(&round.measurements[at])).collect())
        };
        let against = |other: Contestant, figure: fn(&Measurement) -> f64| {
            let ratio = |round: &&Round| {
                let measurements = &round.measurements;
                figure(&measurements[at]) / figure(&measurements[other as usize])
            };
            median(rounds.iter().map(ratio).collect())
        };
        let mine = || rounds.iter().map(|round| &round.measurements[at]);
        let deliveries: Vec<Delivery> = mine().filter_map(|one| one.delivery).collect();
        let delivered = |figure: fn(&Delivery) -> f64| {
            let figures: Vec<f64> = deliveries.iter().map(figure).collect();
            (!figures.is_empty()).then(|| median(figures))
        };
        Self {
            body,
            server,
            requests_per_second: over(|one| one.requests_per_second),
            of_bare: against(Contestant::Bare, |one| one.requests_per_second),
            of_limit: against(Contestant::Durable, |one| one.requests_per_second),
            p50_milliseconds: over(|one| one.p50_ms),
            p99_milliseconds: over(|one| one.p99_ms),
            p999_milliseconds: over(|one| one.p999_ms),
            p99_of_bare: against(Contestant::Bare, |one| one.p99_ms),
            cpu_microseconds_per_request: over(|one| one.cpu_micros_per_request),
            resident_peak_bytes: mine().map(|one| one.resident_peak_bytes).max().unwrap_or(0),
            written_bytes_per_request: over(|one| one.written_bytes_per_request),
            delivered_share: delivered(|delivery| delivery.share),
            delivery_lag_seconds: delivered(|delivery| delivery.lag.as_secs_f64()),
            missing: lost.missing,
            failed: lost.failed,
        }
    }

    fn bounds(&self, of_bare_min: f64) -> [Bound; 4] {
        let line = |what: &str, wanted: String, found: String, reached| Bound {
            what: format!("{}: {what}", self.body),
            wanted,
            found,
            reached,
        };
        let share = self.delivered_share.unwrap_or(0.0);
        let peak = self.resident_peak_bytes;
        [
            line(
                "req/s, of bare hyper",
                format!(">= {of_bare_min:.2}"),
                format!("{:.3}", self.of_bare),
                self.of_bare >= of_bare_min,
            ),
            line(
                "p99, of bare hyper",
                format!("<= {P99_FACTOR_MAX:.1}"),
                format!("{:.2}", self.p99_of_bare),
                self.p99_of_bare <= P99_FACTOR_MAX,
            ),
            line(
                "peak memory, MiB",
                format!("<= {}", RESIDENT_MAX_BYTES >> 20),
                format!("{:.0}", mebibytes(peak)),
                peak <= RESIDENT_MAX_BYTES,
            ),
            line(
                "events delivered when the load stops",
                format!(">= {:.0} %", DELIVERED_SHARE_MIN * 100.0),
                format!("{:.1} %", share * 100.0),
                share >= DELIVERED_SHARE_MIN,
            ),
        ]
    }

    fn text(&self) -> String {
        let dash = || "-".to_owned();
        let share =
            self.delivered_share.map_or_else(dash, |share| format!("{:.1} %", share * 100.0));
        let lag = self.delivery_lag_seconds.map_or_else(dash, |lag| format!("{lag:.2}"));
        format!(
            "{:<14} {:>8.0} {:>8.2} {:>9.2} {:>8.2} {:>8.2} {:>8.2} {:>11.1} {:>9.0} {:>14.0} {:>10} {:>6}",
            self.server.name(),
            self.requests_per_second,
            self.of_bare,
            self.of_limit,
            self.p50_milliseconds,
            self.p99_milliseconds,
            self.p999_milliseconds,
            self.cpu_microseconds_per_request,
            mebibytes(self.resident_peak_bytes),
            self.written_bytes_per_request,
            share,
            lag,
        )
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The middle one; of an even count the mean of both. Nothing measured is nothing.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => figures[half],
        _ => f64::midpoint(figures[half - 1], figures[half]),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in super::super) fn measurement(requests_per_second: f64, p99_ms: f64) -> Measurement {
        Measurement {
            requests_per_second,
            p50_ms: 1.0,
            p99_ms,
            p999_ms: 9.0,
            cpu_micros_per_request: 10.0,
            resident_peak_bytes: 50 << 20,
            written_bytes_per_request: 1000.0,
            delivery: None,
            failed: 0,
            fault: None,
        }
    }

    /// A round in which the gateway reaches `of_bare` on a machine of that speed.
    fn round(speed: f64, of_bare: f64) -> Round {
        let mut gateway = measurement(speed * of_bare, 4.0);
        let lag = Duration::from_millis(300);
        gateway.delivery = Some(Delivery { share: 0.95, lag, missing: 0 });
        let measurements = [measurement(speed, 2.0), measurement(speed * 0.8, 3.0), gateway];
        Round { body: 0, measurements }
    }

    pub(in super::super) fn setup() -> Setup {
        Setup {
            connections: 64,
            rate: None,
            rounds: 3,
            seconds: 5,
            file_system: "ext4".to_owned(),
            posture: "direct".to_owned(),
        }
    }

    fn report(rounds: &[Round]) -> Report {
        Report::new(setup(), vec![Body { name: "small", bytes: 130, floor: 0.45 }], rounds)
    }

    #[test]
    fn ratios_are_those_of_one_round() {
        let report = report(&[round(10_000.0, 0.5), round(90_000.0, 0.4), round(20_000.0, 0.6)]);
        let gateway = &report.rows[2];
        assert!((gateway.of_bare - 0.5).abs() < 1e-9);
        assert!((gateway.of_limit - 0.625).abs() < 1e-9);
        assert!((gateway.requests_per_second - 12_000.0).abs() < 1e-6);
        assert!((gateway.p99_of_bare - 2.0).abs() < 1e-9);
        assert!((report.rows[0].of_bare - 1.0).abs() < 1e-9);
        assert!(report.verdict().is_kept() && report.faults.is_empty());
        let text = report.text();
        assert!(text.contains("small (130 B)") && text.contains("95.0 %"), "{text}");
    }

    #[test]
    fn each_line_of_the_floor_can_be_missed() {
        let spoil: [fn(&mut Measurement); 4] = [
            |gateway| gateway.requests_per_second = 4_400.0,
            |gateway| gateway.p99_ms = 10.1,
            |gateway| gateway.resident_peak_bytes = RESIDENT_MAX_BYTES + 1,
            |gateway| gateway.delivery = None,
        ];
        for (line, spoil) in spoil.into_iter().enumerate() {
            let mut bad = round(10_000.0, 0.5);
            spoil(&mut bad.measurements[2]);
            let report = report(&[bad]);
            let missed: Vec<bool> = report.floor.iter().map(|bound| !bound.reached).collect();
            assert_eq!(missed.iter().filter(|missed| **missed).count(), 1);
            assert!(missed[line] && !report.verdict().is_kept(), "{}", report.text());
        }
    }

    #[test]
    fn refusals_and_losses_make_it_worthless() {
        let mut bad = round(10_000.0, 0.5);
        bad.measurements[1].failed = 2;
        bad.measurements[1].fault = Some("an answer was 503".to_owned());
        let lag = Duration::ZERO;
        bad.measurements[2].delivery = Some(Delivery { share: 0.95, lag, missing: 7 });
        let report = report(&[round(10_000.0, 0.5), bad]);
        assert_eq!(
            report.faults,
            [
                "small, durable limit: 2 requests failed; an answer was 503",
                "small, gateway: 7 events never came"
            ]
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9);
    }
}
