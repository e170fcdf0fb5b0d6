//! What can be wrong with a call, and the one table from there to replies (contract 10). In: facts of the stages. Out:
//! `{"detail": …}` in the shapes that clients decode; `loc` holds strings only.

use std::net::IpAddr;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::accept::{BodyError, Reply};
use crate::catalogue::Fault;
use crate::limit::Exceeded;
use crate::render::Diagnostic;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// Seconds after which a busy store may be asked again.
const BUSY_RETRY_SECONDS: u64 = 1;
/// Seconds after which a slow disk may be asked again: whoever waited long should not come back at once.
const SLOW_RETRY_SECONDS: u64 = 5;
/// Seconds after which a full disk may have room again: time for an operator.
const FULL_RETRY_SECONDS: u64 = 30;

/// Why a call is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing is there, or nothing of the caller's.
    NotFound,
    /// The path has other methods: these.
    Method(String),
    /// No key, or none that is valid.
    Unauthorized,
    /// It is there, and the caller may not.
    Forbidden,
    /// A role that is given or taken allows what the caller may not: that.
    Above(String),
    /// The account does not allow calls from where the caller is.
    Address(IpAddr),
    /// Path or body break rules of the table: all of them.
    Invalid(Vec<Fault>),
    /// What is asked is too much, or would be wrong, in words.
    Refused(String),
    /// The template does not compile.
    Template(Box<Diagnostic>),
    /// The template engine failed on what was tried.
    Engine,
    /// It was there, and is kept no longer.
    Gone(String),
    /// The present state does not allow it.
    Conflict(String),
    /// The body was not taken.
    Body(BodyError),
    /// The account's budget is used up.
    Limited { retry_after_seconds: u64 },
    /// The store has no time or no room.
    Unavailable { retry_after_seconds: u64 },
    /// The index does not hold yet what is asked for, if it is there at all.
    Behind { frames: u64 },
    /// The store failed; what it said is for the log.
    Store(StoreError),
    /// The index of events failed; likewise.
    Feed(String),
    /// The shelf of parked events failed; likewise.
    Shelf(String),
}

impl From<BodyError> for Problem {
    fn from(fault: BodyError) -> Self {
        Self::Body(fault)
    }
}

impl From<SpoolError> for Problem {
    fn from(fault: SpoolError) -> Self {
        match fault {
            SpoolError::Busy => Self::Unavailable { retry_after_seconds: BUSY_RETRY_SECONDS },
            SpoolError::Slow => Self::Unavailable { retry_after_seconds: SLOW_RETRY_SECONDS },
            SpoolError::FrameTooLarge { max_bytes, .. } => {
                Self::Body(BodyError::TooLarge { max_bytes })
            }
            _ => Self::Unavailable { retry_after_seconds: FULL_RETRY_SECONDS },
        }
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::Limited { retry_after_seconds: exceeded.retry_after_seconds }
    }
}

impl From<StoreError> for Problem {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Busy => Self::Unavailable { retry_after_seconds: BUSY_RETRY_SECONDS },
            StoreError::Full => Self::Unavailable { retry_after_seconds: FULL_RETRY_SECONDS },
            StoreError::Stale => {
                Self::Conflict("The record is being changed by somebody else".to_owned())
            }
            StoreError::Taken { kind, field } => {
                Self::Conflict(format!("Another {kind} has that {field}"))
            }
            StoreError::InUse { holders } => {
                let are = if holders == 1 { "record refers" } else { "records refer" };
                Self::Conflict(format!("{holders} other {are} to it"))
            }
            StoreError::LastAccount => {
                Self::Conflict("It is the only account: make another one first".to_owned())
            }
            StoreError::Dangling { field } => {
                let says = "Value error, nothing of that id belongs to the account";
                Self::Invalid(vec![Fault::new("value_error", &["body", field], says)])
            }
            StoreError::Newer { .. }
            | StoreError::Unchained { .. }
            | StoreError::File { .. }
            | StoreError::Sealed(_)
            | StoreError::Failed(_) => Self::Store(fault),
        }
    }
}

impl Problem {
    /// How it is answered.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::NotFound => Reply::detail(StatusCode::NOT_FOUND, "Not Found"),
            Self::Method(methods) => {
                let reply = Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                match HeaderValue::from_str(methods) {
                    Ok(methods) => reply.with(ALLOW, methods),
                    Err(_) => reply,
                }
            }
            Self::Unauthorized => {
                let detail = "Invalid authentication credentials";
                Reply::detail(StatusCode::UNAUTHORIZED, detail)
                    .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::Forbidden => Reply::detail(StatusCode::FORBIDDEN, "Not permitted"),
            Self::Above(power) => {
                let says = format!("Not permitted: the role allows {power}, which you may not");
                Reply::detail(StatusCode::FORBIDDEN, &says)
            }
            Self::Address(peer) => {
                let says = format!("The account's IP allowlist does not hold {peer}: not allowed");
                Reply::detail(StatusCode::FORBIDDEN, &says)
            }
            Self::Invalid(faults) => {
                let told = |fault: &Fault| json!({ "loc": fault.at, "msg": fault.says, "type": fault.rule });
                let detail: Vec<_> = faults.iter().map(told).collect();
                let text = json!({ "detail": detail }).to_string();
                Reply::json(StatusCode::UNPROCESSABLE_ENTITY, text)
            }
            Self::Template(fault) => {
                let line = fault.line().map(|line| format!(", line {line}")).unwrap_or_default();
                let detail = format!("template{line}: {}", fault.sentence());
                let text = json!({ "detail": detail, "diagnostics": [fault] }).to_string();
                Reply::json(StatusCode::UNPROCESSABLE_ENTITY, text)
            }
            Self::Refused(detail) => Reply::detail(StatusCode::UNPROCESSABLE_ENTITY, detail),
            Self::Gone(detail) => Reply::detail(StatusCode::GONE, detail),
            Self::Conflict(detail) => Reply::detail(StatusCode::CONFLICT, detail),
            // What is left of such a body would be taken for the next request.
            Self::Body(fault) => answer_body(fault).closing(),
            Self::Limited { retry_after_seconds } => {
                Reply::detail(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
                    .with(RETRY_AFTER, (*retry_after_seconds).into())
            }
            Self::Unavailable { retry_after_seconds } => {
                Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                    .with(RETRY_AFTER, (*retry_after_seconds).into())
            }
            Self::Behind { frames } => {
                let detail = format!(
                    "The index of events is {frames} frames behind, and does not know it yet: ask again. If it stays \
                     behind, the operator's /readyz says why"
                );
                Reply::detail(StatusCode::SERVICE_UNAVAILABLE, &detail)
                    .with(RETRY_AFTER, BUSY_RETRY_SECONDS.into())
            }
            Self::Engine | Self::Store(_) | Self::Feed(_) | Self::Shelf(_) => {
                Reply::detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

fn answer_body(fault: &BodyError) -> Reply {
    let (status, detail) = match fault {
        BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large"),
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
        BodyError::Malformed(_) => (StatusCode::BAD_REQUEST, "The body could not be read"),
        BodyError::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Content-Encoding"),
        BodyError::Crowded { .. } => {
            let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
            return reply.with(RETRY_AFTER, 1.into());
        }
    };
    Reply::detail(status, detail)
}

#[cfg(test)]
mod tests {
    use crate::render::{Code, Place};

    use super::*;

    #[test]
    fn each_problem_has_its_reply() {
        let at = Place { start: 9, end: 9, line: 3, column: 1, end_line: 3, end_column: 1 };
        let template = Diagnostic::error(Code::Syntax, "no end").at(at);
        let fault = Fault::new("missing", &["body", "name"], "Field required");
        let failed = StoreError::Failed("secret".to_owned());
        for (problem, status, text) in [
            (Problem::NotFound, 404, r#"{"detail":"Not Found"}"#),
            (Problem::Unauthorized, 401, r#"{"detail":"Invalid authentication credentials"}"#),
            (
                Problem::Template(Box::new(template)),
                422,
                concat!(
                    r#"{"detail":"template, line 3: no end","diagnostics":[{"code":"J101","#,
                    r#""severity":"error","message":"no end","help":null,"line":3,"column":1,"#,
                    r#""end_line":3,"end_column":1,"start":9,"end":9}]}"#
                ),
            ),
            (
                Problem::Invalid(vec![fault]),
                422,
                r#"{"detail":[{"loc":["body","name"],"msg":"Field required","type":"missing"}]}"#,
            ),
            (
                StoreError::InUse { holders: 2 }.into(),
                409,
                r#"{"detail":"2 other records refer to it"}"#,
            ),
            (StoreError::Full.into(), 503, r#"{"detail":"Service Unavailable"}"#),
            (failed.into(), 500, r#"{"detail":"Internal Server Error"}"#),
            (BodyError::TooLarge { max_bytes: 1 }.into(), 413, r#"{"detail":"Content Too Large"}"#),
        ] {
            let reply = problem.reply();
            assert_eq!((reply.status.as_u16(), &*reply.body), (status, text.as_bytes()));
        }
        let full = SpoolError::Full { used_bytes: 1, max_bytes: 1 };
        for (problem, seconds) in [
            (StoreError::Busy.into(), "1"),
            (SpoolError::Busy.into(), "1"),
            (SpoolError::Slow.into(), "5"),
            (Problem::from(full), "30"),
        ] {
            assert_eq!(problem.reply().headers[RETRY_AFTER], seconds);
        }
        assert_eq!(Problem::Method("GET".to_owned()).reply().headers[ALLOW], "GET");
    }
}
