//! What a sender hears whose request was taken: nothing, or what the webhook's owner set. In: that. Out: a reply, which
//! no browser takes for a page.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use crate::accept::Reply;
use crate::request::FixedReply;

/// The reply of a request that was taken, now or before.
pub(super) fn taken(fixed: Option<&FixedReply>) -> Reply {
    let Some(fixed) = fixed else { return Reply::empty(StatusCode::NO_CONTENT) };
    let mut reply = Reply::empty(fixed.status)
        .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    reply.body = fixed.body.clone();
    match &fixed.content_type {
        Some(content_type) => reply.with(CONTENT_TYPE, content_type.clone()),
        None => reply,
    }
}
