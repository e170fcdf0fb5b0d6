//! The way of a webhook: a request in, a receipt and its reply out, every stage in the order of [`Hooks::receive`].
//! In: arrivals of any path below `/hooks/`. Out: replies. Reads memory only until the spool; holds no lock across an
//! await; never tells "ok" without a [`Receipt`].

mod answer;
mod bare;
mod check;
mod events;
mod failure;
mod handshake;
mod keys;
mod once;
mod receipt;
mod redaction;
mod refusal;
mod rendering;
mod routes;
mod shadow;
#[cfg(test)]
mod tests;
mod trace;
mod visit;

use std::sync::Arc;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::accept::{self, Reply};
use crate::apart::Apart;
use crate::clock::{Clock, Time};
use crate::event::{Draft, Event, Stamp};
use crate::fetch::Fetcher;
use crate::id::{self, Uuid};
use crate::limit::{Charged, Left, Limits, Over};
use crate::request::{
    Arrival, Body, Content, FixedReply, HIDDEN_PATH, HOPS_MAX, has_body, help, hops,
};
use crate::spool::{Capture, Frame, Marks, Receipt, Seal, Sender, Spool};
use crate::telemetry::Telemetry;
use crate::telemetry::hooks::{Facts, Outcome};
use crate::verify::key::{Keyring, bearer};
use crate::{json, render};

use check::{Checked, Proof};
use events::Sequel;
use failure::{Failure, FailureKind};
use handshake::Handshake;
use once::Known;
use refusal::Refusal;
use rendering::{Renderer, Rendering};
use shadow::Beside;
use trace::{Place, Trace};

pub use events::{ACTIONS, VISITS};
pub use handshake::Enrol;
pub use receipt::RECEIPTS_PREFIX;
pub use routes::{Endpoint, Routes};

/// Where hooks live.
pub const PATH_PREFIX: &str = "/hooks/";
static RECEIPT: HeaderName = HeaderName::from_static("hookgate-receipt");
/// Says that the receipt is an earlier request's, which this one repeats.
static DUPLICATE: HeaderName = HeaderName::from_static("hookgate-duplicate");

/// Settings of the way in.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most bytes of a body, before and after decompression.
    pub body_max_bytes: u64,
    /// Bounds of a JSON body.
    pub json: json::Limits,
    /// Bounds of templates and renderings.
    pub render: render::Limits,
    /// Most renderings at once of templates known to be slow.
    pub slow_renders_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_max_bytes: 5 << 20,
            json: json::Limits { depth_max: 100, nodes_max: 100_000 },
            render: render::Limits::default(),
            slow_renders_max: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// The data plane: all that serving a webhook needs, in memory.
pub struct Hooks {
    routes: Arc<Routes>,
    keys: Arc<Keyring>,
    limits: Arc<Limits>,
    spool: Spool,
    clock: Arc<Clock>,
    facts: Arc<Facts>,
    renderer: Renderer,
    judges: Apart,
    beside: Beside,
    fetcher: Option<Fetcher>,
    visits: visit::Visits,
    enrol: Option<Enrol>,
    options: Options,
}

/// A request to a webhook that is there, from a peer within its budget, while the spool takes something.
#[derive(Clone)]
struct Admission {
    endpoint: Arc<Endpoint>,
    arrival: Arrival,
    /// What its peer's budget has left.
    peer_left: Option<Left>,
}

/// A request that was read, verified and charged; its secrets are gone.
#[derive(Clone)]
struct Submission {
    endpoint: Arc<Endpoint>,
    method: Method,
    headers: HeaderMap,
    /// What stood behind `?`, without the slug.
    query: String,
    received: Time,
    sender: Sender,
    content: Content,
    /// How it was verified, when its webhook asks for that.
    proof: Option<Proof>,
    /// How it is known again.
    known: Known,
}

/// A request on stable storage.
struct Kept {
    receipt: Receipt,
    /// The received event's id.
    id: Uuid,
    verdict: Verdict,
}

/// What a kept request came to.
enum Verdict {
    Accepted,
    Failed(FailureKind),
    Handshake(Handshake),
    /// It was kept before, and this one was not.
    Duplicate,
    /// The same, and neither came to an event.
    FailedAgain(FailureKind),
}

impl Hooks {
    /// The way in for those webhooks and keys.
    #[must_use]
    pub fn new(
        routes: Arc<Routes>,
        keys: Arc<Keyring>,
        limits: Arc<Limits>,
        spool: Spool,
        clock: Arc<Clock>,
        telemetry: &Telemetry,
        options: Options,
    ) -> Self {
        let facts = Facts::register(telemetry);
        let (renderer, beside) = (Renderer::new(&options), Beside::new(&options));
        Self {
            routes,
            keys,
            limits,
            spool,
            clock,
            facts,
            renderer,
            judges: Apart::half(),
            beside,
            fetcher: None,
            visits: visit::Visits::default(),
            enrol: None,
            options,
        }
    }

    /// Answers one request: the whole way of a webhook.
    pub async fn receive(&self, arrival: Arrival, body: accept::Body) -> Reply {
        let started = Instant::now();
        let mut trace = Trace::new(&arrival);
        let (reply, outcome) = match self.pass(arrival, body, &mut trace).await {
            Ok(kept) => {
                match kept.verdict {
                    Verdict::Duplicate => {
                        let status = trace.reply.as_ref().map(|reply| reply.status);
                        self.note_repeat(&trace, kept.id, status);
                    }
                    Verdict::FailedAgain(_) => {
                        self.note_repeat(&trace, kept.id, Some(StatusCode::BAD_REQUEST));
                    }
                    _ => {
                        let (sequence, request_id) = (kept.receipt.sequence(), kept.id);
                        let given = trace.given();
                        tracing::debug!(sequence, %request_id, given, "kept a request");
                    }
                }
                self.succeed(&kept, trace.reply.as_deref())
            }
            Err(refusal) => {
                let (reply, reason) = (refusal.reply(), refusal.reason());
                self.note_refusal(&trace, &refusal, reply.status);
                if matches!(refusal, Refusal::Damped(..)) {
                    self.facts.damped();
                }
                (reply, Outcome::Refused(reason))
            }
        };
        self.facts.answered(outcome, started.elapsed());
        reply
    }

    async fn pass(
        &self,
        arrival: Arrival,
        body: accept::Body,
        trace: &mut Trace,
    ) -> Result<Kept, Refusal> {
        let admission = self.admit(arrival, &mut trace.place)?;
        trace.reply.clone_from(&admission.endpoint.reply);
        let content = self.read(&admission.arrival.method, body).await?;
        self.verify(&admission)?;
        let (proof, known, greeted) = match self.check(&admission, &content).await? {
            Checked::Not => (None, Known::default(), None),
            Checked::By(proof, signed) => (Some(proof), Known::signed(&admission, signed), None),
            Checked::Greeted(answer) => (None, Known::default(), Some(answer)),
        };
        // Whoever repeats what somebody else has signed uses up nobody's quota.
        if let Some(first) = self.first(known).await? {
            return Ok(Kept::before(first));
        }
        let mut submission = Submission::new(admission, content, (proof, known));
        let handshake = Handshake::of(&submission, greeted)?;
        // A question is no event: unanswered it would cost a subscription. It has a budget of its own.
        if handshake.is_none() {
            let charged = self.charge(&submission.endpoint, submission.received)?;
            submission.note_charged(charged);
        } else {
            let questions = self.limits.questions();
            let charged = questions.charge(submission.endpoint.id, submission.sender.peer);
            charged.map_err(Refusal::QuestionRate)?;
        }
        let event_id = self.mint(submission.received);
        // The reply's two names of a request are one, unless its sender gave it another.
        let id = trace.own().unwrap_or_else(|| self.mint(submission.received));
        if let Some(handshake) = handshake {
            return Box::pin(self.greet(submission, handshake, id)).await;
        }
        let mut rendering = self.renderer.run(submission, &self.facts).await?;
        let known = self.known(&rendering);
        if let Some(first) = self.first(known).await? {
            return Ok(Kept::before(first));
        }
        let (event, verdict) = match self.draft(&mut rendering, event_id, id) {
            Ok(event) => (event, Verdict::Accepted),
            Err(failure) => {
                let is_sealed = self.spool.seals();
                let failure = rendering.explained(failure, self.options.render, is_sealed);
                (rendering.failed(&failure, event_id, id, is_sealed), Verdict::Failed(failure.kind))
            }
        };
        let live = match &verdict {
            Verdict::Failed(kind) => Err(kind.name()),
            _ => Ok(&event),
        };
        let job = Beside::job(&rendering.submission, (id, event_id), live);
        let kept = rendering.kept();
        let received = events::received(&kept, id, &Sequel::Event(event.id));
        let events = [received, event];
        // Its sender may try what failed again once the template is mended: that is known apart.
        let kept = if known.is_any() {
            Box::pin(self.append_once(kept, &events, known, verdict)).await?
        } else {
            let receipt = self.append(kept, &events).await?;
            Kept { receipt, id, verdict }
        };
        if let Some(job) = job {
            self.beside.offer(job);
        }
        Ok(kept)
    }

    /// The peer's budget, method, slug, the spool's gate: before a byte of the body is read.
    fn admit(&self, arrival: Arrival, place: &mut Option<Place>) -> Result<Admission, Refusal> {
        let slug = slug(arrival.path());
        let found = slug.and_then(|slug| self.routes.look_up(slug, arrival.received));
        *place = found.as_ref().map(|(one, _)| (one.id, one.account, one.workspace));
        // Charged whatever it is: an unknown slug like a known one, so that nobody guesses for free.
        let peer_left = self.limits.charge_peer(arrival.peer).map_err(Refusal::PeerRate)?;
        if !has_body(&arrival.method)
            && !matches!(
                arrival.method,
                Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
            )
        {
            return Err(Refusal::Method);
        }
        // What looks like one that is not there is charged like it, too.
        let wrong =
            |refusal: Refusal| refusal.within(self.limits.guesses().wrong_slug(arrival.peer));
        let Some((endpoint, true)) = found else { return Err(wrong(Refusal::Unknown)) };
        if endpoint.networks.as_ref().is_some_and(|networks| !networks.allow(arrival.peer)) {
            return Err(wrong(Refusal::Network));
        }
        let hops = hops(&arrival.headers);
        if hops >= HOPS_MAX {
            return Err(Refusal::Loop(hops));
        }
        self.spool.admit()?;
        Ok(Admission { endpoint, arrival, peer_left })
    }

    /// The body, for methods that have one.
    async fn read(&self, method: &Method, body: accept::Body) -> Result<Content, Refusal> {
        if has_body(method) {
            Ok(body.read(self.options.body_max_bytes).await?)
        } else {
            Ok(Content::default())
        }
    }

    /// Whether the sender may call this webhook at all.
    fn verify(&self, admission: &Admission) -> Result<(), Refusal> {
        let Some(service_account) = admission.endpoint.service_account else { return Ok(()) };
        let arrival = &admission.arrival;
        let token = arrival.header(AUTHORIZATION.as_str()).and_then(bearer);
        let key = token.and_then(|token| self.keys.check(token, arrival.received));
        let account = admission.endpoint.account;
        if key.is_some_and(|key| key.owner == service_account && key.account == account) {
            return Ok(());
        }
        // Who shows none does not guess.
        let is_guess = arrival.headers.contains_key(AUTHORIZATION);
        let guesses = self.limits.guesses();
        let charged = if is_guess { guesses.wrong_key(arrival.peer) } else { Ok(()) };
        Err(Refusal::Unauthorized.within(charged))
    }

    /// The webhook's and the account's quota: only what was verified uses it up.
    fn charge(&self, endpoint: &Endpoint, received: Time) -> Result<Charged, Refusal> {
        let place = (endpoint.account, endpoint.workspace);
        self.limits.charge_request(place, endpoint.id, received).map_err(|over| match over {
            Over::Webhook(exceeded) => Refusal::WebhookRate(exceeded),
            Over::Account(exceeded) => Refusal::AccountRate(exceeded),
        })
    }

    /// The rendered text as an event.
    fn draft(
        &self,
        rendering: &mut Rendering,
        id: Uuid,
        follows: Uuid,
    ) -> Result<Event, Box<Failure>> {
        let text = std::mem::replace(&mut rendering.text, Ok(String::new()))?;
        // A template that says no payload has the request as it is kept.
        let (submission, body) = rendering.shown();
        let stamp = Stamp {
            id,
            received: submission.received,
            follows,
            webhook: &submission.endpoint.related,
            payload: &|| help(&submission.method, &submission.headers, body),
        };
        match Draft::read(&text).and_then(|draft| draft.event(&stamp)) {
            Ok((event, true)) if !self.remember(&submission.endpoint, &event) => {
                Err(Failure::of_known_id(text))
            }
            Ok((event, _)) => Ok(event),
            Err(fault) => Err(Failure::of_draft(fault, text)),
        }
    }

    /// Whether an id that a template gave is new to its workspace, or said the same before.
    fn remember(&self, endpoint: &Endpoint, event: &Event) -> bool {
        self.spool.remember(endpoint.account, Some(endpoint.workspace), event)
    }

    /// The request and its events: they live or die together.
    fn frame(&self, submission: Submission, events: &[Event], known: Known) -> Frame {
        let Submission { endpoint, received, sender, query, content, .. } = submission;
        let [key, signed] = known.digests();
        let capture = Capture {
            webhook: endpoint.id,
            key,
            signed,
            version: endpoint.version,
            sender: Some(sender),
            query: query.into(),
            body: content.raw,
            seal: Seal::Open,
        };
        let (account, workspace) = (endpoint.account, Some(endpoint.workspace));
        self.spool.frame(account, workspace, received, events, &capture)
    }

    async fn append(&self, submission: Submission, events: &[Event]) -> Result<Receipt, Refusal> {
        let frame = self.frame(submission, events, Known::default());
        let started = Instant::now();
        let receipt = self.spool.append(frame).await?;
        self.facts.appended(started.elapsed());
        Ok(receipt)
    }

    fn mint(&self, received: Time) -> Uuid {
        id::fresh(received, self.clock.chance())
    }

    /// The only replies that say a request was kept; each is made of its receipt.
    fn succeed(&self, kept: &Kept, fixed: Option<&FixedReply>) -> (Reply, Outcome) {
        let Kept { id, verdict, .. } = kept;
        let failed = |kind: FailureKind| Reply::detail(StatusCode::BAD_REQUEST, kind.detail());
        let again = |reply: Reply| reply.with(DUPLICATE.clone(), HeaderValue::from_static("true"));
        let (reply, outcome) = match verdict {
            Verdict::Accepted => (answer::taken(fixed), Outcome::Accepted),
            Verdict::Duplicate => (again(answer::taken(fixed)), Outcome::Duplicate),
            Verdict::Failed(kind) => (failed(*kind), Outcome::Failed),
            Verdict::FailedAgain(kind) => (again(failed(*kind)), Outcome::Duplicate),
            Verdict::Handshake(handshake) => {
                let rate = self.limits.rates().webhook.map(crate::limit::Rate::per_minute);
                (handshake.answer(rate), Outcome::Handshake)
            }
        };
        let mut buffer = Uuid::encode_buffer();
        let id = id.hyphenated().encode_lower(&mut buffer);
        let id = HeaderValue::from_str(id).expect("a UUID is ASCII");
        (reply.with(RECEIPT.clone(), id), outcome)
    }
}

impl Submission {
    fn new(admission: Admission, content: Content, (proof, known): (Option<Proof>, Known)) -> Self {
        let Admission { endpoint, arrival, peer_left } = admission;
        let Arrival { method, target, headers, received, peer, .. } = arrival;
        let charged = Charged { peer: peer_left, ..Charged::default() };
        let marks = marks(Marks::default(), &endpoint, charged);
        let sender = Sender { peer, marks, charged };
        let slug = slug(target.path()).unwrap_or_default();
        let query = target.query().map_or_else(String::new, |query| query.replace(slug, "***"));
        let all =
            Self { endpoint, method, headers, query, received, sender, content, proof, known };
        all.bare(slug)
    }

    /// Keeps what the limits of its webhook and account have left, beside its peer's.
    fn note_charged(&mut self, charged: Charged) {
        let charged = Charged { peer: self.sender.charged.peer, ..charged };
        self.sender.marks = marks(self.sender.marks, &self.endpoint, charged);
        self.sender.charged = charged;
    }

    /// What its template sees.
    fn context<'a>(&'a self, body: &'a Body) -> render::Context<'a> {
        let more = render::More {
            query: &self.query,
            path: HIDDEN_PATH,
            webhook: &self.endpoint.name,
            received: Some(self.received),
        };
        render::Context::new(&self.method, &self.headers, body).with(more)
    }
}

/// What is told later of the way of a request that came up to its rendering.
fn marks(more: Marks, endpoint: &Endpoint, charged: Charged) -> Marks {
    more.with(Marks::KEY, endpoint.service_account.is_some())
        .with(Marks::PEER, charged.peer.is_some())
        .with(Marks::WEBHOOK, charged.webhook.is_some())
        .with(Marks::ACCOUNT, charged.account.is_some())
}

/// The slug in a path: what stands behind the prefix, one trailing slash allowed.
fn slug(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PATH_PREFIX)?;
    Some(rest.strip_suffix('/').unwrap_or(rest))
}
