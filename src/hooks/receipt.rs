//! What became of a request, for whoever sent it. In: a receipt's id, with the slug it was sent to as the credential.
//! Out: whether an event came of it; of a request to any other webhook nothing, as of one that never was. Charged like
//! a hook; tells no more than the reply once did.

use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::Hooks;
use super::refusal::Refusal;
use crate::accept::Reply;
use crate::feed::{Feed, Outcome};
use crate::id::Uuid;
use crate::request::Arrival;
use crate::spool::SpoolError;
use crate::verify::key::bearer;

/// Where receipts are looked up.
pub const RECEIPTS_PREFIX: &str = "/receipts/";

impl Hooks {
    /// Answers a sender who asks what became of a request.
    pub async fn look_up(&self, feed: &Feed, arrival: &Arrival) -> Reply {
        if !matches!(arrival.method, Method::GET | Method::HEAD) {
            return Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
                .with(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        let found = self.find(feed, arrival).await;
        let reply = found.map_or_else(
            |refusal| refusal.reply(),
            |told| Reply::json(StatusCode::OK, told.to_string()),
        );
        reply.with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    async fn find(&self, feed: &Feed, arrival: &Arrival) -> Result<Value, Refusal> {
        // An unknown slug is charged like a known one, so that nobody guesses for free.
        let slug = arrival.header(AUTHORIZATION.as_str()).and_then(bearer);
        let endpoint = slug.and_then(|slug| self.routes.find(slug, arrival.received));
        self.limits.charge_peer(arrival.peer).map_err(Refusal::PeerRate)?;
        if slug.is_none() {
            return Err(Refusal::Unauthorized);
        }
        let endpoint = endpoint.ok_or_else(|| {
            Refusal::Unknown.within(self.limits.guesses().wrong_slug(arrival.peer))
        })?;
        self.charge(&endpoint, arrival.received)?;
        let id = read_id(arrival.path()).ok_or(Refusal::Unknown)?;
        let found = feed.request((endpoint.account, endpoint.workspace), id).await;
        // Who has a receipt is not told that there is none, only because the index is not there yet.
        let found = found.map_err(|fault| {
            tracing::debug!(%fault, "a receipt could not be looked up");
            Refusal::Spool(SpoolError::Busy)
        })?;
        let request = found.filter(|request| request.webhook == endpoint.id);
        let request = request.ok_or(Refusal::Unknown)?;
        let outcome = match request.outcome {
            Outcome::Event => "accepted",
            Outcome::Failed => "failed",
            Outcome::Handshake => "handshake",
        };
        Ok(json!({
            "receipt": id,
            "received": request.received.to_string(),
            "content_length": request.bytes,
            "outcome": outcome,
        }))
    }
}

/// The id in a path: what stands behind the prefix, one trailing slash allowed.
fn read_id(path: &str) -> Option<Uuid> {
    let rest = path.strip_prefix(RECEIPTS_PREFIX)?;
    let text = rest.strip_suffix('/').unwrap_or(rest);
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_receipt() {
        let id = "019aaf5e-0b7b-7a5c-8d6e-0123456789ab";
        for (path, is_one) in [
            (format!("/receipts/{id}"), true),
            (format!("/receipts/{id}/"), true),
            (format!("/receipts/{id}//"), false),
            (format!("/receipts/{}", id.replace('-', "")), false),
            ("/receipts/".to_owned(), false),
            (format!("/receipts/{id}/x"), false),
        ] {
            assert_eq!(read_id(&path).is_some(), is_one, "{path}");
        }
    }
}
