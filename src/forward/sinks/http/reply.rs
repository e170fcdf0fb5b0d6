//! What came back. In: a server's answer, or why there is none. Out: what it means for what was sent. An answer is read
//! only to its bound and never decompressed; what is shown of it is one bounded line.

use std::error::Error;
use std::time::Duration;

use bytes::BytesMut;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::fetch::EgressFault;
use crate::forward::backoff::{retry_after, used_up};
use crate::forward::sinks::wire::shown;
use crate::forward::sinks::{Answer, Fault, Refusal};
use crate::telemetry::forward::Outcome;

/// Most bytes of an answer that are read.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) after: Option<Duration>,
    /// For how long its budget is used up, whatever the status says.
    pub(super) closed: Option<Duration>,
    pub(super) text: String,
    /// The connection broke before its end.
    pub(super) is_torn: bool,
}

impl Reply {
    /// Takes an answer in, up to its bound.
    pub(super) async fn read(response: Response<Incoming>, clock: &Clock) -> Self {
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER);
        let after = asked.and_then(|value| retry_after(value, clock.now()));
        let closed = used_up(response.headers(), clock.now());
        let (text, is_torn) = read_text(response.into_body()).await;
        Self { status, after, closed, text, is_torn }
    }
}

/// An answer's beginning, and whether it broke off; a longer one is left unread, and its connection with it.
async fn read_text(mut body: Incoming) -> (String, bool) {
    let (mut bytes, mut is_torn) = (BytesMut::new(), false);
    while bytes.len() < ANSWER_MAX_BYTES && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(frame) = frame else {
            is_torn = true;
            break;
        };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_MAX_BYTES - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), is_torn)
}

/// What a status means for what was sent.
pub(super) fn judge(reply: Reply) -> Answer {
    let Reply { status, after, text, .. } = reply;
    let what = format!("answered {status}");
    let lasting = |outcome| Fault { after, ..Fault::lasting(outcome, what.clone()) };
    let passing = |outcome| Fault { after, ..Fault::new(outcome, what.clone()) };
    Answer::Failed(match status.as_u16() {
        200..=299 => return Answer::Taken,
        400 | 413 | 422 | 431 | 508 => {
            return Answer::Refused(Refusal {
                reason: what,
                answer: shown(&text),
                status: Some(status),
            });
        }
        401 | 403 | 407 => lasting(Outcome::Unauthorized),
        429 => passing(Outcome::Throttled),
        500 => Fault { may_be_content: true, ..passing(Outcome::Unavailable) },
        408 | 425 | 501..=599 => passing(Outcome::Unavailable),
        _ => lasting(Outcome::Unexpected),
    })
}

/// Why a request got no answer.
pub(super) fn fault(error: &(dyn Error + 'static)) -> Fault {
    let what = chain(error);
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if matches!(inner.downcast_ref(), Some(EgressFault::Refused { .. })) {
            return Fault::lasting(Outcome::Forbidden, what);
        }
        cause = inner.source();
    }
    Fault::new(Outcome::Unreachable, what)
}

/// An error and what caused it, in one line.
fn chain(fault: &dyn Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    shown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        let (after, text) = (Some(Duration::from_secs(7)), "a\nb".into());
        judge(Reply { status, after, closed: None, text, is_torn: false })
    }

    #[test]
    fn each_status_means_one_thing() {
        for status in [200, 202, 204] {
            assert!(matches!(answer(status), Answer::Taken));
        }
        for status in [400, 413, 422, 431] {
            let Answer::Refused(refusal) = answer(status) else { panic!("{status}") };
            assert_eq!(refusal.answer, "a b");
            assert!(refusal.reason.contains(&status.to_string()), "{}", refusal.reason);
        }
        for (status, outcome, is_lasting) in [
            (401, Outcome::Unauthorized, true),
            (403, Outcome::Unauthorized, true),
            (301, Outcome::Unexpected, true),
            (404, Outcome::Unexpected, true),
            (429, Outcome::Throttled, false),
            (408, Outcome::Unavailable, false),
            (500, Outcome::Unavailable, false),
            (503, Outcome::Unavailable, false),
        ] {
            let Answer::Failed(fault) = answer(status) else { panic!("{status}") };
            assert_eq!((fault.outcome, fault.is_lasting), (outcome, is_lasting), "{status}");
            assert_eq!(fault.after, Some(Duration::from_secs(7)));
            assert_eq!(fault.may_be_content, status == 500);
        }
    }
}
