//! Why a stage stopped, and the one table from reasons to replies. In: facts of the stages. Out: replies that say no
//! more than a stranger may know. No success is made here, nor anywhere without a receipt.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::accept::{BodyError, Reply};
use crate::limit::{Exceeded, OverQuestions};
use crate::request::HOPS;
use crate::spool::SpoolError;
use crate::telemetry::hooks::Reason;

/// Seconds after which a full or failed spool may be asked again: time for a destination or an operator.
const FULL_RETRY_SECONDS: u64 = 30;
/// Seconds after which a busy spool may be asked again: its queue drains in less. Bodies in memory do, too.
const BUSY_RETRY_SECONDS: u64 = 1;
/// Seconds after which a slow disk may be asked again: whoever waited long should not come back at once.
const SLOW_RETRY_SECONDS: u64 = 5;
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request was refused: nothing of it was kept, or nobody knows (a disk that is slow, or failed).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Not a method of hooks; found before the slug is looked at.
    #[error("no method of hooks")]
    Method,
    /// No enabled webhook of that slug.
    #[error("no such webhook")]
    Unknown,
    /// The webhook may not be called from there; answered as if it were not there.
    #[error("the peer is in none of the webhook's networks")]
    Network,
    /// A destination of a gateway leads back to where its events come from.
    #[error("it came through {0} gateways")]
    Loop(u8),
    /// The peer is over its budget.
    #[error("the peer is {0}")]
    PeerRate(Exceeded),
    /// The webhook is over its budget.
    #[error("the webhook is {0}")]
    WebhookRate(Exceeded),
    /// The account is over its budget.
    #[error("the account is {0}")]
    AccountRate(Exceeded),
    /// A question, to a webhook or from a peer that had too many.
    #[error("of questions, it is {}", .0.exceeded())]
    QuestionRate(OverQuestions),
    /// A slug or a key that is wrong, from a peer that was wrong too often.
    #[error("{0}; the peer is {1}")]
    Damped(Box<Self>, Exceeded),
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The webhook demands a key, and this is none of its service account's.
    #[error("no key of the webhook's service account")]
    Unauthorized,
    /// The webhook demands a signature, and this is none; or a handshake that proves nothing.
    #[error("not verified: {reason}")]
    Unverified {
        /// How it is answered: 401, or what the provider waits for.
        status: StatusCode,
        /// The class of what speaks against it.
        reason: &'static str,
        /// Whether the answer says that: some providers demand that it says nothing.
        is_told: bool,
    },
    /// The key that it is signed with is at its provider's, and not to be had now.
    #[error("the key that signs is not to be had")]
    KeyUnavailable {
        /// When it is tried again.
        retry_after_seconds: u64,
    },
    /// A question whose address is to be visited first, and was not.
    #[error("the subscription is not confirmed")]
    Unconfirmed {
        /// When its sender may ask again.
        retry_after_seconds: u64,
    },
    /// `OPTIONS`, but not the handshake of `CloudEvents`.
    #[error("no handshake")]
    Handshake,
    /// The spool does not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Refusal {
    /// The same, or 429 when its peer was wrong too often.
    pub(super) fn within(self, charged: Result<(), Exceeded>) -> Self {
        match charged {
            Ok(()) => self,
            Err(exceeded) => Self::Damped(Box::new(self), exceeded),
        }
    }

    /// How it is counted.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Method => Reason::Method,
            Self::Unknown => Reason::Unknown,
            Self::Network => Reason::Network,
            Self::Loop(_) => Reason::Loop,
            Self::Damped(refusal, _) => refusal.reason(),
            Self::PeerRate(_) => Reason::PeerRate,
            Self::WebhookRate(_) => Reason::WebhookRate,
            Self::AccountRate(_) => Reason::AccountRate,
            Self::QuestionRate(_) => Reason::QuestionRate,
            Self::Body(BodyError::TooLarge { .. })
            | Self::Spool(SpoolError::FrameTooLarge { .. }) => Reason::BodyTooLarge,
            Self::Body(BodyError::TooSlow) => Reason::BodyTooSlow,
            Self::Body(BodyError::Malformed(_)) => Reason::BodyMalformed,
            Self::Body(BodyError::Crowded { .. }) => Reason::BodiesCrowded,
            Self::Body(BodyError::Encoding) => Reason::BodyEncoding,
            Self::Unauthorized => Reason::Unauthorized,
            Self::Unverified { .. } => Reason::Unverified,
            Self::KeyUnavailable { .. } => Reason::KeyUnavailable,
            Self::Unconfirmed { .. } => Reason::Unconfirmed,
            Self::Handshake => Reason::Handshake,
            Self::Spool(SpoolError::Full { .. } | SpoolError::NoRoom { .. }) => Reason::SpoolFull,
            Self::Spool(SpoolError::Busy) => Reason::SpoolBusy,
            Self::Spool(SpoolError::Slow) => Reason::SpoolSlow,
            Self::Spool(_) => Reason::SpoolFailed,
        }
    }

    /// What exactly spoke against it, where its reason is that of several: for the webhook's owner.
    pub(super) fn detail(&self) -> Option<String> {
        match self {
            Self::Damped(refusal, _) => refusal.detail(),
            Self::Unverified { reason, .. } => Some((*reason).to_owned()),
            Self::Loop(_) => Some(self.to_string()),
            Self::Body(BodyError::Malformed(_)) => None,
            Self::Body(fault) => Some(fault.to_string()),
            _ => None,
        }
    }

    /// How it is answered.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::Method => Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
                .with(ALLOW, HeaderValue::from_static(METHODS)),
            Self::Unknown | Self::Network => Reply::detail(StatusCode::NOT_FOUND, "Not Found"),
            Self::Loop(count) => Reply::detail(
                StatusCode::LOOP_DETECTED,
                &format!("Loop Detected: a destination leads back here ({HOPS} is {count})"),
            ),
            Self::PeerRate(limit)
            | Self::WebhookRate(limit)
            | Self::AccountRate(limit)
            | Self::Damped(_, limit) => too_many(*limit),
            Self::QuestionRate(over) => too_many(over.exceeded()),
            // What is left of such a body would be taken for the next request.
            Self::Body(fault) => answer_body(fault).closing(),
            Self::Unauthorized => {
                let detail = "Invalid authentication credentials";
                Reply::detail(StatusCode::UNAUTHORIZED, detail)
                    .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::Unverified { status, reason, is_told: true } => {
                Reply::detail(*status, &format!("Not verified: {reason}"))
            }
            Self::Unverified { status, .. } => Reply::empty(*status),
            Self::KeyUnavailable { retry_after_seconds } => {
                Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Not verified: key_unavailable")
                    .with(RETRY_AFTER, (*retry_after_seconds).into())
            }
            Self::Unconfirmed { retry_after_seconds } => {
                Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "The subscription is not confirmed")
                    .with(RETRY_AFTER, (*retry_after_seconds).into())
            }
            Self::Handshake => {
                Reply::detail(StatusCode::BAD_REQUEST, "WebHook-Request-Origin is missing")
            }
            Self::Spool(fault) => answer_spool(fault),
        }
    }
}

fn answer_body(fault: &BodyError) -> Reply {
    match fault {
        BodyError::TooLarge { .. } => too_large(),
        BodyError::TooSlow => Reply::detail(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
        BodyError::Malformed(_) => {
            Reply::detail(StatusCode::BAD_REQUEST, "The body could not be read")
        }
        BodyError::Crowded { .. } => {
            Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                .with(RETRY_AFTER, BUSY_RETRY_SECONDS.into())
        }
        BodyError::Encoding => {
            Reply::detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Content-Encoding")
        }
    }
}

fn answer_spool(fault: &SpoolError) -> Reply {
    let seconds = match fault {
        SpoolError::FrameTooLarge { .. } => return too_large(),
        SpoolError::Busy => BUSY_RETRY_SECONDS,
        SpoolError::Slow => SLOW_RETRY_SECONDS,
        SpoolError::Full { .. }
        | SpoolError::NoRoom { .. }
        | SpoolError::Failed(_)
        | SpoolError::Locked { .. }
        | SpoolError::Folder { .. } => FULL_RETRY_SECONDS,
    };
    Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        .with(RETRY_AFTER, seconds.into())
}

fn too_many(limit: Exceeded) -> Reply {
    Reply::detail(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
        .with(RETRY_AFTER, limit.retry_after_seconds.into())
}

fn too_large() -> Reply {
    Reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Expected<'a> = (Refusal, u16, Option<(&'a str, &'a str)>, bool);

    #[test]
    fn each_reason_has_its_reply() {
        let later = Exceeded { retry_after_seconds: 7 };
        let full = SpoolError::Full { used_bytes: 1, max_bytes: 1 };
        let table: [Expected<'_>; 22] = [
            (Refusal::Method, 405, Some(("allow", METHODS)), false),
            (Refusal::Unknown, 404, None, false),
            (Refusal::Network, 404, None, false),
            (
                Refusal::Damped(Box::new(Refusal::Unknown), later),
                429,
                Some(("retry-after", "7")),
                false,
            ),
            (Refusal::PeerRate(later), 429, Some(("retry-after", "7")), false),
            (Refusal::WebhookRate(later), 429, Some(("retry-after", "7")), false),
            (Refusal::AccountRate(later), 429, Some(("retry-after", "7")), false),
            (
                Refusal::QuestionRate(OverQuestions::Peer(later)),
                429,
                Some(("retry-after", "7")),
                false,
            ),
            (BodyError::TooLarge { max_bytes: 1 }.into(), 413, None, true),
            (BodyError::TooSlow.into(), 408, None, true),
            (BodyError::Malformed("secret".into()).into(), 400, None, true),
            (BodyError::Encoding.into(), 415, None, true),
            (BodyError::Crowded { max_bytes: 1 }.into(), 503, Some(("retry-after", "1")), true),
            (Refusal::Unauthorized, 401, Some(("www-authenticate", "Bearer")), false),
            (
                Refusal::KeyUnavailable { retry_after_seconds: 7 },
                503,
                Some(("retry-after", "7")),
                false,
            ),
            (
                Refusal::Unconfirmed { retry_after_seconds: 5 },
                503,
                Some(("retry-after", "5")),
                false,
            ),
            (Refusal::Handshake, 400, None, false),
            (full.into(), 503, Some(("retry-after", "30")), false),
            (SpoolError::Busy.into(), 503, Some(("retry-after", "1")), false),
            (SpoolError::Slow.into(), 503, Some(("retry-after", "5")), false),
            (SpoolError::Failed("secret".into()).into(), 503, Some(("retry-after", "30")), false),
            (SpoolError::FrameTooLarge { bytes: 2, max_bytes: 1 }.into(), 413, None, false),
        ];
        for (refusal, status, header, close) in table {
            let reply = refusal.reply();
            assert_eq!((reply.status.as_u16(), reply.close), (status, close), "{refusal}");
            if let Some((name, value)) = header {
                assert_eq!(reply.headers[name], value);
            }
            let text = String::from_utf8_lossy(&reply.body);
            assert!(text.starts_with("{\"detail\":\"") && !text.contains("secret"), "{text}");
        }
    }
}
