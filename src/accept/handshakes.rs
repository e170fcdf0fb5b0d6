//! Turns of TLS handshakes: so many at once, each from its beginning to its end. Whoever comes when all are taken
//! waits in a line, and goes on as soon as one ends, or has stalled: that one is ended then, so that those who begin
//! and never go on keep nobody out who does. In: beginnings. Out: a turn, and word when it is over before its time. A
//! line that is full ends the turn that began first.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Line, Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// A turn whose peer said nothing for so long gives way to whoever waits; longer, where those that succeed take long,
/// for then we or a crowd of peers have much to do: so many times as long as they do.
const SILENT: Duration = Duration::from_millis(500);
const USUAL: u32 = 4;
/// So does one that takes so long, whatever its peer says.
const SLOW: Duration = Duration::from_secs(3);
/// Each that succeeds and takes longer than is usual is this part of it; one that is faster is half. Slow ones are
/// easily made, and must not win time for those that stall.
const PART: u32 = 8;
/// As many times the turns may wait.
const LINE: usize = 2;

/// The handshakes that run, and who waits for one to end.
#[derive(Debug)]
pub(super) struct Handshakes {
    line_max: usize,
    room: Semaphore,
    /// Who looks for stalled ones: the first that waits.
    next: Line<()>,
    running: Mutex<Running>,
}

/// By number, so that the first is the oldest.
#[derive(Debug)]
struct Running {
    next: u64,
    turns: BTreeMap<u64, Arc<Word>>,
    /// Turns that were told to end, and have not.
    ending: usize,
    waiting: usize,
    /// How long those take that succeed.
    usual: Duration,
}

impl Default for Running {
    /// Patient, as long as none has succeeded: it is not known how long they take.
    fn default() -> Self {
        let usual = SLOW / USUAL;
        Self { next: 0, turns: BTreeMap::new(), ending: 0, waiting: 0, usual }
    }
}

/// What is known of a turn, and told to it.
#[derive(Debug)]
struct Word {
    began: Instant,
    /// When its peer last said something.
    heard: Mutex<Instant>,
    over: Notify,
}

/// One handshake's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    handshakes: &'a Handshakes,
    number: u64,
    word: Arc<Word>,
    _permit: SemaphorePermit<'a>,
}

/// One in the line, until it is dropped.
struct Waiting<'a>(&'a Handshakes);

impl Handshakes {
    /// So many at once, at least one, where there is room for so many connections: those in the line take no more than
    /// leaves half of it to others.
    pub(super) fn new(max: usize, connections_max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let others = (connections_max / 2).saturating_sub(max);
        Self {
            line_max: max.saturating_mul(LINE).min(others),
            room: Semaphore::new(max),
            next: Line::new(()),
            running: Mutex::default(),
        }
    }

    /// A turn, once there is room.
    pub(super) async fn begin(&self) -> Turn<'_> {
        let permit = match self.room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.wait().await,
        };
        let now = Instant::now();
        let word = Arc::new(Word { began: now, heard: Mutex::new(now), over: Notify::new() });
        let mut running = self.running();
        let number = running.next;
        running.next += 1;
        running.turns.insert(number, Arc::clone(&word));
        Turn { handshakes: self, number, word, _permit: permit }
    }

    /// Room is given in the order of coming; the first of the line looks for it.
    async fn wait(&self) -> SemaphorePermit<'_> {
        let _waiting = Waiting::new(self);
        let permit = pin!(self.room.acquire());
        let look = async {
            let _next = self.next.lock().await;
            loop {
                sleep_until(self.make_room()).await;
            }
        };
        tokio::select! {
            biased;
            permit = permit => permit.expect("it is never closed"),
            () = look => unreachable!("it looks without end"),
        }
    }

    /// Ends turns that have stalled, one for each who waits; says when to look again.
    fn make_room(&self) -> Instant {
        let (now, mut running) = (Instant::now(), self.running());
        while running.lacking(&self.room) > 0 {
            let silent = (running.usual * USUAL).clamp(SILENT, SLOW);
            let dues = running.turns.iter().map(|(number, word)| (word.due(silent), *number));
            let stalled = dues.min();
            match stalled {
                Some((due, number)) if due <= now => running.end(number),
                Some((due, _)) => return due,
                None => break,
            }
        }
        now + SILENT
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// How many wait for whom no room is made.
    fn lacking(&self, room: &Semaphore) -> usize {
        self.waiting.saturating_sub(self.ending + room.available_permits())
    }

    fn end(&mut self, number: u64) {
        let Some(word) = self.turns.remove(&number) else { return };
        self.ending += 1;
        // It may look only later: the word waits for it.
        word.over.notify_one();
    }
}

impl Word {
    /// From when on it may be ended for another.
    fn due(&self, silent: Duration) -> Instant {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        (heard + silent).min(self.began + SLOW)
    }
}

impl<'a> Waiting<'a> {
    /// Stands in the line; where that is full, the turn that began first makes room, stalled or not.
    fn new(handshakes: &'a Handshakes) -> Self {
        let mut running = handshakes.running();
        running.waiting += 1;
        if running.lacking(&handshakes.room) > handshakes.line_max
            && let Some(number) = running.turns.keys().next().copied()
        {
            running.end(number);
        }
        Self(handshakes)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.running().waiting -= 1;
    }
}

impl Turn<'_> {
    /// Runs a handshake, and notes when it goes on.
    pub(super) async fn run<F: Future + Unpin>(&self, mut handshake: F) -> F::Output {
        poll_fn(|cx| {
            let polled = Pin::new(&mut handshake).poll(cx);
            *self.word.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            polled
        })
        .await
    }

    /// It is done, and well.
    pub(super) fn succeed(self) {
        let mut running = self.handshakes.running();
        let (usual, took) = (running.usual, self.word.began.elapsed().min(SLOW));
        let more = took.saturating_sub(usual) / PART;
        running.usual = if took < usual { (usual + took) / 2 } else { usual + more };
    }

    /// Waits until somebody needs the room.
    pub(super) async fn over(&self) {
        self.word.over.notified().await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut running = self.handshakes.running();
        if running.turns.remove(&self.number).is_none() {
            running.ending -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;
    use tokio::time::{advance, pause, timeout};

    use super::*;

    fn is_over(turn: &Turn<'_>) -> bool {
        turn.over().now_or_never().is_some()
    }

    /// So many at once, where handshakes take no time.
    async fn quick(max: usize) -> Handshakes {
        let handshakes = Handshakes::new(max, usize::MAX);
        for _ in 0..PART {
            handshakes.begin().await.succeed();
        }
        handshakes
    }

    /// Begins, as far as that goes now.
    async fn soon(handshakes: &Handshakes) -> Option<Turn<'_>> {
        timeout(Duration::from_millis(1), handshakes.begin()).await.ok()
    }

    #[tokio::test]
    async fn whoever_comes_late_waits_for_one_that_ends_or_stalls_and_no_other_is_ended() {
        pause();
        let handshakes = quick(2).await;
        let first = handshakes.begin().await;
        advance(SILENT / 2).await;
        let second = handshakes.begin().await;
        assert!(soon(&handshakes).await.is_none(), "both are at work");
        assert!(!is_over(&first) && !is_over(&second));
        drop(second);
        let third = soon(&handshakes).await.expect("who ended made room");
        assert!(!is_over(&first));
        advance(SILENT / 2).await;
        let mut fourth = pin!(handshakes.begin());
        assert!((&mut fourth).now_or_never().is_none());
        assert!(is_over(&first) && !is_over(&third), "the one that stalled");
        drop(first);
        let fourth = fourth.now_or_never().expect("its room");
        // Who goes on is not stalled, but nobody goes on for ever.
        let began = Instant::now();
        while began.elapsed() + SILENT < SLOW {
            advance(SILENT / 2).await;
            for turn in [&third, &fourth] {
                turn.run(ready(())).await;
            }
            assert!(soon(&handshakes).await.is_none());
            assert!(!is_over(&third) && !is_over(&fourth));
        }
        assert!(timeout(SLOW, handshakes.begin()).await.is_err(), "told, and not yet gone");
        assert!(is_over(&third));
        drop((third, fourth));
        let running = handshakes.running();
        assert_eq!((running.turns.len(), running.ending, running.waiting), (0, 0, 0));
    }

    #[tokio::test]
    async fn where_all_take_long_nobody_is_hurried() {
        pause();
        let handshakes = Handshakes::new(1, usize::MAX);
        for _ in 0..PART {
            let turn = handshakes.begin().await;
            advance(SILENT / 2).await;
            turn.succeed();
        }
        let slow = handshakes.begin().await;
        assert!(timeout(SILENT, handshakes.begin()).await.is_err());
        assert!(!is_over(&slow), "the others took as long");
        assert!(timeout(SILENT * 2, handshakes.begin()).await.is_err());
        assert!(is_over(&slow));
    }

    #[tokio::test]
    async fn a_few_that_take_their_time_win_none_for_those_that_stall() {
        pause();
        let handshakes = quick(1).await;
        for round in 0..30 {
            let turn = handshakes.begin().await;
            if round % 3 == 0 {
                advance(SLOW).await;
            }
            turn.succeed();
        }
        let stalled = handshakes.begin().await;
        assert!(timeout(SILENT * 2, handshakes.begin()).await.is_err());
        assert!(is_over(&stalled));
    }

    #[test]
    fn a_line_leaves_room_for_others() {
        let line = |max, connections_max| Handshakes::new(max, connections_max).line_max;
        assert_eq!([line(500, 20_000), line(500, 896), line(500, 2000)], [1000, 0, 500]);
    }

    #[tokio::test]
    async fn a_line_that_is_full_ends_the_oldest_at_once() {
        pause();
        let handshakes = quick(0).await;
        let first = handshakes.begin().await;
        let mut line: Vec<_> = (0..=LINE).map(|_| Box::pin(handshakes.begin())).collect();
        for one in &mut line[..LINE] {
            assert!(one.now_or_never().is_none());
        }
        assert!(!is_over(&first), "one at least, and its line");
        assert!((&mut line[LINE]).now_or_never().is_none());
        assert!(is_over(&first));
        drop(first);
        let next = (&mut line[0]).now_or_never().expect("the first of the line");
        assert!(next.run(Box::pin(pending::<()>())).now_or_never().is_none());
        assert!((&mut line[1]).now_or_never().is_none());
        drop((next, line));
        assert!(soon(&handshakes).await.is_some(), "who left the line takes nothing");
        assert_eq!(handshakes.running().waiting, 0);
    }
}
