//! The machine under test. In: the world outside it. Out: one life: a spool, the store's outbox, a lane, senders and
//! somebody who changes records, until the power goes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::world::{SENDERS, Sender, id_of, says_which};
use super::{SINK, Shared, ground};
use crate::api;
use crate::catalogue::WEBHOOK;
use crate::clock::Time;
use crate::event::{self, Event};
use crate::forward::{Destination, Forwarder, Ground};
use crate::id::{self, Secret, Uuid};
use crate::shelf::Shelf;
use crate::spool::still::{self, Hands};
use crate::spool::{Again, Capture, Frame, Options, Spool, SpoolError, Taken};
use crate::store::{Batch, Hidden, Outgoing, Record, Slug, Store, Write};
use crate::telemetry::Telemetry;
use crate::telemetry::api::Facts;

/// The webhook of all requests.
const HOOK: Uuid = Uuid::from_u128(9);
/// For how long a request is remembered; the clock jumps by less.
const WINDOW_SECONDS: i64 = 86_400;

fn options(is_direct: bool) -> Options {
    Options {
        segment_bytes: 64 << 10,
        spool_max_bytes: 64 << 20,
        free_min_bytes: 0,
        retention: Duration::from_hours(24 * 365),
        direct: is_direct,
        ..Options::default()
    }
}

/// One life.
pub(super) async fn live(world: Shared) -> turmoil::Result {
    let started = start(&world).await;
    if started.is_err() {
        world.borrow_mut().facts.unstarted += 1;
    }
    let _lanes = started.ok();
    std::future::pending().await
}

/// Starts everything in the order a gateway does. On a disk that fails there may be no start.
async fn start(world: &Shared) -> Result<Forwarder, SpoolError> {
    let (disk, data, clock, chance, is_direct) = {
        let mut world = world.borrow_mut();
        let (chance, is_direct) = (world.chance.fork(), world.chance.bool());
        (world.disk.clone(), world.data.clone(), Arc::clone(&world.clock), chance, is_direct)
    };
    let store = Arc::new(Store::open(&data).expect("a store"));
    let folder = std::path::Path::new("/data");
    let opened = still::open(Arc::new(disk), folder, &options(is_direct), &clock, chance, u64::MAX);
    let (spool, recovery, hands) = opened?;
    world.borrow_mut().facts.torn += u64::from(recovery.torn_bytes > 0);
    check(world, &spool).await?;
    work(world, hands);
    let destination = Destination::parse(&format!("http://{SINK}:80/events"));
    let ground = Ground {
        spool: spool.clone(),
        shelf: Shelf::open(&data).expect("a shelf"),
        data,
        clock,
        telemetry: Telemetry::new(),
        allowed: Arc::default(),
        detour: None,
        operator: ground().account,
    };
    let lanes = Forwarder::start_simulated(vec![destination.expect("a destination")], ground);
    let lanes = lanes.map_err(|fault| SpoolError::Failed(fault.to_string()))?;
    let (stop, stopped) = watch::channel(false);
    let facts = Facts::register(&Telemetry::new());
    spawn_local(async move {
        // Held: whoever stops a gateway is there as long as it runs.
        let _stop = stop;
        std::future::pending::<()>().await;
    });
    spawn_local(api::pump(Arc::clone(&store), spool.clone(), facts, stopped));
    for sender in 0..SENDERS {
        spawn_local(send(Rc::clone(world), spool.clone(), sender));
    }
    spawn_local(change(Rc::clone(world), Arc::clone(&store)));
    spawn_local(report(Rc::clone(world), spool, store));
    Ok(lanes)
}

fn work(world: &Shared, hands: Hands) {
    let mut chance = world.borrow_mut().chance.fork();
    spawn_local(hands.work(move || Duration::from_millis(chance.u64(1..12))));
}

/// Reads all there is.
async fn check(world: &Shared, spool: &Spool) -> Result<(), SpoolError> {
    let mut reader = spool.follow(Some(Time::from_micros(i64::MIN)));
    let mut all = Vec::new();
    loop {
        let kept = reader.take(1000, 1 << 20, u64::MAX).await?;
        if kept.is_empty() {
            break;
        }
        all.extend(kept);
    }
    world.borrow_mut().check_kept(&all);
    Ok(())
}

/// Tells how much is left to be done.
async fn report(world: Shared, spool: Spool, store: Arc<Store>) {
    loop {
        let pending = store.pending_count().await.unwrap_or(u64::MAX);
        let behind = spool.lags().iter().map(|(_, lag)| lag.frames).sum::<u64>();
        world.borrow_mut().left = pending.saturating_add(behind);
        sleep(Duration::from_millis(20)).await;
    }
}

/// An event of a sender.
fn event(world: &Shared, sender: u64, id: Uuid) -> Event {
    let mut world = world.borrow_mut();
    let resource = format!("test.{sender}");
    let labels = [("prefect.resource.id", &*resource)];
    let payload = format!("{{\"id\":\"{id}\"}}");
    let event = event::compose(world.clock.now(), "test", &labels, &[], &payload, id, None);
    world.make(&event);
    event
}

/// Sends one request after the other. Every second sender says which one it is, and sends it until it is answered,
/// also over crashes.
async fn send(world: Shared, spool: Spool, sender: u64) {
    let is_keyed = says_which(sender);
    // What was under way when the power went is not sent again by whoever cannot say which it is.
    let at = world.borrow().senders[sender as usize];
    if !is_keyed && at.attempt > 0 {
        world.borrow_mut().senders[sender as usize] = Sender { number: at.number + 1, attempt: 0 };
    }
    loop {
        let (pause, bytes, is_healed) = {
            let mut world = world.borrow_mut();
            let pause = Duration::from_millis(world.chance.u64(1..60));
            (pause, world.chance.usize(0..3000), world.is_healed)
        };
        sleep(pause).await;
        let at = world.borrow().senders[sender as usize];
        // At the end only what was not answered is sent.
        if is_healed && !(is_keyed && at.attempt > 0) {
            return;
        }
        let answered = post(&world, &spool, (sender, at), bytes, is_keyed).await;
        let mut world = world.borrow_mut();
        match answered {
            Ok((sequence, received)) => world.promise(sequence, received),
            Err(_) => world.facts.failed += 1,
        }
        let next = &mut world.senders[sender as usize];
        if answered.is_ok() || !is_keyed {
            *next = Sender { number: at.number + 1, attempt: 0 };
        }
    }
}

/// One request; the place it is kept at, and the received event that it is answered with.
async fn post(
    world: &Shared,
    spool: &Spool,
    (sender, at): (u64, Sender),
    bytes: usize,
    is_keyed: bool,
) -> Result<(u64, Uuid), SpoolError> {
    world.borrow_mut().senders[sender as usize].attempt += 1;
    let events = [true, false].map(|received| event(world, sender, id_of(sender, at, received)));
    let (received, now) = (events[0].id, world.borrow().clock.now());
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&at.number.to_le_bytes());
    digest[8] = sender as u8;
    // The last one is known by what it has signed.
    let is_signed = is_keyed && sender + 1 == SENDERS;
    let key = (is_keyed && !is_signed).then_some(digest);
    let signed = is_signed.then_some(digest);
    let body = Bytes::from(vec![at.number as u8; bytes]);
    let capture = Capture { webhook: HOOK, key, signed, body, ..Capture::default() };
    let place = (ground().account, Some(ground().workspace));
    let frame = Frame::encode(place.0, place.1, now, &events, Some(&capture));
    if !is_keyed {
        return spool.append(frame).await.map(|receipt| (receipt.sequence(), received));
    }
    let since = now.plus_seconds(-WINDOW_SECONDS);
    let known = [Again { key: (HOOK, digest), since }];
    let taken = spool.append_first(&known, (received, now), frame).await?;
    Ok(match taken {
        Taken::New(receipt) => (receipt.sequence(), received),
        Taken::Known(first) | Taken::Failed(first) => (first.receipt.sequence(), first.id),
    })
}

/// Makes records, each with its audit event.
async fn change(world: Shared, store: Arc<Store>) {
    loop {
        let pause = Duration::from_millis(world.borrow_mut().chance.u64(20..200));
        sleep(pause).await;
        if world.borrow().is_healed {
            return;
        }
        let clock = Arc::clone(&world.borrow().clock);
        let (account, workspace, now) = (ground().account, Some(ground().workspace), clock.now());
        let record = id::now(&clock);
        let fields = json!({"name": format!("hook {record}"), "description": "", "enabled": true,
            "template": "t", "service_account_id": null});
        let fields = fields.as_object().cloned().expect("an object");
        let mut made = Record::new(record, &WEBHOOK, account, fields, now);
        made.workspace = workspace;
        made.hidden = Hidden::Slug(Slug::new(Secret::new(record.simple().to_string())));
        let resource = format!("prefect-cloud.webhook.{record}");
        let labels = [("prefect.resource.id", &*resource)];
        let name = "prefect-cloud.webhook.created";
        let event = event::compose(now, name, &labels, &[], "{}", id::now(&clock), None);
        let id = event.id;
        world.borrow_mut().make(&event);
        let outgoing = Outgoing { account, workspace, occurred: now, event };
        let batch = Batch { writes: vec![Write::Insert(made)], events: vec![outgoing] };
        if store.commit(batch).await.is_ok() {
            world.borrow_mut().commit(id);
        }
    }
}
