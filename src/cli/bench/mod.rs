//! `hookgate bench`: what the gateway costs beside two limits of the same machine, a bare server and one that only
//! keeps the body. In: how long and how hard. Out: a table or JSON, and whether the floor is reached. Only over
//! loopback, only for the time asked; never leaves a process or a file behind. `--render` measures rendering alone,
//! `--feed` questions for events, `--forward` sending on, `--verified` what signatures cost.

mod answer;
mod child;
mod feed;
mod folder;
mod forward;
mod gateway;
mod limits;
mod load;
mod made;
mod render;
mod report;
mod shape;
mod verified;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::Form;
use super::output::{Failure, print_line, say};
use crate::telemetry::process::Usage;

use child::Child;
use folder::Folder;
use gateway::{Gateway, To};
use load::{Load, Tally};
use report::{Body, Contestant, Measurement, Report, Round, Setup, Verdict};
use shape::Shape;

pub(super) use limits::{Server, serve};

pub(super) const EXAMPLE: &str = "\
Examples:
  hookgate bench --rounds 3 --check
  hookgate bench --render --check
  hookgate bench --feed --events 5000000
  hookgate bench --forward --check
  hookgate bench --verified --rounds 5 --check";

/// Before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long and how hard.
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// Keep-alive connections at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,
    /// Seconds of each measurement, after a second of warm-up; of a whole round with --render
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Rounds; each measures every server with every body
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Requests per second, started on time whatever the answers do; as fast as answers come when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Folder on the disk to measure; ./target or the system's folder for temporary files when absent
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    #[command(flatten)]
    only: Only,
    /// Measure only verification: a webhook that demands a signature beside one that does not, and one judgement alone
    #[arg(long, conflicts_with_all = ["render", "feed", "forward"])]
    verified: bool,
    /// Events of --feed
    #[arg(long, default_value_t = 300_000, requires = "feed",
        value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000))]
    events: u64,
    /// Idle destinations of another gateway of --forward, to see what they cost
    #[arg(long, default_value_t = 0, requires = "forward",
        value_parser = clap::value_parser!(u32).range(0..=100_000))]
    destinations: u32,
    /// Exit 1 when the gateway does not reach the floor, rendering and verification do not keep their bounds, the index
    /// its targets, or sending on its floor
    #[arg(long, conflicts_with = "rate")]
    check: bool,
    #[command(flatten)]
    form: Form,
}

/// What is measured instead of the gateway as a whole.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Only {
    /// Measure only rendering, beside the stock engine and the parser; nothing is served
    #[arg(long, conflicts_with_all = ["connections", "rate", "data_root"])]
    render: bool,
    /// Measure only the index of events: whether it keeps up, and how long questions take; nothing is served
    #[arg(long, conflicts_with_all = ["connections", "rate", "rounds", "seconds"])]
    feed: bool,
    /// Measure only sending on: beside a bare client with the same bodies, from the POST to the sink, and what it costs
    /// the requests meanwhile
    #[arg(long, conflicts_with_all = ["connections", "rate"])]
    forward: bool,
}

/// A server that only sets a limit.
struct Limit {
    child: Child,
    address: SocketAddr,
}

/// All that is measured; each runs from first to last round, idle while others are measured.
struct Contest {
    bare: Limit,
    durable: Limit,
    gateway: Gateway,
}

pub(super) fn run(bench: &Bench) -> Result<(), Failure> {
    if bench.only.render {
        return run_render(bench);
    }
    if bench.only.feed {
        return run_feed(bench);
    }
    if bench.only.forward {
        return run_forward(bench);
    }
    if bench.verified {
        return run_verified(bench);
    }
    let report = block_on(measure(bench))?;
    print(bench.form, &report, &report.text())?;
    conclude(bench, report.verdict(), "the gateway does not reach the floor")
}

/// How a measurement ends that may be worth nothing.
fn conclude(bench: &Bench, verdict: Verdict<'_>, missed: &str) -> Result<(), Failure> {
    match verdict.faults {
        [] if bench.check && !verdict.is_kept() => Err(Failure::No(missed.to_owned())),
        [] => Ok(()),
        [fault, ..] => Err(Failure::No(format!("the figures are worth nothing: {fault}"))),
    }
}

/// Until it is done, or somebody does not want to wait any more.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|fault| Failure::No(format!("a runtime: {fault}")))?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    })
}

fn run_verified(bench: &Bench) -> Result<(), Failure> {
    let report = block_on(verified::measure(bench))?;
    print(bench.form, &report, &report.text())?;
    conclude(bench, report.verdict(), "verification does not keep its bounds")
}

fn run_render(bench: &Bench) -> Result<(), Failure> {
    let report = render::measure(bench.rounds, bench.seconds)?;
    print(bench.form, &report, &report.text())?;
    if bench.check && !report.keeps_bounds() {
        return Err(Failure::No("rendering does not keep its bounds".to_owned()));
    }
    Ok(())
}

fn run_feed(bench: &Bench) -> Result<(), Failure> {
    let report = feed::measure(bench.events, bench.data_root.as_deref())?;
    print(bench.form, &report, &report.text())?;
    if bench.check && !report.reaches_targets() {
        return Err(Failure::No("the index does not reach its targets".to_owned()));
    }
    Ok(())
}

fn run_forward(bench: &Bench) -> Result<(), Failure> {
    let report = forward::measure(
        (bench.rounds, bench.seconds),
        bench.destinations,
        bench.data_root.as_deref(),
    )?;
    print(bench.form, &report, &report.text())?;
    if bench.check && !report.reaches_floor() {
        return Err(Failure::No("sending on does not reach its floor".to_owned()));
    }
    Ok(())
}

fn print(form: Form, report: &impl serde::Serialize, text: &str) -> Result<(), Failure> {
    if !form.is_json() {
        return print_line(text);
    }
    let text = serde_json::to_string_pretty(report);
    print_line(&text.map_err(|fault| Failure::No(fault.to_string()))?)
}

async fn measure(bench: &Bench) -> Result<Report, Failure> {
    let folder = Folder::make(bench.data_root.as_deref())?;
    let mut contest = Contest::start(&folder).await?;
    let setup = bench.setup(&folder, contest.gateway.posture().await?);
    let (shapes, mut rounds) = (Shape::all(), Vec::new());
    for number in 1..=bench.rounds {
        for (body, shape) in shapes.iter().enumerate() {
            let mut measurements = Vec::with_capacity(Contestant::ALL.len());
            for contestant in Contestant::ALL {
                let measured = contest.measure(contestant, shape, bench).await?;
                say(&format!(
                    "round {number} of {}: {}, {}: {:.0} requests/s",
                    bench.rounds,
                    shape.name,
                    contestant.name(),
                    measured.requests_per_second
                ));
                measurements.push(measured);
            }
            let measurements = <[Measurement; 3]>::try_from(measurements);
            let measurements = measurements.expect("one of each contestant");
            rounds.push(Round { body, measurements });
        }
    }
    contest.gateway.stop()?;
    let body =
        |shape: &Shape| Body { name: shape.name, bytes: shape.body.len(), floor: shape.floor };
    Ok(Report::new(setup, shapes.iter().map(body).collect(), &rounds))
}

impl Bench {
    /// How it is measured.
    fn setup(&self, folder: &Folder, posture: String) -> Setup {
        Setup {
            connections: self.connections as usize,
            rate: self.rate,
            rounds: self.rounds,
            seconds: self.seconds,
            file_system: folder.file_system(),
            posture,
        }
    }

    /// A server under one load: its figures, and how many requests it took.
    async fn press(
        &self,
        (name, child): (&str, &Child),
        address: SocketAddr,
        request: Bytes,
    ) -> Result<(Measurement, u64), Failure> {
        let load = Load {
            address,
            request,
            stamp: None,
            connections: self.connections as usize,
            rate: self.rate,
            warm_up: WARM_UP,
            time: Duration::from_secs(self.seconds.into()),
        };
        let mut looks = Vec::with_capacity(2);
        let tally = load.run(|| looks.push(child.usage())).await;
        let tally =
            tally.map_err(|fault| Failure::No(format!("{name} cannot be reached: {fault}")))?;
        let looks = looks.into_iter().collect::<Result<Vec<Usage>, Failure>>()?;
        Ok((figures(&tally, &looks), tally.accepted))
    }
}

impl Limit {
    fn start(name: &'static str, args: &[&str], folder: &Folder) -> Result<Self, Failure> {
        let mut child = Child::start(name, args, &folder.path().join(format!("{}.log", args[0])))?;
        let line = child.line()?;
        let address = line.split(' ').next().and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| Failure::No(format!("{name} said: {line}")))?;
        Ok(Self { child, address })
    }
}

impl Contest {
    async fn start(folder: &Folder) -> Result<Self, Failure> {
        let data = folder.path().join("durable");
        std::fs::create_dir(&data)
            .map_err(|fault| Failure::No(format!("{}: {fault}", data.display())))?;
        let [Shape { body: probe, .. }, _] = Shape::all();
        Ok(Self {
            bare: Limit::start("the bare server", &["bare"], folder)?,
            durable: Limit::start(
                "the durable limit",
                &["durable", &data.to_string_lossy()],
                folder,
            )?,
            gateway: Gateway::start(folder.path(), &To::File, shape::TEMPLATE, &probe).await?,
        })
    }

    /// One contestant under one load.
    async fn measure(
        &mut self,
        contestant: Contestant,
        shape: &Shape,
        bench: &Bench,
    ) -> Result<Measurement, Failure> {
        let (child, address, path) = match contestant {
            Contestant::Bare => (&self.bare.child, self.bare.address, "/hooks/bench"),
            Contestant::Durable => (&self.durable.child, self.durable.address, "/hooks/bench"),
            Contestant::Gateway => {
                (self.gateway.child(), self.gateway.address(), self.gateway.hook())
            }
        };
        let named = (contestant.name(), child);
        let request = shape.request(address, path);
        let (mut measured, accepted) = bench.press(named, address, request).await?;
        if contestant == Contestant::Gateway {
            measured.delivery = Some(self.gateway.delivery(accepted).await?);
        }
        Ok(measured)
    }
}

/// A tally and the looks at both of its ends as figures.
fn figures(tally: &Tally, looks: &[Usage]) -> Measurement {
    let answered = tally.answered.max(1) as f64;
    let (first, last) =
        (looks.first().copied().unwrap_or_default(), looks.last().copied().unwrap_or_default());
    let milliseconds = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1000.0;
    Measurement {
        requests_per_second: tally.answered as f64 / tally.seconds.max(f64::MIN_POSITIVE),
        p50_ms: milliseconds(0.5),
        p99_ms: milliseconds(0.99),
        p999_ms: milliseconds(0.999),
        cpu_micros_per_request: (last.cpu_seconds - first.cpu_seconds) * 1e6 / answered,
        resident_peak_bytes: last.resident_peak_bytes,
        written_bytes_per_request: (last.written_bytes - first.written_bytes) as f64 / answered,
        delivery: None,
        failed: tally.failed,
        fault: tally.fault.clone(),
    }
}
