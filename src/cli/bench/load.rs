//! The load: as many connections as asked, one thread, each request made of the same bytes. Closed loop: the next
//! request follows its answer. Open loop: requests start by a schedule that no slow answer can hold up, and latency
//! counts from the intended start. In: a request and an address. Out: what came back, how fast, at what cost. Bounded
//! in connections and time.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{self, ANSWER_MAX_BYTES};

/// For the last answers to come.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(10);
/// Longest latency that is told apart; µs.
const LATENCY_MAX_MICROS: u64 = 60_000_000;
/// Between two looks at the schedule of an open loop.
const SCHEDULE_PAUSE: Duration = Duration::from_micros(100);

/// What to send.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) request: Bytes,
    /// Where in the request its start is written.
    pub(super) stamp: Option<Stamp>,
    pub(super) connections: usize,
    /// Requests per second of an open loop.
    pub(super) rate: Option<u32>,
    /// Before anything counts.
    pub(super) warm_up: Duration,
    /// Measured.
    pub(super) time: Duration,
}

/// Digits of a request that say when it started, or should have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Their place in the request.
    pub(super) at: usize,
    /// What they count from.
    pub(super) origin: Instant,
}

/// So many of them; µs.
pub(super) const STAMP_DIGITS: usize = 16;

impl Stamp {
    fn write(self, start: Instant, request: &mut [u8]) {
        let text =
            format!("{:0STAMP_DIGITS$}", micros(start.saturating_duration_since(self.origin)));
        request[self.at..self.at + STAMP_DIGITS].copy_from_slice(text.as_bytes());
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Tally {
    /// Latency of every answer in the measured time, and of starts that it left no room for; µs.
    pub(super) latency: Histogram<u64>,
    /// Answers in the measured time.
    pub(super) answered: u64,
    /// Measured time.
    pub(super) seconds: f64,
    /// Answers 2xx since the first request, those of the warm-up too.
    pub(super) accepted: u64,
    /// Other answers, and connections that broke.
    pub(super) failed: u64,
    /// The first of them.
    pub(super) fault: Option<String>,
}

impl Tally {
    fn new() -> Self {
        let latency = Histogram::new_with_max(LATENCY_MAX_MICROS, 3);
        let latency = latency.expect("three digits up to a minute fit a histogram");
        Self { latency, answered: 0, seconds: 0.0, accepted: 0, failed: 0, fault: None }
    }

    fn fail(&mut self, what: impl FnOnce() -> String) {
        self.failed += 1;
        self.fault.get_or_insert_with(what);
    }
}

impl Load {
    /// Warms up, then measures; `look` is called at both ends of the measured time.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) async fn run(&self, mut look: impl FnMut()) -> io::Result<Tally> {
        let field = Arc::new(Field::new(self.request.clone(), self.stamp, self.rate));
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let mut tasks = JoinSet::new();
        for stream in streams {
            tasks.spawn(Arc::clone(&field).drive(stream));
        }
        let pacer = field.pace();
        sleep(self.warm_up).await;
        look();
        let started = Instant::now();
        field.measuring.store(true, Ordering::Relaxed);
        sleep(self.time).await;
        field.measuring.store(false, Ordering::Relaxed);
        let seconds = started.elapsed().as_secs_f64();
        look();
        field.stop();
        let ended = timeout(LAST_ANSWERS_MAX, async { while tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            let missing = || format!("an answer did not come within {LAST_ANSWERS_MAX:?}");
            (0..tasks.len()).for_each(|_| field.tally().fail(missing));
            tasks.shutdown().await;
        }
        if let Some(pacer) = pacer {
            let _ = pacer.join();
        }
        let mut tally = std::mem::replace(&mut *field.tally(), Tally::new());
        tally.seconds = seconds;
        Ok(tally)
    }
}

/// What all connections share.
#[derive(Debug)]
struct Field {
    request: Bytes,
    stamp: Option<Stamp>,
    measuring: AtomicBool,
    stopped: AtomicBool,
    schedule: Option<Schedule>,
    tally: Mutex<Tally>,
}

/// Starts that are due one by one, whoever takes them.
#[derive(Debug)]
struct Schedule {
    rate: u32,
    began: Instant,
    /// A permit for each start that is due and not taken.
    due: Semaphore,
    taken: AtomicU64,
}

impl Schedule {
    /// When the start of that number is intended.
    fn intended(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        self.began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many starts are intended up to `now`.
    fn count(&self, now: Instant) -> u64 {
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        u64::try_from(nanos * u128::from(self.rate) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

impl Field {
    fn new(request: Bytes, stamp: Option<Stamp>, rate: Option<u32>) -> Self {
        let schedule = rate.map(|rate| Schedule {
            rate,
            began: Instant::now(),
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
        });
        Self {
            request,
            stamp,
            measuring: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            schedule,
            tally: Mutex::new(Tally::new()),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// No new requests. Starts that were due and never came count with the time they have waited in vain.
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        let Some(schedule) = &self.schedule else { return };
        schedule.due.close();
        let (now, mut tally) = (Instant::now(), self.tally());
        for number in schedule.taken.load(Ordering::Relaxed)..schedule.count(now) {
            let waited = now.saturating_duration_since(schedule.intended(number));
            tally.latency.saturating_record(micros(waited));
        }
    }

    /// Gives out the starts of an open loop as they fall due.
    fn pace(self: &Arc<Self>) -> Option<std::thread::JoinHandle<()>> {
        self.schedule.as_ref()?;
        let field = Arc::clone(self);
        Some(std::thread::spawn(move || {
            let Some(schedule) = &field.schedule else { return };
            let mut given = 0;
            while !field.is_stopped() {
                let due = schedule.count(Instant::now());
                schedule.due.add_permits(usize::try_from(due - given).unwrap_or(0));
                given = due;
                std::thread::sleep(SCHEDULE_PAUSE);
            }
        }))
    }

    /// When the next request starts, or should have started; `None` at the end.
    async fn start(&self) -> Option<Instant> {
        if self.is_stopped() {
            return None;
        }
        let Some(schedule) = &self.schedule else { return Some(Instant::now()) };
        schedule.due.acquire().await.ok()?.forget();
        Some(schedule.intended(schedule.taken.fetch_add(1, Ordering::Relaxed)))
    }

    /// One connection to its end.
    async fn drive(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = vec![0; ANSWER_MAX_BYTES];
        let mut stamped = self.stamp.map(|_| self.request.to_vec());
        while let Some(start) = self.start().await {
            if let (Some(stamp), Some(request)) = (self.stamp, &mut stamped) {
                stamp.write(start, request);
            }
            let request = stamped.as_deref().unwrap_or(&self.request);
            match exchange(&mut stream, request, &mut buffer).await {
                Ok(status) => self.note(start, status),
                Err(fault) => {
                    self.tally().fail(|| format!("a connection broke: {fault}"));
                    return;
                }
            }
        }
    }

    fn note(&self, start: Instant, status: u16) {
        let mut tally = self.tally();
        if (200..300).contains(&status) {
            tally.accepted += 1;
        } else {
            tally.fail(|| format!("an answer was {status}"));
        }
        if self.measuring.load(Ordering::Relaxed) {
            tally.answered += 1;
            tally.latency.saturating_record(micros(start.elapsed()));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LATENCY_MAX_MICROS)
}

/// Sends the request and reads its answer; the status.
pub(super) async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
) -> io::Result<u16> {
    stream.write_all(request).await?;
    let mut have = 0;
    loop {
        match stream.read(&mut buffer[have..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => have += read,
        }
        match answer::read(&buffer[..have])? {
            Some(answer) if answer.bytes == have => return Ok(answer.status),
            Some(answer) if answer.bytes < have => {
                return Err(io::Error::other("there is more than an answer"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says `answer` to everything.
    async fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 64];
                    while let Ok(1..) = stream.read(&mut buffer).await {
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    /// A load of 40 ms against that server.
    fn run(answer: &'static [u8], rate: Option<u32>) -> Tally {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let address = serve(answer).await;
            let request = Bytes::from_static(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
            let time = Duration::from_millis(40);
            let (stamp, warm_up) = (None, Duration::ZERO);
            let load = Load { address, request, stamp, connections: 3, rate, warm_up, time };
            load.run(|| ()).await.expect("a tally")
        })
    }

    #[test]
    fn a_closed_loop_counts_every_answer() {
        let tally = run(b"HTTP/1.1 204 No Content\r\n\r\n", None);
        assert_eq!((tally.failed, &tally.fault), (0, &None));
        assert!(tally.answered > 3 && tally.latency.len() == tally.answered, "{tally:?}");
        assert!(tally.accepted >= tally.answered && tally.seconds >= 0.04);
    }

    #[test]
    fn a_start_is_written_into_its_digits() {
        let origin = Instant::now();
        let mut request = *b"sent:0000000000000000!";
        Stamp { at: 5, origin }.write(origin + Duration::from_micros(1_234_567), &mut request);
        assert_eq!(&request, b"sent:0000000001234567!");
    }

    #[test]
    fn an_open_loop_keeps_to_its_rate() {
        let tally = run(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(500));
        assert_eq!(tally.failed, 0);
        // 20 fall due in the measured time; some more when a stall is caught up. A closed loop would have hundreds.
        let most = (tally.seconds * 500.0) as u64 * 2 + 20;
        assert!((1..=most).contains(&tally.answered), "{} of {most}", tally.answered);
    }

    #[test]
    fn a_refusal_and_a_broken_connection_are_failures() {
        let tally = run(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", None);
        assert!(tally.failed > 0 && tally.accepted == 0);
        assert_eq!(tally.fault.as_deref(), Some("an answer was 503"));
        let tally = run(b"nonsense\r\n\r\n", None);
        assert_eq!((tally.failed, tally.answered), (3, 0));
    }

    #[test]
    fn a_stalled_server_is_seen_in_an_open_loop() {
        let mut field = Field::new(Bytes::new(), None, Some(1000));
        let schedule = field.schedule.as_mut().expect("a schedule");
        schedule.began -= Duration::from_millis(20);
        let began = schedule.began;
        assert_eq!(schedule.count(began + Duration::from_millis(250)), 250);
        assert_eq!(schedule.intended(250), began + Duration::from_millis(250));
        // Nobody takes a start: each that is due counts, the first with the longest wait.
        field.stop();
        let tally = field.tally();
        assert!(tally.latency.len() >= 20 && tally.latency.max() >= 20_000, "{tally:?}");
        assert_eq!(tally.answered, 0);
    }
}
