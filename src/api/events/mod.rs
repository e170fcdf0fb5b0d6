//! Events over the API (contract 5): the table of their routes, who may use them, and whose events they are about. In:
//! requests below one of three bases. Out: the effect's reply. Never an event of another tenant, nor a word of one.

mod again;
mod inlet;
mod live;
mod outlet;
mod place;
mod publish;
mod query;
mod token;
mod visitor;

use std::sync::Arc;
use std::time::Instant;

pub(super) use publish::frames;

use live::Live;
use outlet::Seats;
use place::Base;
use query::Sight;
use visitor::{Goodbye, Visitor};

use super::origin::Origin;
use super::problem::Problem;
use super::{Api, PATH_PREFIX};
use tokio::sync::Semaphore;

use crate::accept::websocket::{self, Socket};
use crate::accept::{Body, Reply};
use crate::catalogue::Permission;
use crate::feed::Feed;
use crate::request::Arrival;
use crate::spool::Spool;
use crate::telemetry::Telemetry;
use crate::telemetry::damper::Damper;
use crate::telemetry::events::Facts;

/// What is asked of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// An array of events is kept.
    Publish,
    /// A websocket takes events in.
    In,
    /// The first page of a filter.
    Filter,
    /// A page behind another one.
    Next,
    /// Events counted by something.
    Count,
    /// A websocket gives events out.
    Out,
}

/// One route, below each of the three bases and in both slash forms.
#[derive(Debug)]
struct Row {
    method: &'static str,
    /// What stands behind `events`; a part in braces is any.
    suffix: &'static [&'static str],
    /// Its name in metrics.
    name: &'static str,
    effect: Effect,
}

const ROWS: &[Row] = &[
    Row { method: "POST", suffix: &[], name: "publish", effect: Effect::Publish },
    Row { method: "GET", suffix: &["in"], name: "in", effect: Effect::In },
    Row { method: "POST", suffix: &["filter"], name: "filter", effect: Effect::Filter },
    Row { method: "GET", suffix: &["filter", "next"], name: "next", effect: Effect::Next },
    Row { method: "POST", suffix: &["count-by", "{by}"], name: "count", effect: Effect::Count },
    Row { method: "GET", suffix: &["out"], name: "out", effect: Effect::Out },
];

/// The subprotocol of clients that say in their first frame who they are.
const SUBPROTOCOL: &str = "prefect";

impl Row {
    /// What it takes in a workspace, and in an account for the account's own events.
    fn needs(&self, base: Base) -> Permission {
        match (self.effect, base) {
            (Effect::Publish | Effect::In, Base::Account(_)) => {
                Permission::Account("update:account")
            }
            (Effect::Publish | Effect::In, _) => Permission::Workspace("manage_events"),
            (_, Base::Account(_)) => Permission::Account("read:audit_event"),
            (_, _) => Permission::Workspace("see_events"),
        }
    }

    fn fits(&self, parts: &[&str]) -> bool {
        let same = |(wanted, part): (&&str, &&str)| wanted == part || wanted.starts_with('{');
        self.suffix.len() == parts.len() && self.suffix.iter().zip(parts).all(same)
    }
}

/// A request whose path is one of events', as it was sent.
pub(super) struct Asked<'p> {
    account: Option<&'p str>,
    workspace: Option<&'p str>,
    what: What,
}

enum What {
    Row(&'static Row),
    /// The path has other methods: these.
    Methods(Vec<&'static str>),
}

impl Asked<'_> {
    /// Whether the path names no account.
    fn is_server_mode(&self) -> bool {
        self.account.is_none()
    }
}

/// Settings of events.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether anybody may publish under the gateway's own names.
    pub reserved_names: bool,
    /// Whether the paths without an account need no key.
    pub open_server_mode: bool,
    /// Whether requests may call the gateway by any name; those without a key then only by one that no stranger can
    /// give it.
    pub any_host: bool,
    /// How clients reach the gateway; as their requests say when absent.
    pub public_url: Option<String>,
    /// Who may follow events at once, in all.
    pub followers_max: usize,
    /// Who may follow events of one account at once.
    pub followers_per_account_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reserved_names: false,
            open_server_mode: false,
            any_host: true,
            public_url: None,
            followers_max: 1000,
            followers_per_account_max: 100,
        }
    }
}

/// Most who look back in the spool at the same time.
const LOOKS_MAX: usize = 4;

/// What the routes of events work with.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) spool: Spool,
    pub(super) feed: Feed,
    facts: Arc<Facts>,
    /// Frames that were no events.
    damper: Damper,
    differing: Arc<Damper>,
    epoch: Instant,
    live: Arc<Live>,
    seats: Arc<Seats>,
    /// Turns of looking back.
    looks: Semaphore,
}

impl Events {
    pub(super) fn new(spool: Spool, feed: Feed, telemetry: &Telemetry, options: &Options) -> Self {
        Self {
            live: Live::new(spool.clone()),
            spool,
            feed,
            facts: Facts::register(telemetry),
            damper: Damper::default(),
            differing: Arc::default(),
            epoch: Instant::now(),
            seats: Seats::new(options.followers_max, options.followers_per_account_max),
            looks: Semaphore::new(LOOKS_MAX),
        }
    }
}

/// Deepest path of the table, in parts.
const PARTS_MAX: usize = 7;

/// What a method and a path mean, if the path is one of events'.
pub(super) fn find<'p>(method: &str, path: &'p str) -> Option<Asked<'p>> {
    let rest = path.strip_prefix(PATH_PREFIX)?.strip_prefix('/')?;
    let parts: Vec<&str> =
        rest.strip_suffix('/').unwrap_or(rest).splitn(PARTS_MAX + 1, '/').collect();
    let (account, workspace, rest) = match &parts[..] {
        ["events", rest @ ..] => (None, None, rest),
        ["accounts", account, "events", rest @ ..] => (Some(*account), None, rest),
        ["accounts", account, "workspaces", workspace, "events", rest @ ..] => {
            (Some(*account), Some(*workspace), rest)
        }
        _ => return None,
    };
    let method = if method == "HEAD" { "GET" } else { method };
    let fitting = || ROWS.iter().filter(|row| row.fits(rest));
    let what = match fitting().find(|row| row.method == method) {
        Some(row) => What::Row(row),
        None if fitting().next().is_none() => return None,
        None => What::Methods(fitting().map(|row| row.method).collect()),
    };
    Some(Asked { account, workspace, what })
}

/// The method and path of each route, below each of the bases.
#[cfg(test)]
pub(super) fn routes() -> impl Iterator<Item = (String, String)> {
    let bases = ["", "/accounts/{account}", "/accounts/{account}/workspaces/{workspace}"];
    ROWS.iter().flat_map(move |row| {
        let below = row.suffix.iter().fold(String::new(), |path, part| format!("{path}/{part}"));
        bases.map(|place| (row.method.to_owned(), format!("{PATH_PREFIX}{place}/events{below}")))
    })
}

impl Api {
    /// Answers a request of events'; its body is read only once the caller is known and allowed.
    pub(super) async fn answer_events(
        self: &Arc<Self>,
        asked: Asked<'_>,
        arrival: &Arrival,
        body: Body,
    ) -> Reply {
        let (name, reply) = match &asked.what {
            What::Row(row) => (row.name, self.run_events(&asked, row, arrival, body).await),
            What::Methods(methods) => ("none", Err(Problem::Method(methods.join(", ")))),
        };
        self.reply(("events", name), reply)
    }

    async fn run_events(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        row: &Row,
        arrival: &Arrival,
        body: Body,
    ) -> Result<Reply, Problem> {
        let offered = websocket::offers(&arrival.headers, SUBPROTOCOL);
        if row.effect == Effect::Out || (row.effect == Effect::In && offered) {
            let base = Base::read(asked.account, asked.workspace)?;
            let protocol = offered.then_some(SUBPROTOCOL);
            return Ok(match row.effect {
                Effect::Out => self.greet(base, row, arrival, protocol, outlet::run),
                _ => self.greet(base, row, arrival, protocol, inlet::run),
            });
        }
        let key = self.known(asked, arrival)?;
        let base = Base::read(asked.account, asked.workspace)?;
        let origin = Origin::of(arrival);
        match row.effect {
            Effect::In | Effect::Out => {
                let api = Arc::clone(self);
                let visitor = Visitor::admit(api, base, row.needs(base), key, origin).await?;
                let run = |socket| inlet::run(visitor, socket);
                Ok(websocket::accept(&arrival.headers, None, run))
            }
            Effect::Publish => {
                let place = self.enter(base, row.needs(base), key.as_deref(), &origin).await?;
                self.events.spool.admit()?;
                let content = body.read(self.options.body_max_bytes).await?;
                self.publish(&place, arrival, content).await
            }
            Effect::Filter | Effect::Next | Effect::Count => {
                let key = key.as_deref();
                let place = self.enter(base, row.needs(base), key, &origin).await?;
                let sight = Sight::new(place, self.sees_all(base, key, &origin).await?);
                if row.effect == Effect::Next {
                    return self.next_page(sight, arrival).await;
                }
                let content = body.read(self.options.body_max_bytes).await?;
                match row.effect {
                    Effect::Filter => self.first_page(sight, arrival, &content).await,
                    _ => self.count_events(sight, arrival, &content).await,
                }
            }
        }
    }

    /// Switches to a websocket whose client says in its first frame who it is.
    fn greet<F>(
        self: &Arc<Self>,
        base: Base,
        row: &Row,
        arrival: &Arrival,
        protocol: Option<&'static str>,
        run: impl FnOnce(Visitor, Socket) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (api, known) = (Arc::clone(self), self.authenticate(arrival).ok());
        let (origin, is_open) = (Origin::of(arrival), self.is_open(arrival));
        let needs = row.needs(base);
        websocket::accept(&arrival.headers, protocol, move |mut socket| async move {
            match Visitor::greet(api, base, needs, known, is_open, origin, &mut socket).await {
                Ok(visitor) => run(visitor, socket).await,
                Err(Goodbye(code, reason)) => socket.close(code, &reason).await,
            }
        })
    }
}

/// The table as tests knock at it: method, what stands behind `events`, what it takes in an account and a workspace.
#[cfg(test)]
pub(super) fn doors() -> impl Iterator<Item = (&'static str, String, [Permission; 2])> {
    let nil = crate::id::Uuid::nil();
    let needs =
        move |row: &Row| [row.needs(Base::Account(nil)), row.needs(Base::Workspace(nil, nil))];
    ROWS.iter().map(move |row| (row.method, row.suffix.join("/"), needs(row)))
}

#[cfg(test)]
impl Api {
    /// Why a request of events' is turned away; the call itself is not made.
    pub(super) async fn knock_at_events(&self, arrival: &Arrival) -> Result<(), Problem> {
        let asked = find(arrival.method.as_str(), arrival.path()).ok_or(Problem::NotFound)?;
        let What::Row(row) = &asked.what else { return Err(Problem::NotFound) };
        let key = self.known(&asked, arrival)?;
        let base = Base::read(asked.account, asked.workspace)?;
        let origin = Origin::of(arrival);
        self.enter(base, row.needs(base), key.as_deref(), &origin).await.map(|_| ())
    }
}
