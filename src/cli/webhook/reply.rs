//! What a webhook says to whose request it took, as flags. In: a status, a type, a text. Out: a member of a body, and
//! words for people.

use serde_json::{Value, json};

/// What it says to whose request it took.
#[derive(Debug, clap::Args)]
pub(super) struct FixedReply {
    /// Answer requests that were taken with this status, 200 to 299; when nothing is said, 200 with a text, 204 without
    #[arg(id = "reply_status", long = "reply-status", value_name = "N",
          value_parser = clap::value_parser!(u16).range(200..=299))]
    status: Option<u16>,
    /// The type of its text: text/plain, application/json, application/xml, text/xml
    #[arg(id = "reply_type", long = "reply-type", value_name = "TYPE")]
    kind: Option<String>,
    /// Answer requests that were taken with this text, at most 1024 bytes
    #[arg(id = "reply_body", long = "reply-body", value_name = "TEXT")]
    body: Option<String>,
    /// Answer requests that were taken with 204 and nothing
    #[arg(long, conflicts_with_all = ["reply_status", "reply_type", "reply_body"])]
    no_reply: bool,
}

impl FixedReply {
    /// Whether anything is said.
    pub(super) fn is_said(&self) -> bool {
        self.no_reply || self.parts().iter().any(|(_, said)| said.is_some())
    }

    /// Puts what is said into a body; parts that are not said stay as the webhook has them.
    pub(super) fn fill(&self, body: &mut Value, webhook: &Value) {
        if !self.is_said() {
            return;
        }
        if self.no_reply {
            body["reply"] = Value::Null;
            return;
        }
        let mut reply = json!({});
        for (part, said) in self.parts() {
            reply[part] = said.unwrap_or_else(|| webhook["reply"][part].clone());
        }
        // The usual status of no text is none of a text.
        if self.status.is_none() && self.body.is_some() && reply["status"] == 204 {
            reply["status"] = Value::Null;
        }
        body["reply"] = reply;
    }

    fn parts(&self) -> [(&'static str, Option<Value>); 3] {
        [
            ("status", self.status.map(Value::from)),
            ("media_type", self.kind.as_deref().map(Value::from)),
            ("body", self.body.as_deref().map(Value::from)),
        ]
    }
}

/// What it says, in words; nothing when it says nothing.
pub(super) fn told(webhook: &Value) -> String {
    let reply = &webhook["reply"];
    let Some(status) = reply["status"].as_u64() else { return String::new() };
    match (reply["media_type"].as_str(), reply["body"].as_str()) {
        (Some(kind), Some(body)) => format!("{status} {kind} {body:?}"),
        _ => status.to_string(),
    }
}
