//! `hookgate bench --verified`: what it costs that a webhook's requests are verified. In: how hard and how long. Out:
//! a table or JSON, and whether the bounds are kept. One gateway with two webhooks, one of which demands a signature;
//! both get the same bytes, in turn. Beside it the judgement alone, in this process. Never a ratio across rounds.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use serde::Serialize;
use serde_json::json;

use super::Bench;
use super::folder::Folder;
use super::gateway::{Gateway, To};
use super::render::{times, turn};
use super::report::{Bound, Lost, Measurement, Setup, Verdict, median};
use super::shape::{self, Shape};
use crate::cli::output::{Failure, say};
use crate::clock::{Clock, Time};
use crate::id::Secret;
use crate::verify::signature::{
    Draft, Greeting, Mark, Parameters, Registry, Request, SchemeFault, Signer, Verifier,
};

/// Who signs: HMAC-SHA256 over the body, as most of them do.
const PROVIDER: &str = "github";
const SECRET: &str = "a-secret-of-the-bench";
/// Requests per second with verification, of those without.
const OF_UNVERIFIED_MIN: f64 = 0.95;
/// One judgement.
const MICROSECONDS_MAX: f64 = 3.0;
/// For the judgement alone.
const ALONE: Duration = Duration::from_secs(1);

/// One webhook under one load, in all rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    verified: bool,
    requests_per_second: f64,
    p99_milliseconds: f64,
    cpu_microseconds_per_request: f64,
    /// Events that never came, in all rounds.
    missing: u64,
    /// Answers other than 2xx and broken connections, in all rounds.
    failed: u64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    setup: Setup,
    body_bytes: usize,
    rows: [Row; 2],
    /// The median of the rounds' ratios.
    of_unverified: f64,
    /// Of one judgement, in this process.
    verification_microseconds: f64,
    floor: Vec<Bound>,
    faults: Vec<String>,
}

/// A small request as the provider signs it.
struct Signed {
    shape: Shape,
    headers: HeaderMap,
}

fn refused(fault: &SchemeFault) -> Failure {
    Failure::No(fault.to_string())
}

impl Signed {
    fn make(now: Time) -> Result<Self, Failure> {
        let [shape, _] = Shape::all();
        let registry = Registry::built_in();
        let row = registry.find(PROVIDER).map_err(|fault| refused(&fault))?;
        let secret = Secret::new(SECRET);
        let signer = Signer::new(PROVIDER, row, &secret, Parameters::new(), None);
        let body = shape.body.clone().into_bytes();
        let bare = Draft { method: Method::POST, headers: shape.header_map(), query: None, body };
        let mark = Mark { now: now.micros().div_euclid(1_000_000), id: "bench" };
        let ready = signer.and_then(|signer| signer.sign(bare, mark));
        let headers = ready.map_err(|fault| refused(&fault))?.headers;
        Ok(Self { shape: shape.with_headers(&headers), headers })
    }

    /// Microseconds of one judgement: the question for handshakes, then the signature.
    fn alone(&self, now: Time) -> Result<f64, Failure> {
        let registry = Registry::built_in();
        let row = registry.find(PROVIDER).map_err(|fault| refused(&fault))?;
        let verifier =
            Verifier::new(PROVIDER, row, &[Secret::new(SECRET)], Parameters::new(), None);
        let verifier = verifier.map_err(|fault| refused(&fault))?.strict();
        let request = Request {
            method: &Method::POST,
            headers: &self.headers,
            query: None,
            body: self.shape.body.as_bytes(),
            slug: None,
            certificate: None,
            parsed: None,
        };
        let now = Some(now.micros().div_euclid(1_000_000));
        let judge = || match verifier.greet(&request, &None, now) {
            Greeting::None => verifier.judge(&request, &None, now).is_ok(),
            _ => false,
        };
        if !judge() {
            return Err(Failure::No("what the bench has signed is not taken".to_owned()));
        }
        let (count, ended, mut turns) = (times(judge), Instant::now() + ALONE, Vec::new());
        while Instant::now() < ended {
            turns.push(turn(count, judge) / 1000.0);
        }
        Ok(median(turns))
    }
}

/// Measures both webhooks in each round, the other one first in each second.
pub(super) async fn measure(bench: &Bench) -> Result<Report, Failure> {
    let folder = Folder::make(bench.data_root.as_deref())?;
    let now = Clock::System.now();
    let signed = Signed::make(now)?;
    let body = &signed.shape.body;
    let mut gateway = Gateway::start(folder.path(), &To::File, shape::TEMPLATE, body).await?;
    let demanding = gateway
        .make_webhook(&json!({
            "name": "verified", "template": shape::TEMPLATE,
            "verification": {"provider": PROVIDER, "secrets": [SECRET]},
        }))
        .await?;
    let hooks = [gateway.hook().to_owned(), demanding];
    gateway.settle().await?;
    let setup = bench.setup(&folder, gateway.posture().await?);
    let mut found = [Vec::new(), Vec::new()];
    for number in 1..=bench.rounds {
        let first = usize::from(number % 2 == 0);
        for which in [first, 1 - first] {
            let measured = one(&mut gateway, &hooks[which], &signed.shape, bench).await?;
            say(&format!(
                "round {number} of {}: {}: {:.0} requests/s",
                bench.rounds,
                name(which == 1),
                measured.requests_per_second
            ));
            found[which].push(measured);
        }
    }
    gateway.stop()?;
    Ok(Report::new(setup, body.len(), &found, signed.alone(now)?))
}

async fn one(
    gateway: &mut Gateway,
    hook: &str,
    shape: &Shape,
    bench: &Bench,
) -> Result<Measurement, Failure> {
    let (named, address) = (("the gateway", gateway.child()), gateway.address());
    let (mut measured, accepted) =
        bench.press(named, address, shape.request(address, hook)).await?;
    measured.delivery = Some(gateway.delivery(accepted).await?);
    Ok(measured)
}

fn name(verified: bool) -> &'static str {
    if verified { "verified" } else { "unverified" }
}

impl Row {
    fn of(verified: bool, measured: &[Measurement], lost: &Lost) -> Self {
        let over = |figure: fn(&Measurement) -> f64| median(measured.iter().map(figure).collect());
        Self {
            verified,
            requests_per_second: over(|one| one.requests_per_second),
            p99_milliseconds: over(|one| one.p99_ms),
            cpu_microseconds_per_request: over(|one| one.cpu_micros_per_request),
            missing: lost.missing,
            failed: lost.failed,
        }
    }
}

impl Report {
    fn new(
        setup: Setup,
        body_bytes: usize,
        found: &[Vec<Measurement>; 2],
        verification_microseconds: f64,
    ) -> Self {
        let lost = [false, true].map(|is| {
            let measured: Vec<_> = found[usize::from(is)].iter().collect();
            Lost::of(name(is), &measured)
        });
        let rows =
            [false, true].map(|is| Row::of(is, &found[usize::from(is)], &lost[usize::from(is)]));
        let faults = lost.into_iter().flat_map(|lost| lost.faults).collect();
        let ratios = found[0].iter().zip(&found[1]);
        let ratios = ratios.map(|(bare, signed)| {
            signed.requests_per_second / bare.requests_per_second.max(f64::MIN_POSITIVE)
        });
        let of_unverified = median(ratios.collect());
        let floor = vec![
            Bound {
                what: "req/s, of the unverified webhook".to_owned(),
                wanted: format!(">= {OF_UNVERIFIED_MIN:.2}"),
                found: format!("{of_unverified:.3}"),
                reached: of_unverified >= OF_UNVERIFIED_MIN,
            },
            Bound {
                what: "one verification alone, µs".to_owned(),
                wanted: format!("<= {MICROSECONDS_MAX:.1}"),
                found: format!("{verification_microseconds:.2}"),
                reached: verification_microseconds <= MICROSECONDS_MAX,
            },
        ];
        Self { setup, body_bytes, rows, of_unverified, verification_microseconds, floor, faults }
    }

    /// Whether it counts, and every bound is kept.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        Verdict { floor: &self.floor, faults: &self.faults }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Setup { connections, rounds, seconds, file_system, posture, .. } = &self.setup;
        let mut out = format!(
            "{connections} connections, {} B signed with HMAC-SHA256 as {PROVIDER} does, medians of {rounds} rounds \
             of {seconds} s, both in turn; spool on {file_system}, {posture} writes\n\n{:<12} {:>9} {:>9} {:>12}\n",
            self.body_bytes, "webhook", "req/s", "p99 ms", "CPU µs/req"
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "{:<12} {:>9.0} {:>9.2} {:>12.1}",
                name(row.verified),
                row.requests_per_second,
                row.p99_milliseconds,
                row.cpu_microseconds_per_request
            );
        }
        self.verdict().write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{measurement, setup};
    use super::*;

    fn measured(requests_per_second: f64, failed: u64) -> Measurement {
        let fault = (failed > 0).then(|| "an answer was 401".to_owned());
        Measurement { failed, fault, ..measurement(requests_per_second, 2.0) }
    }

    fn report(of: f64, failed: u64, micros: f64) -> Report {
        // A machine that is twice as slow for a while is so for both.
        let bare = [1000.0, 2000.0, 1000.0];
        let found = [bare, bare.map(|rate| rate * of)]
            .map(|rates| rates.iter().map(|rate| measured(*rate, failed)).collect::<Vec<_>>());
        Report::new(setup(), 130, &found, micros)
    }

    #[test]
    fn a_bound_is_kept_or_broken() {
        let kept = report(0.96, 0, 1.2);
        assert!(kept.verdict().is_kept() && kept.faults.is_empty(), "{}", kept.text());
        assert!(kept.text().contains(">= 0.95, found 0.960"), "{}", kept.text());
        assert!(!report(0.94, 0, 1.2).verdict().is_kept());
        assert!(!report(0.96, 0, 3.1).verdict().is_kept());
        assert!(report(0.96, 1, 1.2).faults[0].contains("unverified: 3 requests failed"));
    }

    #[test]
    fn what_is_signed_is_taken_and_costs_something() {
        let now = Clock::System.now();
        let signed = Signed::make(now).expect("a request");
        assert_eq!(signed.shape.body.len(), 130);
        assert!(signed.alone(now).expect("a judgement") > 0.0);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        let request = signed.shape.request(address, "/hooks/x");
        let text = String::from_utf8_lossy(&request).to_lowercase();
        assert_eq!(text.matches("x-hub-signature-256: sha256=").count(), 1, "{text}");
        assert_eq!(text.matches("content-type").count(), 1, "{text}");
    }
}
