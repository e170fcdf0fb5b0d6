//! `hookgate bench --forward`: what sending on costs beside the least it can cost. In: how long. Out: a table or JSON,
//! and whether the floor is reached. Batches and single events from a full spool, beside a bare client that sends the
//! same bodies to the same sink; then real gateways: from the POST to the sink at half load, and requests taken with a
//! destination and without one. Never a figure of events that did not come: the sink counts.

mod bare;
mod report;
mod sink;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::folder::Folder;
use super::gateway::{Gateway, To};
use super::load::{Load, STAMP_DIGITS, Stamp, Tally};
use super::made::{ACCOUNT, Made};
use super::shape::{self, Shape};
use crate::cli::output::{Failure, say};
use crate::clock::Clock;
use crate::forward::{Destination, Forwarder, Ground};
use crate::serve;
use crate::shelf::Shelf;
use crate::spool::{self, Capture, Frame, Spool};
use crate::telemetry::Telemetry;
pub(super) use report::Report;
use report::{Crowd, Delay, Round, Setup};
use sink::{STAMP_MARK, Sink};

/// Events in the spool.
const EVENTS: u64 = 200_000;
const EVENTS_PER_REQUEST: u64 = 2;
/// Requests on their way into the spool at once.
const SENDERS: u64 = 64;
/// Bytes of a request's body, kept beside its events.
const BODY_BYTES: usize = 300;
/// Connections of the loads on gateways.
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(1);
/// Half load, as a part of what goes one by one when nothing else is done: taking a request costs the machine about as
/// much as sending its events.
const HALF: f64 = 0.25;
/// Between two looks at the sink.
const LOOK: Duration = Duration::from_millis(1);
/// Makes one event that bears the moment of its request, as the sink looks for it: payloads stay as they are written.
const STAMPED: &str = "{\"event\": \"bench.sent\", \"resource\": {\"prefect.resource.id\": \"bench\"}, \
                       \"payload\": {\"sent\":{{ body.sent|tojson }}}}";

/// How events go out of the full spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Batches,
    Singles,
}

impl Form {
    /// As a destination has it.
    fn name(self) -> &'static str {
        match self {
            Self::Batches => "array",
            Self::Singles => "single",
        }
    }
}

fn failed(fault: &impl std::fmt::Display) -> Failure {
    Failure::No(fault.to_string())
}

/// Measures so many rounds, each part for so many seconds at most; beside so many idle destinations, too.
pub(super) fn measure(
    (rounds, seconds): (u32, u32),
    idle: u32,
    root: Option<&Path>,
) -> Result<Report, Failure> {
    let runtime = serve::runtime().map_err(|fault| Failure::No(format!("a runtime: {fault}")))?;
    let folder = Folder::make(root)?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure_in(&folder, (rounds, seconds), idle) => report,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    report
}

async fn measure_in(
    folder: &Folder,
    (rounds, seconds): (u32, u32),
    idle: u32,
) -> Result<Report, Failure> {
    let field = Field::make(folder, Duration::from_secs(seconds.into())).await?;
    let mut gateways = Gateways::start(folder, field.sink.address, idle).await?;
    let mut found = Vec::new();
    for number in 1..=rounds {
        let bare_batches = field.bare(Form::Batches).await?;
        let batches = field.forward(number, Form::Batches).await?;
        say(&format!("round {number} of {rounds}: {batches:.0} events/s in batches"));
        let bare_singles = field.bare(Form::Singles).await?;
        let singles = field.forward(number, Form::Singles).await?;
        say(&format!("round {number} of {rounds}: {singles:.0} events/s one by one"));
        let rate = ((singles * HALF / EVENTS_PER_REQUEST as f64) as u32).max(1);
        let direct = field.delay(rate, field.sink.address, "/in", None).await?;
        let through = &gateways.single;
        let delay = field.delay(rate, through.address(), through.hook(), Some(through)).await?;
        say(&format!(
            "round {number} of {rounds}: p99 {:.2} ms from the POST to the sink at {rate}/s",
            delay.p99
        ));
        let alone = field.taken(&gateways.alone).await?;
        let beside = field.taken(&gateways.batches).await?;
        say(&format!("round {number} of {rounds}: {beside:.0} requests/s taken meanwhile"));
        found.push(Round {
            bare_batches,
            batches,
            bare_singles,
            singles,
            rate,
            direct,
            delay,
            alone,
            beside,
            crowd: gateways.crowd(&field).await?,
        });
    }
    let Gateways { alone, batches, single, crowded } = &mut gateways;
    for gateway in [alone, batches, single].into_iter().chain(crowded) {
        gateway.stop()?;
    }
    let setup = Setup {
        events: EVENTS,
        event_bytes: field.bodies.event_bytes,
        file_system: folder.file_system(),
        rounds,
        idle,
    };
    Ok(Report::new(setup, &found))
}

/// A full spool and where it is emptied.
struct Field {
    sink: Sink,
    spool: Spool,
    shelf: Shelf,
    bodies: bare::Bodies,
    folder: std::path::PathBuf,
    time: Duration,
}

/// Real ones, idle while others are measured.
struct Gateways {
    alone: Gateway,
    batches: Gateway,
    single: Gateway,
    /// With idle destinations, if there are to be some.
    crowded: Option<Gateway>,
}

impl Gateways {
    async fn start(folder: &Folder, sink: SocketAddr, idle: u32) -> Result<Self, Failure> {
        let [small, _] = Shape::all();
        let (place, stamped) =
            (|form: &str| format!("http://{sink}/{form}?form={form}"), stamped());
        let start = async |name: &str, to: To, template: &str, probe: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).map_err(|fault| failed(&fault))?;
            Gateway::start(&path, &to, template, probe).await
        };
        Ok(Self {
            alone: start("alone", To::Nowhere, shape::TEMPLATE, &small.body).await?,
            batches: start("batches", To::Place(place("array")), shape::TEMPLATE, &small.body)
                .await?,
            single: start("single", To::Place(place("single")), STAMPED, &stamped).await?,
            crowded: match idle {
                0 => None,
                idle => {
                    let gateway =
                        start("crowded", To::Nowhere, shape::TEMPLATE, &small.body).await?;
                    gateway.make_idle(idle).await?;
                    say(&format!("{idle} idle destinations made"));
                    Some(gateway)
                }
            },
        })
    }

    /// What idle destinations cost: requests taken per second, and bytes of memory more than without them.
    async fn crowd(&self, field: &Field) -> Result<Option<Crowd>, Failure> {
        let Some(gateway) = &self.crowded else { return Ok(None) };
        let taken = field.taken(gateway).await?;
        let bytes = gateway.child().usage()?.resident_bytes;
        let less = self.alone.child().usage()?.resident_bytes;
        Ok(Some(Crowd { taken, bytes: bytes.saturating_sub(less) }))
    }
}

/// A body with room for the moment of its request.
fn stamped() -> String {
    format!("{{\"sent\":\"{:0STAMP_DIGITS$}\"}}", 0)
}

impl Field {
    /// Fills a spool.
    async fn make(folder: &Folder, time: Duration) -> Result<Self, Failure> {
        let made = Made::new(EVENTS, Clock::System.now());
        let clock = Arc::new(Clock::System);
        let path = folder.path().join("full");
        std::fs::create_dir(&path).map_err(|fault| failed(&fault))?;
        let options = spool::Options::default();
        let spool = Spool::open(&path, options, &clock, &Telemetry::new());
        let (spool, _) = spool.map_err(|fault| failed(&fault))?;
        fill(&spool, made).await?;
        let shelf = Shelf::open(&path).map_err(|fault| failed(&fault))?;
        let sink = Sink::start().map_err(|fault| failed(&fault))?;
        let bodies = bare::Bodies::make(made, sink.address);
        Ok(Self { sink, spool, shelf, bodies, folder: path, time })
    }

    /// Events per second that the sink takes from a bare client.
    async fn bare(&self, form: Form) -> Result<f64, Failure> {
        let before = self.sink.events();
        let began = Instant::now();
        let requests = match form {
            Form::Batches => &self.bodies.batches,
            Form::Singles => &self.bodies.singles,
        };
        bare::send(self.sink.address, requests, began + self.time, || {
            self.sink.events() - before >= EVENTS
        })
        .await
        .map_err(|fault| failed(&fault))?;
        Ok((self.sink.events() - before) as f64 / began.elapsed().as_secs_f64())
    }

    /// Events per second that a lane brings there.
    async fn forward(&self, number: u32, form: Form) -> Result<f64, Failure> {
        let name = form.name();
        let place = format!("http://{}/{name}-{number}?form={name}", self.sink.address);
        let destination = Destination::parse(&place).map_err(|fault| failed(&fault))?;
        let ground = Ground {
            spool: self.spool.clone(),
            data: self.folder.clone(),
            shelf: self.shelf.clone(),
            clock: Arc::new(Clock::System),
            telemetry: Telemetry::new(),
            allowed: Arc::default(),
            detour: None,
            operator: ACCOUNT,
        };
        let before = self.sink.events();
        let began = Instant::now();
        let forwarder = Forwarder::start(vec![destination], &[], ground);
        let forwarder = forwarder.map_err(|fault| failed(&fault))?;
        let came = || self.sink.events() - before;
        while came() < EVENTS && began.elapsed() < self.time {
            sleep(LOOK).await;
        }
        let (events, took) = (came(), began.elapsed());
        forwarder.stop().await;
        if came() > EVENTS {
            return Err(Failure::No(format!("{} events came of {EVENTS}", came())));
        }
        Ok(events as f64 / took.as_secs_f64())
    }

    /// From the start of each request to the sink, at that rate.
    async fn delay(
        &self,
        rate: u32,
        address: SocketAddr,
        path: &str,
        through: Option<&Gateway>,
    ) -> Result<Delay, Failure> {
        let request = post(address, path, &stamped());
        let at = memchr::memmem::rfind(&request, STAMP_MARK).map(|at| at + STAMP_MARK.len());
        let stamp = at.map(|at| Stamp { at, origin: self.sink.origin });
        let load = self.load(address, request, stamp, Some(rate));
        let mut looks = 0;
        let tally = load.run(|| {
            looks += 1;
            if looks == 1 {
                drop(self.sink.take_latency());
            }
        });
        let tally = sound(tally.await.map_err(|fault| failed(&fault))?)?;
        if let Some(gateway) = through {
            settle(gateway).await?;
        }
        let latency = self.sink.take_latency();
        // What was on its way when the counting began may be counted as answered and not as come.
        if latency.len() + (CONNECTIONS as u64) < tally.answered {
            let came = latency.len();
            return Err(Failure::No(format!("{came} events came of {}", tally.answered)));
        }
        let milliseconds = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        let answer_p99 = tally.latency.value_at_quantile(0.99) as f64 / 1000.0;
        Ok(Delay { p50: milliseconds(0.5), p99: milliseconds(0.99), answer_p99 })
    }

    /// Requests per second that a gateway takes, as fast as it answers.
    async fn taken(&self, gateway: &Gateway) -> Result<f64, Failure> {
        let [small, _] = Shape::all();
        let request = small.request(gateway.address(), gateway.hook());
        let load = self.load(gateway.address(), request, None, None);
        let tally = sound(load.run(|| ()).await.map_err(|fault| failed(&fault))?)?;
        settle(gateway).await?;
        Ok(tally.answered as f64 / tally.seconds.max(f64::MIN_POSITIVE))
    }

    fn load(
        &self,
        address: SocketAddr,
        request: Bytes,
        stamp: Option<Stamp>,
        rate: Option<u32>,
    ) -> Load {
        let (connections, warm_up, time) = (CONNECTIONS, WARM_UP, self.time);
        Load { address, request, stamp, connections, rate, warm_up, time }
    }
}

/// Until nothing is left to do for a gateway, so that it disturbs no other measurement.
async fn settle(gateway: &Gateway) -> Result<(), Failure> {
    gateway.await_delivery(Instant::now()).await?;
    gateway.await_index().await
}

/// A tally without failures.
fn sound(tally: Tally) -> Result<Tally, Failure> {
    match &tally.fault {
        None => Ok(tally),
        Some(fault) => Err(Failure::No(format!(
            "the figures are worth nothing: {} failed; {fault}",
            tally.failed
        ))),
    }
}

/// A whole request with a JSON body.
fn post(address: SocketAddr, path: &str, body: &str) -> Bytes {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    head.into()
}

/// Hands all events to a spool.
async fn fill(spool: &Spool, made: Made) -> Result<(), Failure> {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let spool = spool.clone();
        senders.spawn(async move {
            let body = Bytes::from(vec![b'x'; BODY_BYTES]);
            let mut number = sender * EVENTS_PER_REQUEST;
            while number < made.count {
                let numbers = number..(number + EVENTS_PER_REQUEST).min(made.count);
                let events: Vec<_> = numbers.map(|number| made.event(number)).collect();
                let capture =
                    Capture { webhook: ACCOUNT, body: body.clone(), ..Capture::default() };
                let workspace = Some(Made::workspace(number));
                let received = Clock::System.now();
                let frame = Frame::encode(ACCOUNT, workspace, received, &events, Some(&capture));
                spool.append(frame).await?;
                number += SENDERS * EVENTS_PER_REQUEST;
            }
            Ok::<_, spool::SpoolError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(|fault| failed(&fault))??;
    }
    Ok(())
}
