//! `hookgate explain`: what became of a request, an event, or a delivery. In: an id that a reply, a list or a log line
//! said. Out: its way through a running gateway, step by step, and where it stands at each destination.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::access::Access;
use super::client::runtime;
use super::listing::{Listing, text};
use super::output::{Failure, one_line};
use crate::cli::webhook::redaction::told_of;

pub(super) const EXAMPLE: &str = "\
Any of these ids will do: a request's, which the reply's Hookgate-Receipt said and log lines call request_id; an
event's; that of an event that lies parked; the X-Request-Id of a reply of one of the workspace's webhooks, whoever
gave it (of requests that were refused, or came twice, the newest thousand are remembered, also of a webhook that is
disabled or under a hook that was just replaced; a kill forgets those of the last 10 seconds); and what a receiver has:
webhook-id, Nats-Msg-Id, or batch-… of several events that went together. A call of a hook that nobody has, or with a
head that breaks a rule (400, 431), is nobody's: it is counted, and not remembered.

Exit codes: 0 it is known, 5 nothing is known of that id.

Examples:
  hookgate explain 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10
  hookgate explain 019ab2f0-6f4e-7cc1-9a8b-0d8b1c4f9f10 -o json | jq '.deliveries'";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of a request, a receipt, an event, a parked event, a refused request, or a delivery
    id: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let remote = args.access.workspace().await?;
        let path = format!("explain?id={}", utf8_percent_encode(&args.id, NON_ALPHANUMERIC));
        let told = remote.call(Method::GET, &path, None).await;
        let told = told.map_err(|failure| match failure {
            Failure::NotFound(_) => Failure::NotFound(format!(
                "nothing is known of {:?} in this workspace; hookgate request ls and hookgate event ls list what \
                 there is",
                args.id
            )),
            failure => failure.about(&args.id),
        })?;
        args.listing.record(&told, &lines(&told))
    })
}

/// The steps as people read them.
fn lines(told: &Value) -> Vec<(&'static str, String)> {
    let mut lines = vec![("outcome", text(told, "outcome"))];
    lines.extend(not_kept(&told["refusal"]));
    let request = &told["request"];
    if request.is_object() {
        let [id, received, method, webhook] =
            ["id", "received", "method", "webhook"].map(|key| text(request, key));
        let bytes = &request["content_length"];
        lines.push(("receipt", id));
        lines.push(("received", format!("{received}  {method}, {bytes} bytes, by {webhook}")));
        lines.extend(way(request));
        if let Some(version) = request["template_version"].as_u64() {
            lines.push(("template", format!("version {version}")));
        }
        let sealed = text(request, "sealed");
        if !sealed.is_empty() {
            lines.push(("sealed", sealed));
        }
        let redacted = told_of(request);
        if !redacted.is_empty() {
            lines.push(("redacted", redacted));
        }
        for warning in request["warnings"].as_array().into_iter().flatten() {
            let place = warning["line"].as_u64().map(|line| format!(" (line {line})"));
            let said = text(warning, "message") + &place.unwrap_or_default();
            lines.push(("told", format!("{}: {said}", text(warning, "severity"))));
        }
        let line = request["line"].as_u64().map(|line| format!(" (line {line})"));
        let error = text(request, "error");
        if !error.is_empty() {
            lines.push(("error", error + &line.unwrap_or_default()));
        }
    }
    for event in told["events"].as_array().into_iter().flatten() {
        let [id, name, made] = ["id", "event", "made_by"].map(|key| text(event, key));
        lines.push(("event", format!("{id}  {name}  ({made})")));
    }
    for repeat in told["repeats"].as_array().into_iter().flatten() {
        let [received, id] = ["received", "request_id"].map(|key| text(repeat, key));
        lines.push(("repeated", format!("{received}  {id}, {} times", repeat["times"])));
    }
    lines.extend(batch(&told["batch"]));
    let deliveries = told["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in deliveries {
        let [id, name, state, reason] =
            ["event_id", "destination", "state", "reason"].map(|key| text(one, key));
        let name = if name.is_empty() { "the operator's".to_owned() } else { one_line(&name) };
        let why = match one["attempts"].as_u64() {
            Some(attempts) => format!(": {reason} ({attempts} attempts)"),
            None if reason.is_empty() => reason,
            None => format!(": {reason}"),
        };
        lines.push(("delivery", format!("{id}  {name}  {state}{why}")));
        lines.extend(one["tried"].as_array().into_iter().flatten().map(tried));
    }
    let is_theirs = |one: &Value| one["destination_id"].is_null() && one["destination"].is_string();
    let more = told["operator_destinations"].as_u64().unwrap_or(0);
    if more > 0 && !deliveries.is_empty() && !deliveries.iter().any(is_theirs) {
        lines.push(("beside", format!("{more} destinations of the operator, who alone sees them")));
    }
    lines
}

/// The budget that a refused request was over.
fn spent(limit: &Value) -> Option<(&'static str, String)> {
    let [budget, rate] = ["budget", "rate"].map(|key| text(limit, key));
    let [burst, seconds] = ["burst", "retry_after_seconds"].map(|key| limit[key].as_u64());
    let (burst, seconds) = burst.zip(seconds)?;
    let whose = match &*budget {
        "wrong_slugs" => "wrong slugs of one peer".to_owned(),
        "wrong_keys" => "wrong keys of one peer".to_owned(),
        "peer_questions" => "questions of one peer".to_owned(),
        "webhook_questions" => "questions to the webhook".to_owned(),
        budget => format!("the {budget}'s"),
    };
    let whose = format!("{whose} {rate}, {burst} at once");
    Some(("limit", format!("{whose}: nothing was left for {seconds} s")))
}

/// A budget that a request was charged to, and what it had left then, where that is known.
fn charged_to(limit: &Value) -> String {
    let budget = text(limit, "budget");
    match limit["left"].as_u64().zip(limit["of"].as_u64()) {
        Some((left, of)) => format!("{budget} ({left} of {of} left)"),
        None => budget,
    }
}

/// Why one was not kept.
fn not_kept(refusal: &Value) -> Vec<(&'static str, String)> {
    if !refusal.is_object() {
        return Vec::new();
    }
    let [received, method, peer, reason, detail, webhook] =
        ["received", "method", "peer", "reason", "detail", "webhook"].map(|key| text(refusal, key));
    let times = match refusal["times"].as_u64() {
        Some(times) if times > 1 => format!(", {times} times within a second"),
        _ => String::new(),
    };
    let to = if webhook.is_empty() { webhook } else { format!(" to {webhook}") };
    let why = if detail.is_empty() { reason } else { format!("{reason} ({detail})") };
    let mut lines = vec![
        ("not kept", format!("{received}  {method} from {peer}{to}")),
        ("because", format!("{why}, answered {}{times}", refusal["status"])),
    ];
    lines.extend(spent(&refusal["limit"]));
    lines
}

/// Several events that went together.
fn batch(batch: &Value) -> Vec<(&'static str, String)> {
    if !batch.is_object() {
        return Vec::new();
    }
    let (name, events) = (text(batch, "destination"), &batch["events"]);
    let doubt = if batch["is_whole"] == true { "" } else { "; which ones is not certain any more" };
    let mut lines = vec![("batch", format!("{events} events to {name}{doubt}"))];
    lines.extend(batch["tried"].as_array().into_iter().flatten().map(tried));
    lines
}

/// One attempt.
fn tried(attempt: &Value) -> (&'static str, String) {
    let [at, outcome, answer] = ["at", "outcome", "answer"].map(|key| text(attempt, key));
    let milliseconds = attempt["seconds"].as_f64().unwrap_or(0.0) * 1e3;
    let answer = match attempt["status"].as_u64() {
        Some(status) if answer.is_empty() => format!("answered {status}"),
        _ => answer,
    };
    let said = if answer.is_empty() { outcome } else { format!("{outcome}: {answer}") };
    let with = &attempt["events"];
    ("tried", format!("{at}  {said}  in {milliseconds:.1} ms, {with} together"))
}

/// What became of a request before it met its template; nothing of what is not known.
fn way(request: &Value) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut add = |name, text: String| {
        if !text.is_empty() {
            lines.push((name, text));
        }
    };
    add("from", text(request, "peer"));
    let (key, signature) = (&request["verification"]["key"], &request["verification"]["signature"]);
    let mut proofs = Vec::new();
    if key == true {
        proofs.push("a key of its service account".to_owned());
    }
    if signature.is_object() {
        let [provider, verdict, secret, sender] =
            ["provider", "verdict", "secret", "sender"].map(|key| text(signature, key));
        let by = if secret.is_empty() { sender } else { secret };
        let with = if by.is_empty() { by } else { format!(" with {by}") };
        proofs.push(format!("signature of {provider}: {verdict}{with}"));
    }
    if proofs.is_empty() && key == false {
        proofs.push("the hook alone".to_owned());
    }
    add("verified", proofs.join(", "));
    if let Some(charged) = request["limits"].as_array() {
        let names: Vec<_> = charged.iter().map(charged_to).collect();
        let names =
            if names.is_empty() { "nothing is limited".to_owned() } else { names.join(", ") };
        add("charged to", names);
    }
    let parse = &request["parse"];
    if parse.is_object() {
        let [content_type, kind, error] =
            ["content_type", "kind", "error"].map(|key| text(parse, key));
        let of = if content_type.is_empty() { content_type } else { format!(" of {content_type}") };
        let read = if error.is_empty() { format!("{kind}{of}") } else { error };
        add("body", format!("{read}, {} bytes", parse["bytes"]));
    }
    lines
}
