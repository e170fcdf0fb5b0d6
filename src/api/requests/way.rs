//! The way of a kept request up to its event, as it is told later. In: its frame, and the template of then. Out: who
//! sent it, how that was verified, which budgets it was charged to, what its body was read as, and what is odd about
//! its rendering. The rendering is done again for that; the request itself paid for none of it.

use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::again::{Renderer, body};
use super::capture::Captured;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::feed::{Outcome, Request};
use crate::id::Uuid;
use crate::request::Body;
use crate::spool::{Kept, Marks, Sender};

const PROVIDER: &str = "hookgate.verification.provider";
const VERDICT: &str = "hookgate.verification";
const SECRET: &str = "hookgate.verification.secret";
const SENDER: &str = "hookgate.verification.sender";
const CERTIFICATE: &str = "hookgate.verification.certificate";

#[derive(Deserialize)]
struct Received {
    resource: Map<String, Value>,
}

impl Api {
    /// Adds to what is told of a request what is known of its way.
    pub(super) async fn tell_way(
        &self,
        (found, kept): (&Request, &Kept),
        captured: Captured,
        told: &mut Value,
    ) -> Result<(), Problem> {
        let sender = kept.capture.as_ref().and_then(|capture| capture.sender);
        told["peer"] = sender.map_or(Value::Null, |sender| sender.peer.to_string().into());
        told["verification"] = verification(kept, sender);
        told["limits"] = sender.map_or(Value::Null, charged);
        told["parse"] = parsed(&captured);
        told["warnings"] = match found.outcome {
            Outcome::Handshake => json!([]),
            _ => self.rendered_again(found, captured).await?,
        };
        Ok(())
    }

    /// What the template of then has odd with a request; nothing when that template is kept no longer.
    async fn rendered_again(&self, found: &Request, captured: Captured) -> Result<Value, Problem> {
        let versions = self.store.versions(found.webhook).await?;
        let then = versions.into_iter().find(|version| version.number == found.version);
        let webhook = self.store.records(vec![found.webhook]).await?.pop();
        let Some((then, webhook)) = then.zip(webhook) else { return Ok(Value::Null) };
        let limits = self.options.render;
        let work = move || {
            let renderer = Renderer::new(webhook.id, webhook.text("name"), &then.template, limits);
            let body = body(&captured).ok()?;
            serde_json::to_value(renderer.warnings(&captured, &body)).ok()
        };
        let told = self.trials.run(work).await.ok_or(Problem::Engine)?;
        Ok(told.unwrap_or_default())
    }
}

/// Most versions of a template, the newest, that are asked for the id of an event.
const VERSIONS_MAX: usize = 10;

impl Api {
    /// The ids that newer templates of its webhook give the event of a request that failed.
    pub(super) async fn ids_by_templates(
        &self,
        found: &Request,
        captured: Captured,
    ) -> Result<Vec<Uuid>, Problem> {
        let mut versions = self.store.versions(found.webhook).await?;
        versions.retain(|version| version.number > found.version);
        versions.truncate(VERSIONS_MAX);
        let webhook = self.store.records(vec![found.webhook]).await?.pop();
        let Some(webhook) = webhook.filter(|_| !versions.is_empty()) else { return Ok(Vec::new()) };
        let limits = self.options.render;
        let work = move || {
            let Ok(body) = body(&captured) else { return Vec::new() };
            let (id, name) = (webhook.id, webhook.text("name"));
            let made = versions.iter().map(|version| {
                Renderer::new(id, name, &version.template, limits).event(&captured, &body)
            });
            let mut ids: Vec<_> = made.filter_map(|made| made.ok().map(|event| event.id)).collect();
            ids.dedup();
            ids
        };
        self.trials.run(work).await.ok_or(Problem::Engine)
    }
}

/// How it was made sure who sent a request.
fn verification(kept: &Kept, sender: Option<Sender>) -> Value {
    let received = kept.events.first();
    let received = received.and_then(|event| serde_json::from_slice(&event.json).ok());
    let labels = received.map(|received: Received| received.resource).unwrap_or_default();
    let signature = labels.get(PROVIDER).map(|provider| {
        json!({
            "provider": provider,
            "verdict": labels.get(VERDICT),
            "secret": labels.get(SECRET),
            "sender": labels.get(SENDER),
            "certificate": labels.get(CERTIFICATE),
        })
    });
    json!({
        "key": sender.map(|sender| sender.marks.has(Marks::KEY)),
        "signature": signature,
    })
}

/// The budgets that a request was charged to, in the order of their turn, and what they had left then.
fn charged(sender: Sender) -> Value {
    let all = [Marks::PEER, Marks::WEBHOOK, Marks::ACCOUNT].into_iter().zip(sender.charged.all());
    let charged = all.filter(|(mark, _)| sender.marks.has(*mark));
    charged
        .map(|(_, (budget, left))| {
            let (count, of) = (left.map(|left| left.count), left.map(|left| left.of));
            json!({ "budget": budget, "left": count, "of": of })
        })
        .collect()
}

/// What a body was read as.
fn parsed(captured: &Captured) -> Value {
    let content_type = captured.sample.headers.get(CONTENT_TYPE);
    let (kind, fault) = match body(captured) {
        Ok(Body::Empty) => (Some("empty"), None),
        Ok(Body::Json(_)) => (Some("json"), None),
        Ok(Body::Form(_)) => (Some("form"), None),
        Ok(Body::Text(_)) => (Some("text"), None),
        Err(failure) => (None, Some(failure.error)),
    };
    json!({
        "content_type": content_type.map(|value| String::from_utf8_lossy(value.as_bytes())),
        "kind": kind,
        "bytes": captured.sample.body.len(),
        "error": fault,
    })
}
