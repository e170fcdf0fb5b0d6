//! The control plane: everything under `/api`. In: requests of managers, by key. Out: replies, and changes committed
//! with their audit events. Routes, checks and permissions come from the catalogue; each effect is built once. Never a
//! slug or a key in a log.

mod access;
mod account;
mod actor;
mod automation;
mod change;
mod deed;
mod destination;
mod enrol;
pub mod events;
mod incident;
mod invitation;
mod key;
mod member;
mod mine;
mod openapi;
mod origin;
mod outbox;
mod pages;
mod parked;
mod password;
mod plan;
mod present;
mod problem;
mod question;
mod rates;
mod requests;
mod role;
mod session;
mod settings;
mod support;
mod team;
mod template;
mod term;
mod text;
mod transfer;
mod trial;
mod turn;
mod user;
mod verification;
mod version;
mod vet;

use std::sync::Arc;

use http::HeaderValue;
use http::header::CACHE_CONTROL;

use tokio::sync::Semaphore;

use crate::accept::{Body, Reply};
use crate::apart::Apart;
use crate::catalogue::{self, Act, Effect, Kind, Permission, Scene, Values, Verb};
use crate::clock::Clock;
use crate::feed::Feed;
use crate::id::Uuid;
use crate::limit::{Attempts, Limits};
use crate::render;
use crate::request::{Arrival, Content};
use crate::shelf::Shelf;
use crate::spool::Spool;
use crate::store::{Change, Store, StoreError};
use crate::telemetry::Telemetry;
use crate::telemetry::api::Facts;
use crate::telemetry::notes::Notes;
use crate::verify::key::Keyring;
use crate::verify::signature::{Means, Registry};
use events::Events;
use pages::Page;
use problem::Problem;

pub use destination::{Barrier, Vet};
pub use openapi::text as openapi;
pub use outbox::pump;
pub use requests::Operated;
pub use term::expire;

/// Most drafts that are tried at once.
const TRIALS_MAX: usize = 2;
/// Largest body of what needs no key: whoever sends it is a stranger until it is read.
const OPEN_BODY_MAX_BYTES: u64 = 64 << 10;
/// Where a call to this plane begins.
pub const PATH_PREFIX: &str = "/api";

/// Settings of the control plane.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest body.
    pub body_max_bytes: u64,
    /// Bounds of templates, and of renderings that try them.
    pub render: render::Limits,
    /// Drafts that render beside what is live.
    pub shadows: Arc<render::Shadows>,
    /// Largest body that a webhook takes.
    pub hook_body_max_bytes: u64,
    /// What clients may publish and follow.
    pub events: events::Options,
    /// The budgets, which hooks charge, too.
    pub limits: Arc<Limits>,
    /// Says what is wrong with a destination.
    pub vet_destination: Vet,
    /// Says which addresses it is never let to.
    pub barrier: Barrier,
    /// The operator's destinations.
    pub operated: Arc<[Operated]>,
    /// Days that the store keeps audit events; 0 keeps them for ever.
    pub audit_days: u32,
    /// Who may sign requests of webhooks.
    pub providers: Registry,
    /// What requests are verified with.
    pub means: Means,
}

impl Options {
    /// Bodies of 8 MiB: a request of the largest size fits in, to be tried.
    #[must_use]
    pub fn new(limits: render::Limits) -> Self {
        let events = events::Options::default();
        Self {
            body_max_bytes: 8 << 20,
            render: limits,
            shadows: Arc::default(),
            hook_body_max_bytes: 5 << 20,
            events,
            limits: Arc::default(),
            vet_destination: |_, _, _| Ok(()),
            barrier: Barrier::default(),
            operated: Arc::default(),
            audit_days: 0,
            providers: Registry::built_in(),
            means: Means::ALL,
        }
    }
}

/// Answers everything under `/api`.
pub struct Api {
    store: Arc<Store>,
    keys: Arc<Keyring>,
    clock: Arc<Clock>,
    facts: Arc<Facts>,
    notes: Arc<Notes>,
    options: Options,
    /// Where published events go.
    events: Events,
    /// What destinations did not take.
    shelf: Shelf,
    /// Turns of renderings that try a draft.
    trials: Apart,
    /// The turn of who asks what a batch had.
    batches: Arc<Semaphore>,
    /// Turns of passwords that are hashed.
    passwords: Semaphore,
    /// Tries at passwords.
    attempts: Attempts,
    /// Sources that accounts do not allow.
    refusals: origin::Refusals,
    /// Uses of the sources that accounts allow.
    sightings: origin::Sightings,
    /// Where changes wait that were beaten by others.
    turns: turn::Turns,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// A call that may go on: who calls is known and allowed, and what it is about belongs to them.
#[derive(Debug)]
struct Call {
    kind: &'static Kind,
    verb: &'static Verb,
    scene: Scene,
    /// Who calls; nobody for what needs no key.
    caller: Option<Box<actor::Caller>>,
    /// The parts of the path.
    parts: Vec<actor::Part>,
    /// The resource, or the number of a version, that the path names.
    resource: String,
}

impl Call {
    fn account(&self) -> Uuid {
        self.scene.account.id
    }

    fn workspace(&self) -> Option<Uuid> {
        self.scene.workspace.as_ref().map(|workspace| workspace.id)
    }

    /// The id that stands for a part of the path.
    fn part(&self, name: &str) -> Option<Uuid> {
        self.parts.iter().find(|part| part.name == name).and_then(|part| part.id)
    }

    /// The record's id, for verbs of one record.
    fn id(&self) -> Option<Uuid> {
        self.part("id")
    }
}

/// What a request asks for.
enum Asked<'p> {
    Page(&'static Page),
    Verb(catalogue::Route<'p>),
}

/// A request on its way.
enum Admission {
    Page(&'static Page, Option<Box<actor::Caller>>),
    Call(Box<Call>),
}

impl Admission {
    fn has_body(&self) -> bool {
        matches!(self, Self::Call(call) if call.verb.has_body())
    }

    /// Whether anybody may ask for it.
    fn is_open(&self) -> bool {
        matches!(self, Self::Call(call) if call.verb.needs == Permission::Open)
    }
}

impl Api {
    /// An API over a store. The ring then holds the store's keys, and hears of every change to them.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub async fn new(
        store: Arc<Store>,
        keys: Arc<Keyring>,
        spool: Spool,
        (feed, shelf): (Feed, Shelf),
        clock: Arc<Clock>,
        telemetry: &Telemetry,
        options: Options,
    ) -> Result<Self, StoreError> {
        let ring = Arc::clone(&keys);
        store.watch(Box::new(move |change| match change {
            Change::Key(key) => ring.put(key.clone()),
            Change::KeyGone(id) => ring.remove(*id),
            _ => {}
        }));
        keys.load(store.keys().await?);
        let (facts, trials) = (Facts::register(telemetry), Apart::new(TRIALS_MAX));
        let events = Events::new(spool, feed, telemetry, &options.events);
        Ok(Self {
            store,
            keys,
            clock,
            facts,
            notes: telemetry.notes(),
            options,
            events,
            shelf,
            trials,
            batches: Arc::new(Semaphore::new(1)),
            passwords: Semaphore::new(password::HASHES_MAX),
            attempts: password::attempts(),
            refusals: origin::Refusals::default(),
            sightings: origin::Sightings::default(),
            turns: turn::Turns::default(),
        })
    }

    /// The facts this plane keeps of itself, for [`pump`].
    #[must_use]
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts)
    }

    /// The budgets, for hooks to charge, too.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.options.limits)
    }

    /// Answers one request; its body is read only once the caller is known and allowed.
    pub async fn answer(self: &Arc<Self>, arrival: Arrival, body: Body) -> Reply {
        if let Some(asked) = events::find(arrival.method.as_str(), arrival.path()) {
            return self.answer_events(asked, &arrival, body).await;
        }
        let (name, reply) = match Self::find(&arrival) {
            Ok(asked) => (name(&asked), self.run(asked, &arrival, body).await),
            Err(problem) => (("none", "none"), Err(problem)),
        };
        self.reply(name, reply)
    }

    async fn run(&self, asked: Asked<'_>, arrival: &Arrival, body: Body) -> Result<Reply, Problem> {
        let admission = self.admit(asked, arrival).await?;
        let content = if admission.has_body() {
            let most = self.options.body_max_bytes;
            let is_open = admission.is_open();
            body.read(if is_open { most.min(OPEN_BODY_MAX_BYTES) } else { most }).await?
        } else {
            Content::default()
        };
        self.perform(&admission, arrival, &content).await
    }

    /// What the method and path mean.
    fn find(arrival: &Arrival) -> Result<Asked<'_>, Problem> {
        let (method, path) = (arrival.method.as_str(), arrival.path());
        if let Some(page) = pages::find(path) {
            return match method {
                "GET" | "HEAD" => Ok(Asked::Page(page)),
                _ => Err(Problem::Method("GET, HEAD".to_owned())),
            };
        }
        match catalogue::find(method, path) {
            catalogue::Match::Found(route) => Ok(Asked::Verb(route)),
            catalogue::Match::Methods(methods) => {
                let head = methods.contains(&"GET").then_some("HEAD");
                Err(Problem::Method([methods, head.into_iter().collect()].concat().join(", ")))
            }
            catalogue::Match::Nothing => Err(Problem::NotFound),
        }
    }

    /// Does what an admitted request asks.
    async fn perform(
        &self,
        admission: &Admission,
        arrival: &Arrival,
        content: &Content,
    ) -> Result<Reply, Problem> {
        let call = match admission {
            Admission::Page(page, caller) => {
                let query = arrival.target.query().unwrap_or_default();
                return self.show(page, caller.as_deref(), query).await;
            }
            Admission::Call(call) => call,
        };
        if matches!(call.verb.effect, Effect::Render | Effect::Test) {
            return self.attempt(call, content).await;
        }
        let body = if call.verb.has_body() { text::read(content)? } else { None };
        if call.verb.effect == Effect::Validate {
            let query = arrival.target.query().unwrap_or_default();
            return self.validate(body.as_ref(), query);
        }
        if let Effect::Each(act) = call.verb.effect {
            let all = catalogue::check_each(call.kind, call.verb, body.as_ref());
            let (all, is_list) = all.map_err(Problem::Invalid)?;
            return self.act_each(call, act, &all, is_list).await;
        }
        let values = catalogue::check(call.kind, call.verb, body.as_ref());
        let values = values.map_err(Problem::Invalid)?;
        let warnings = self.warnings(call, &values);
        let reply = match call.verb.effect {
            Effect::Create => self.create(call, &values).await,
            Effect::Read => self.read(call).await,
            Effect::List => self.list(call, arrival.target.query().unwrap_or_default()).await,
            Effect::Filter => self.filter(call, &values).await,
            Effect::Count => self.count(call, &values).await,
            Effect::Replace | Effect::Change => self.amend(call, &values).await,
            Effect::Rotate(field) => self.rotate(call, field, &values).await,
            Effect::Delete => self.delete(call).await,
            Effect::Own(act) => self.act(call, act, &values, arrival).await,
            Effect::Each(_) | Effect::Validate | Effect::Render | Effect::Test => {
                Err(Problem::NotFound)
            }
        };
        Ok(template::with_warnings(reply?, warnings))
    }

    /// Does what only one kind knows.
    async fn act(
        &self,
        call: &Call,
        act: Act,
        values: &Values,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        match act {
            Act::BotKeys => self.bot_keys(call).await,
            Act::DropBotKey => self.drop_bot_key(call).await,
            Act::MembershipOf => self.membership_of(call).await,
            Act::InviteAgain => self.invite_again(call).await,
            Act::Revoke => self.revoke(call).await,
            Act::Accept => self.accept(call, values, arrival).await,
            Act::Reject => self.reject(call, arrival).await,
            Act::LogIn => self.log_in(call, values, arrival).await,
            Act::LogOut => self.log_out(call, arrival).await,
            Act::EndSession => self.end_session(call, arrival).await,
            Act::SetPassword => self.set_password(call, values, arrival).await,
            Act::MakeKey => self.make_key(call, values).await,
            Act::SetActive => self.set_active(call, values).await,
            Act::LeaveAccount => self.leave_account(call).await,
            Act::LeaveWorkspace => self.leave_workspace(call).await,
            Act::Powers => Self::powers_told(call),
            Act::HasPower(name) => Self::has_power(call, name, arrival),
            Act::Access(of) => self.read_access(call, of).await,
            Act::DropAccess(of) => self.drop_access(call, of).await,
            Act::TeamAccess => self.team_access(call, values).await,
            Act::Transfer => self.transfer(call, values).await,
            Act::ValidateTransfer => self.validate_transfer(call, values).await,
            Act::RelatedAutomations => self.related_automations(call).await,
            Act::DropOwnedAutomations => self.drop_owned(call).await,
            Act::Resolve => self.resolve(call, values).await,
            Act::Reopen => self.reopen(call).await,
            Act::Comment => self.comment(call, values).await,
            Act::Comments => self.comments(call).await,
            Act::Inhabitants => self.inhabitants(call).await,
            Act::GiveAccess(_) | Act::Invite => Err(Problem::NotFound),
            Act::FilterTeams => self.filter_teams(call, values).await,
            Act::AddMembers => self.add_members(call, values).await,
            Act::RemoveMember => self.remove_member(call).await,
            Act::Domains => self.domains(call).await,
            Act::Allowlist => self.allowlist(call).await,
            Act::SetAllowlist => self.set_allowlist(call, values).await,
            Act::MyAccess => self.my_access(call).await,
            Act::Meter => self.meter(call, values).await,
            Act::Usage => self.usage(call).await,
            Act::UsageByWorkspace => self.usage_by_workspace(call).await,
            Act::UsageLimits => self.usage_limits(call).await,
            Act::Rates => self.rates(call, arrival).await,
            Act::RateStatus => self.rate_status(call).await,
            Act::RateUsage => self.rate_usage(call, arrival).await,
            Act::RateDownload => self.rate_download(call, arrival).await,
            Act::Billing => self.billing(call).await,
            Act::Restrictions => self.restrictions(call).await,
            Act::Template(what) => self.act_on_template(call, what, values).await,
            Act::Subscribe => self.subscribe(call, values).await,
            Act::Parked => self.parked(call, values).await,
            Act::ParkedEvent => self.parked_event(call).await,
            Act::RetryParked => self.retry(call, values).await,
            Act::DiscardParked => self.discard(call, values).await,
            Act::Requests => self.list_requests(call, arrival).await,
            Act::Request => self.read_request(call).await,
            Act::Explain => self.explain(call, arrival).await,
            Act::Replay => self.replay(call, values).await,
            Act::Compare => self.compare(call, values).await,
        }
    }

    /// Does what only one kind knows, for each of several objects.
    async fn act_each(
        &self,
        call: &Call,
        act: Act,
        all: &[Values],
        is_list: bool,
    ) -> Result<Reply, Problem> {
        let mut told = match act {
            Act::GiveAccess(to) => self.give_access(call, to, all).await?,
            Act::Invite => self.invite(call, all).await?,
            _ => return Err(Problem::NotFound),
        };
        let told = if is_list { told.into() } else { told.pop().unwrap_or_default() };
        Ok(question::reply(call, &told))
    }

    fn reply(
        &self,
        (kind, verb): (&'static str, &'static str),
        reply: Result<Reply, Problem>,
    ) -> Reply {
        let mut reply = reply.unwrap_or_else(|problem| {
            match &problem {
                Problem::Store(fault) => {
                    tracing::error!(kind, verb, %fault, "a management call failed");
                }
                Problem::Feed(fault) | Problem::Shelf(fault) => {
                    tracing::error!(verb, %fault, "a question failed");
                }
                _ => {}
            }
            problem.reply()
        });
        self.facts.answered(kind, verb, reply.status);
        // Replies tell slugs and keys: nobody on the way keeps them.
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }
}

/// Kind and verb, as metrics and logs name them.
fn name(asked: &Asked<'_>) -> (&'static str, &'static str) {
    match asked {
        Asked::Page(page) => ("page", page.name),
        Asked::Verb(route) => (route.kind.name, route.verb.name),
    }
}

#[cfg(test)]
mod tests;
