//! Validation handshakes (contract 2.9): a sender asks whether this address wants its events. In: a verified request.
//! Out: which handshake it is, and the answer to it. Never a call back to the sender.

use std::pin::Pin;
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderValue, Method, StatusCode};

use super::events::{self, Sequel};
use super::refusal::Refusal;
use super::routes::Endpoint;
use super::{Hooks, Kept, Submission, Verdict};
use crate::accept::Reply;
use crate::id::{Secret, Uuid};
use crate::json::{Document, Limits, write_str};
use crate::request::Content;
use crate::store::StoreError;
use crate::verify::signature::Answer;

/// Longest body of a question that is kept; of Event Grid, longest that is one.
const GREETING_MAX_BYTES: usize = 4 << 10;
/// Seconds after which a secret may be brought again that could not be kept.
const ENROL_RETRY_SECONDS: u64 = 5;
/// A code longer than that is no code.
const CODE_MAX_BYTES: usize = 1024;
/// A validation event has a handful of values.
const LIMITS: Limits = Limits { depth_max: 16, nodes_max: 1000 };

/// A request that asks for validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Azure Event Grid in its own schema: the code is said back.
    EventGrid { code: String },
    /// `CloudEvents` abuse protection: the origin is allowed.
    CloudEvents { origin: HeaderValue },
    /// That of the provider whose requests are verified.
    Provider(Answer),
}

/// Keeps a secret that a webhook's provider brought; `false`: it has one, or waits for none any more.
pub type Enrol = Arc<dyn Fn(Uuid, Secret) -> Enrolling + Send + Sync>;
/// A secret on its way.
type Enrolling = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

impl Handshake {
    /// That of the webhook's provider, or one that every webhook answers.
    ///
    /// # Errors
    /// As [`Handshake::recognise`].
    pub(super) fn of(
        submission: &Submission,
        greeted: Option<Answer>,
    ) -> Result<Option<Self>, Refusal> {
        match greeted {
            Some(answer) => Ok(Some(Self::Provider(answer))),
            None => Self::recognise(submission),
        }
    }

    /// Which handshake a request is, if any.
    ///
    /// # Errors
    /// [`Refusal::Handshake`]: `OPTIONS` is for nothing else.
    pub(super) fn recognise(submission: &Submission) -> Result<Option<Self>, Refusal> {
        if submission.method == Method::OPTIONS {
            let origin = submission.headers.get("webhook-request-origin");
            let origin = origin.filter(|origin| !origin.is_empty()).ok_or(Refusal::Handshake)?;
            return Ok(Some(Self::CloudEvents { origin: origin.clone() }));
        }
        let kind = submission.headers.get("aeg-event-type");
        let asks = kind
            .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(b"SubscriptionValidation"));
        // What is charged to nobody's quota is small, and little comes out of much that is kept.
        let Content { raw, decoded } = &submission.content;
        let sized = raw.len().max(decoded.len()) <= GREETING_MAX_BYTES;
        if submission.method != Method::POST || !asks || !sized {
            return Ok(None);
        }
        Ok(read_code(submission).map(|code| Self::EventGrid { code }))
    }

    /// Its name in the received event.
    pub(super) fn name<'a>(&self, endpoint: &'a Endpoint) -> &'a str {
        match self {
            Self::Provider(_) => {
                endpoint.check.as_ref().map_or("provider", |check| check.provider())
            }
            Self::EventGrid { .. } => "event-grid",
            Self::CloudEvents { .. } => "cloudevents",
        }
    }

    /// What the sender waits for; `per_minute` is the webhook's rate, when it has one.
    pub(super) fn answer(&self, per_minute: Option<u64>) -> Reply {
        match self {
            Self::Provider(answer) => {
                let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
                let mut reply = Reply::empty(status);
                reply.body = answer.body.clone().into();
                reply.headers.extend(answer.headers.clone());
                reply
            }
            Self::EventGrid { code } => {
                let mut text = b"{\"validationResponse\":".to_vec();
                write_str(&mut text, code);
                text.push(b'}');
                Reply::json(StatusCode::OK, text)
            }
            Self::CloudEvents { origin } => {
                let rate = per_minute.map_or(HeaderValue::from_static("*"), HeaderValue::from);
                Reply::empty(StatusCode::OK)
                    .with(http::header::ALLOW, HeaderValue::from_static("POST"))
                    .with(HeaderName::from_static("webhook-allowed-origin"), origin.clone())
                    .with(HeaderName::from_static("webhook-allowed-rate"), rate)
            }
        }
    }
}

impl Hooks {
    /// The same, which keeps the secrets that providers bring.
    #[must_use]
    pub fn enrolling(self, enrol: Enrol) -> Self {
        Self { enrol: Some(enrol), ..self }
    }

    /// Keeps a request that asks whether this address wants events; its answer is made of the receipt.
    pub(super) async fn greet(
        &self,
        mut submission: Submission,
        handshake: Handshake,
        id: Uuid,
    ) -> Result<Kept, Refusal> {
        if let Handshake::Provider(answer) = &handshake {
            self.enrol(&submission, answer).await?;
            // What a provider asks with may be the secret.
            submission.query.clear();
            if answer.secret.is_some() && !answer.is_shown {
                submission.content = Content::default();
            }
        }
        // Most of them are asked without a proof: nobody keeps much here that way.
        if submission.content.raw.len() > GREETING_MAX_BYTES {
            submission.content = Content::default();
        }
        if let Some(copy) = submission.redacted(self.options.json) {
            submission = copy;
        }
        let endpoint = Arc::clone(&submission.endpoint);
        let visited = match &handshake {
            Handshake::Provider(answer) => self.visit(&endpoint, answer).await?,
            _ => None,
        };
        let received =
            events::received(&submission, id, &Sequel::Handshake(handshake.name(&endpoint)));
        let receipt = self.append(submission, &[received]).await?;
        if let Some(visited) = visited {
            visited.tell().await;
        }
        Ok(Kept { receipt, id, verdict: Verdict::Handshake(handshake) })
    }

    /// Keeps the secret that a question brings.
    async fn enrol(&self, submission: &Submission, answer: &Answer) -> Result<(), Refusal> {
        let Some(secret) = &answer.secret else { return Ok(()) };
        let webhook = submission.endpoint.id;
        let unverified = Refusal::Unverified {
            status: StatusCode::UNAUTHORIZED,
            reason: "secret_missing",
            is_told: true,
        };
        let Some(enrol) = &self.enrol else { return Err(unverified) };
        match enrol(webhook, secret.clone()).await {
            Ok(true) => Ok(()),
            // Somebody else's came first, or its time is over.
            Ok(false) => Err(unverified),
            Err(fault) => {
                tracing::warn!(%webhook, %fault, "a secret that its provider brought was not kept");
                Err(Refusal::KeyUnavailable { retry_after_seconds: ENROL_RETRY_SECONDS })
            }
        }
    }
}

/// The code of the one validation event a body consists of.
fn read_code(submission: &Submission) -> Option<String> {
    let document = Document::parse(submission.content.decoded.clone(), LIMITS).ok()?;
    let mut events = document.root().items();
    let event = events.next()?;
    let kind = event.get("eventType")?.text()?;
    let code = event.get("data")?.get("validationCode")?.text()?;
    let asks = kind.eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionValidationEvent");
    let alone = events.next().is_none();
    let sized = !code.is_empty() && code.len() <= CODE_MAX_BYTES;
    (asks && alone && sized).then(|| code.into_owned())
}
