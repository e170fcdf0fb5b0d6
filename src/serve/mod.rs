//! The gateway put together: settings in, a running gateway out, and its orderly end. Opens in the order of trust
//! (folder, store, spool, destinations, sockets) and ends in the reverse one. Decides nothing about requests or events.

mod cores;
mod feed;
mod means;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::accept::{AcceptError, Body, Handler, Listener, Reply, Sockets};
use crate::admin::{Admin, Lane, Life, Phase};
use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::feed::{Feed, FeedError};
use crate::fetch::Fetcher;
use crate::forward::{Destination, ForwardError, Forwarder, Ground, Status};
use crate::hooks::{self, Hooks, Routes};
use crate::request::Arrival;
use crate::shelf::{Shelf, ShelfError};
use crate::spool::{FolderLock, Spool, SpoolError};
use crate::store::{self, Store, StoreError, Webhook};
use crate::telemetry::{Telemetry, accept, process};
use crate::verify::key::Keyring;
use cores::Cores;
use means::Means;

pub use means::check;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Threads render templates where the request is; a deep value needs that much stack (`hookgate` never recurses
/// further on it than its own bounds allow).
pub(crate) const STACK_BYTES: usize = 16 << 20;
/// Part of the drain that is kept for what comes after the connections: outbox, destinations, spool.
const DRAIN_KEPT: Duration = Duration::from_secs(3);
/// Destinations of records that readiness tells of.
const LANES_TOLD_MAX: usize = 100;
/// Between two looks at the wall clock.
const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// Connections to the admin listener.
const ADMIN_CONNECTIONS_MAX: usize = 128;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder has no account yet.
    #[error(
        "{} has no account yet: run `hookgate bootstrap --data {}` first",
        .0.display(), .0.display()
    )]
    Empty(PathBuf),
    /// The data folder is in use, or its spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The records cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index of events cannot be opened or made.
    #[error("the index of events: {0}")]
    Feed(#[from] FeedError),
    /// The shelf of parked events cannot be opened.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// An address or a certificate cannot be used.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// A destination cannot be used.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A provider of the settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives no threads.
    #[error("no runtime: {0}")]
    Runtime(#[from] io::Error),
}

/// A runtime fit to render templates on.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
}

/// Answers on the listeners of senders and managers: one path, one plane.
struct Front {
    hooks: Hooks,
    feed: Feed,
    api: Arc<Api>,
}

impl Front {
    fn new(hooks: Hooks, feed: &Feed, api: Arc<Api>) -> Self {
        Self { hooks: hooks.enrolling(enrolment(&api)), feed: feed.clone(), api }
    }
}

impl Handler for Front {
    async fn answer(&self, arrival: Arrival, body: Body) -> Reply {
        let path = arrival.path();
        if path.starts_with(hooks::PATH_PREFIX) {
            return self.hooks.receive(arrival, body).await;
        }
        if path.starts_with(hooks::RECEIPTS_PREFIX) {
            return Box::pin(self.hooks.look_up(&self.feed, &arrival)).await;
        }
        let rest = path.strip_prefix(api::PATH_PREFIX);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            // Managers come seldom: their state must not weigh on every sender's request.
            return Box::pin(self.api.answer(arrival, body)).await;
        }
        Reply::detail(StatusCode::NOT_FOUND, "Not Found")
    }
}

/// A gateway in service.
#[derive(Debug)]
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
    life: Arc<Life>,
    spool: Spool,
    store: Arc<Store>,
    feed: Feed,
    forwarder: Forwarder,
    front: Doors,
    admin: Doors,
    pump: JoinHandle<u64>,
    upkeep: JoinHandle<()>,
    stop_pump: watch::Sender<bool>,
    cores: Cores,
    drain: Duration,
}

/// A set of listeners and what stops them.
#[derive(Debug)]
struct Doors {
    sockets: Sockets,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Doors {
    /// Runs listeners, the shares of one address on one runtime after the other.
    fn open<H: Handler>(
        sockets: Sockets,
        listeners: Vec<Listener>,
        runtimes: &[Handle],
        handler: &Arc<H>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(sockets.clone().mind(stopped.clone()));
        for (listener, runtime) in listeners.into_iter().zip(runtimes.iter().cycle()) {
            running.spawn_on(listener.run(Arc::clone(handler), stopped.clone()), runtime);
        }
        Self { sockets, stop, running }
    }

    /// Accepts nothing more, lets what runs finish, cuts what does not.
    async fn close(mut self) {
        let _ = self.stop.send(true);
        while self.running.join_next().await.is_some() {}
        let drained = self.sockets.drain().await;
        tracing::debug!(open = drained.open, cut = drained.cut, took = ?drained.took, "drained");
        if drained.cut > 0 {
            tracing::warn!(cut = drained.cut, "connections were cut at the end of the drain");
        }
    }
}

impl Gateway {
    /// Starts a gateway inside the present runtime; it serves when this returns.
    ///
    /// # Errors
    /// [`ServeError`]; nothing runs then.
    pub async fn start(config: &Config, clock: Arc<Clock>) -> Result<Self, ServeError> {
        let data = &config.server.data;
        if !data.join(store::FILE_NAME).exists() {
            return Err(ServeError::Empty(data.clone()));
        }
        let telemetry = Telemetry::new();
        let Means { providers, keys, destinations, sockets } =
            Means::of(config, &clock, &telemetry)?;
        process::register(&telemetry, VERSION);
        let life = Arc::new(Life::default());
        let lock = FolderLock::take(data)?;
        let store = Arc::new(Store::open_sealed(data, keys.as_ref())?);
        if store.oldest_account().await?.is_none() {
            return Err(ServeError::Empty(data.clone()));
        }
        let options = config.sealed_spool(keys.as_ref())?;
        let spool = Spool::open_locked(lock, data, options, &clock, &telemetry)?.0;
        let feed = feed::start(config, &spool, &clock, &telemetry)?;
        let shelf = Shelf::open(data)?;
        let webhooks = store.webhooks().await?;
        let routes = Routes::with_providers(&clock, providers.clone(), &webhooks);
        let (routes, records) = (watch_webhooks(&store, routes), (&*store, &*webhooks));
        let keys = Arc::new(Keyring::new());
        let api = {
            let (store, keys, clock) = (store.clone(), keys.clone(), clock.clone());
            let (spool, kept) = (spool.clone(), (feed.clone(), shelf.clone()));
            let options = api::Options { shadows: routes.shadows(), providers, ..config.api() };
            Arc::new(Api::new(store, keys, spool, kept, clock, &telemetry, options).await?)
        };
        // Bound before anything runs: an address in use must leave no trace.
        let cores = Cores::start(std::thread::available_parallelism().map_or(2, usize::from))?;
        let handles = cores.handles();
        let (sockets, listeners) = bind(config, sockets, handles.len())?;
        let (admin_sockets, admin_listener) = bind_admin(config, &clock)?;
        let forwarder = {
            let kept = (records, (&spool, &shelf));
            lanes_of(config, destinations, kept, &clock, &telemetry).await?
        };
        let (stop_pump, stopped) = watch::channel(false);
        let upkeep = tokio::spawn(api::expire(Arc::clone(&api), stopped.clone()));
        let pump = tokio::spawn(api::pump(store.clone(), spool.clone(), api.facts(), stopped));
        let mut addresses: Vec<_> = listeners.iter().map(Listener::local_addr).collect();
        addresses.dedup();
        let admin_address = admin_listener.local_addr();
        let seen = (lanes(&forwarder), telemetry.clone());
        let admin = admin_of(life.clone(), (spool.clone(), feed.clone()), seen, clock.clone());
        let fetcher = fetcher(config, &clock, &telemetry);
        let (limits, options) = (api.limits(), config.hooks());
        let hooks = Hooks::new(routes, keys, limits, spool.clone(), clock, &telemetry, options);
        let front = Front::new(hooks.fetching(fetcher), &feed, api);
        let front = Doors::open(sockets, listeners, handles, &Arc::new(front));
        let admin = Doors::open(admin_sockets, vec![admin_listener], &[Handle::current()], &admin);
        life.enter(Phase::Serving);
        Ok(Self {
            addresses,
            admin_address,
            life,
            spool,
            store,
            feed,
            forwarder,
            front,
            admin,
            pump,
            upkeep,
            stop_pump,
            cores,
            drain: Duration::from_secs(config.server.drain_seconds),
        })
    }

    /// Where senders and managers come in.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the operator looks.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Opens destinations again that write to files, after somebody moved those.
    pub fn reopen(&self) {
        self.forwarder.reopen();
    }

    /// The orderly end: readiness goes first, then no more connections, what runs is finished, what was committed
    /// reaches the spool, destinations finish what they are at, the spool is synced. Returns within `drain_seconds`.
    pub async fn stop(self) {
        let Self {
            life,
            spool,
            store,
            feed,
            forwarder,
            front,
            admin,
            pump,
            upkeep,
            stop_pump,
            cores,
            drain,
            ..
        } = self;
        life.enter(Phase::Draining);
        let ending = async {
            front.close().await;
            let _ = stop_pump.send(true);
            match pump.await {
                Ok(0) => {}
                Ok(left) => tracing::warn!(left, "audit events wait for the next start"),
                Err(fault) => tracing::error!(%fault, "the outbox's task failed"),
            }
            if let Err(fault) = upkeep.await {
                tracing::error!(%fault, "the task that ends what is over failed");
            }
            forwarder.stop().await;
            feed.stop().await;
            admin.close().await;
        };
        if tokio::time::timeout(drain, ending).await.is_err() {
            tracing::warn!(
                ?drain,
                "not all was done in time; what is kept goes on at the next start"
            );
        }
        // Its threads end here, and with them the folder's lock.
        let closing = tokio::task::spawn_blocking(move || {
            spool.close();
            drop((cores, store));
        });
        if let Err(fault) = closing.await {
            tracing::error!(%fault, "closing failed");
        }
    }
}

/// Who answers the operator, and looks after the wall clock.
fn admin_of(
    life: Arc<Life>,
    kept: (Spool, Feed),
    (lanes, telemetry): (crate::admin::Lanes, Telemetry),
    clock: Arc<Clock>,
) -> Arc<Admin> {
    let admin = Arc::new(Admin::new(life, kept, lanes, telemetry, clock));
    tokio::spawn(watch_clock(Arc::downgrade(&admin)));
    admin
}

/// Looks after the wall clock as long as somebody answers on the operator's listener.
async fn watch_clock(admin: std::sync::Weak<Admin>) {
    loop {
        tokio::time::sleep(CLOCK_LOOK).await;
        let Some(admin) = admin.upgrade() else { return };
        admin.watch_clock();
    }
}

/// Lets the table of hooks hear of every change.
fn watch_webhooks(store: &Store, routes: Routes) -> Arc<Routes> {
    let routes = Arc::new(routes);
    let told = Arc::clone(&routes);
    store.watch(Box::new(move |change| told.apply(change)));
    routes
}

/// The lanes of the operator's destinations and of those that records describe.
async fn lanes_of(
    config: &Config,
    destinations: Vec<Destination>,
    ((store, webhooks), (spool, shelf)): ((&Store, &[Webhook]), (&Spool, &Shelf)),
    clock: &Arc<Clock>,
    telemetry: &Telemetry,
) -> Result<Forwarder, ServeError> {
    let data = &config.server.data;
    let operator = store.oldest_account().await?.ok_or(ServeError::Empty(data.clone()))?;
    let ground = Ground {
        spool: spool.clone(),
        data: data.clone(),
        shelf: shelf.clone(),
        clock: Arc::clone(clock),
        telemetry: telemetry.clone(),
        allowed: config.egress.networks(),
        detour: config.egress.detour(),
        operator,
    };
    let destinations = Forwarder::settle(destinations, &ground).await?;
    let forwarder = Forwarder::start(destinations, &store.destinations().await?, ground)?;
    for webhook in webhooks {
        forwarder.weigh(webhook.id, webhook.weight);
    }
    // Nobody can have changed one since it was read: nothing is served yet.
    store.watch(Box::new(forwarder.watcher()));
    Ok(forwarder)
}

/// Keeps what providers bring, for those who receive it.
fn enrolment(api: &Arc<Api>) -> hooks::Enrol {
    let api = Arc::clone(api);
    Arc::new(move |webhook, secret| {
        let api = Arc::clone(&api);
        Box::pin(async move { api.enrol(webhook, &secret).await })
    })
}

/// What asks others, if anybody is to be asked.
fn fetcher(config: &Config, clock: &Arc<Clock>, telemetry: &Telemetry) -> Option<Fetcher> {
    let options = config.fetch.options(&config.egress);
    config.fetch.enabled.then(|| Fetcher::new(options, clock, telemetry))
}

/// The listeners of senders and managers.
fn bind(
    config: &Config,
    sockets: Sockets,
    shares: usize,
) -> Result<(Sockets, Vec<Listener>), ServeError> {
    let mut listeners = Vec::new();
    for address in &config.server.listen {
        listeners.extend(sockets.listen_shared(*address, shares)?);
    }
    Ok((sockets, listeners))
}

/// The operator's listener; its connections are none of the senders' metrics.
fn bind_admin(config: &Config, clock: &Arc<Clock>) -> Result<(Sockets, Listener), ServeError> {
    let options = crate::accept::Options {
        connections_max: ADMIN_CONNECTIONS_MAX,
        drain: Duration::from_secs(1),
        ..crate::accept::Options::default()
    };
    let facts = accept::Facts::register(&Telemetry::new());
    let sockets = Sockets::new(Arc::new(options), Arc::clone(clock), facts)?;
    let listener = sockets.listen(config.server.admin_listen)?;
    Ok((sockets, listener))
}

/// How the lanes stand, for readiness.
fn lanes(forwarder: &Forwarder) -> crate::admin::Lanes {
    let board = forwarder.board();
    let lane = |status: Status| Lane {
        name: status.name,
        lag: status.lag,
        parked: status.parked,
        fault: status.last_fault.filter(|_| status.failing),
    };
    // Of those of records only some that are not well: there may be thousands.
    let told = |status: &Status| {
        let is_well = !status.failing && status.parked == 0 && status.lag.frames == 0;
        status.is_operators || !is_well
    };
    Box::new(move || {
        let (own, records): (Vec<_>, Vec<_>) =
            board().into_iter().filter(told).partition(|status| status.is_operators);
        own.into_iter().chain(records.into_iter().take(LANES_TOLD_MAX)).map(lane).collect()
    })
}

#[cfg(test)]
mod simulation;
