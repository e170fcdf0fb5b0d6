//! What a webhook says to whose request it took, when that is not nothing. In: what its owner set. Out: a status, a
//! type and a text, checked once. The text is theirs alone: nothing of a request comes back, and nothing that runs.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// Longest text.
const TEXT_MAX_BYTES: usize = 1024;
/// What it may be, and how that is told: nothing that a browser would run.
const MEDIA_TYPES: [(&str, &str); 4] = [
    ("text/plain", "text/plain; charset=utf-8"),
    ("application/json", "application/json"),
    ("application/xml", "application/xml; charset=utf-8"),
    ("text/xml", "text/xml; charset=utf-8"),
];
const PARTS: [&str; 3] = ["status", "media_type", "body"];

/// Why it is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixedReplyFault {
    /// It is no object of those parts.
    #[error("it is an object of status, media_type and body")]
    Shape,
    /// It would not say that the request was taken.
    #[error("status: it is a number from 200 to 299")]
    Status,
    /// A status without a body has one.
    #[error("status: {0} has no body")]
    Bodiless(u16),
    /// It is no text, or too long.
    #[error("body: it is a text of at most {TEXT_MAX_BYTES} bytes")]
    Body,
    /// A browser might run it, or nobody sends it.
    #[error("media_type: it is one of text/plain, application/json, application/xml, text/xml")]
    MediaType,
    /// It says that it is JSON.
    #[error("body: it is not JSON, as media_type says")]
    Json,
}

/// A reply that is the same for each request that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedReply {
    /// One of 200 to 299.
    pub status: StatusCode,
    /// The type of its body, when it has one.
    pub content_type: Option<HeaderValue>,
    /// Its body, at most 1 KiB.
    pub body: Bytes,
    media_type: Option<&'static str>,
}

impl FixedReply {
    /// Reads one as it was sent or kept: 200 with a body and 204 without, text when nothing is said.
    ///
    /// # Errors
    /// [`FixedReplyFault`], which names the part.
    pub fn read(said: &Value) -> Result<Self, FixedReplyFault> {
        let said = said.as_object().ok_or(FixedReplyFault::Shape)?;
        if said.keys().any(|part| !PARTS.contains(&&**part)) {
            return Err(FixedReplyFault::Shape);
        }
        let part = |name: &str| said.get(name).filter(|part| !part.is_null());
        let body = match part("body") {
            None => "",
            Some(body) => body.as_str().ok_or(FixedReplyFault::Body)?,
        };
        if body.len() > TEXT_MAX_BYTES {
            return Err(FixedReplyFault::Body);
        }
        let usual = if body.is_empty() { 204 } else { 200 };
        let status = part("status").map_or(Some(usual), Value::as_u64);
        let status = status.and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (200..300).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or(FixedReplyFault::Status)?;
        let (media_type, content_type) = match part("media_type") {
            None => MEDIA_TYPES[0],
            Some(said) => said.as_str().and_then(media_type).ok_or(FixedReplyFault::MediaType)?,
        };
        if body.is_empty() {
            return Ok(Self { status, content_type: None, body: Bytes::new(), media_type: None });
        }
        // 205 has none either.
        if matches!(status.as_u16(), 204 | 205) {
            return Err(FixedReplyFault::Bodiless(status.as_u16()));
        }
        let is_json = media_type == "application/json";
        if is_json && serde_json::from_str::<serde::de::IgnoredAny>(body).is_err() {
            return Err(FixedReplyFault::Json);
        }
        Ok(Self {
            status,
            content_type: Some(HeaderValue::from_static(content_type)),
            body: Bytes::copy_from_slice(body.as_bytes()),
            media_type: Some(media_type),
        })
    }

    /// Its one form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut told = json!({ "status": self.status.as_u16() });
        if let Some(media_type) = self.media_type {
            told["media_type"] = media_type.into();
            told["body"] = String::from_utf8_lossy(&self.body).into();
        }
        told
    }
}

/// One of those that are sent, whatever its case; a charset is UTF-8.
fn media_type(said: &str) -> Option<(&'static str, &'static str)> {
    let (kind, charset) = said.split_once(';').unwrap_or((said, "charset=utf-8"));
    let is_ours = charset.trim().eq_ignore_ascii_case("charset=utf-8");
    let mut known = MEDIA_TYPES.into_iter();
    known.find(|(name, _)| is_ours && kind.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_one_form_and_what_is_not_is_what_is_usual() {
        for (said, form) in [
            (json!({}), json!({"status": 204})),
            (
                json!({"status": 202, "body": null, "media_type": "text/xml"}),
                json!({"status": 202}),
            ),
            (
                json!({"body": "[accepted]"}),
                json!({"status": 200, "media_type": "text/plain", "body": "[accepted]"}),
            ),
            (
                json!({"status": 201, "media_type": "Application/JSON; charset=UTF-8", "body": "{}"}),
                json!({"status": 201, "media_type": "application/json", "body": "{}"}),
            ),
        ] {
            let read = FixedReply::read(&said).expect("a reply");
            assert_eq!(read.to_value(), form, "{said}");
            assert_eq!(FixedReply::read(&form), Ok(read), "{said}");
        }
    }

    #[test]
    fn what_runs_what_is_long_and_what_is_no_yes_is_refused() {
        use FixedReplyFault as Fault;
        for (said, fault) in [
            (json!("ok"), Fault::Shape),
            (json!({"headers": {}}), Fault::Shape),
            (json!({"status": 199}), Fault::Status),
            (json!({"status": 302}), Fault::Status),
            (json!({"status": "200"}), Fault::Status),
            (json!({"status": 65_736}), Fault::Status),
            (json!({"status": 204, "body": "ok"}), Fault::Bodiless(204)),
            (json!({"status": 205, "body": "ok"}), Fault::Bodiless(205)),
            (json!({"body": 1}), Fault::Body),
            (json!({"body": "x".repeat(1025)}), Fault::Body),
            (json!({"body": "<p>", "media_type": "text/html"}), Fault::MediaType),
            (json!({"media_type": "text/html"}), Fault::MediaType),
            (json!({"body": "<p>", "media_type": "image/svg+xml"}), Fault::MediaType),
            (json!({"body": "a()", "media_type": "text/javascript"}), Fault::MediaType),
            (json!({"body": "a", "media_type": "text/plain; charset=utf-7"}), Fault::MediaType),
            (json!({"body": "a", "media_type": "text/plain\r\nx: y"}), Fault::MediaType),
            (json!({"body": "{", "media_type": "application/json"}), Fault::Json),
        ] {
            assert_eq!(FixedReply::read(&said), Err(fault), "{said}");
        }
    }
}
