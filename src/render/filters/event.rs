//! `from_cloud_event`: a `CloudEvent` in either mode as the text of an event (contract 2.7 B). In: the body,
//! and the headers as argument. Out: JSON. Never an event without the attributes every `CloudEvent` must have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Error, Value};

use super::super::args::bind;
use super::super::context::Headers;
use super::super::engine::Scope;
use super::super::repr::pairs;
use super::super::value::{Kind, fault, is_undefined, kind};
use super::Table;
use super::json::dump;

pub(super) const TABLE: Table = &[("from_cloud_event", from_cloud_event)];

/// What each `CloudEvent` must say of itself.
const REQUIRED: [&str; 4] = ["specversion", "type", "source", "id"];

/// Attributes in the order they came, and the data.
struct CloudEvent {
    attributes: Vec<(String, Value)>,
    data: Value,
}

impl CloudEvent {
    fn find(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// An attribute that is a text with something in it.
    fn text(&self, name: &str) -> Option<&str> {
        match kind(self.find(name)?) {
            Kind::Str(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

fn from_cloud_event(_scope: Scope, body: &Value, args: &[Value]) -> Result<Value, Error> {
    let [headers] = bind("from_cloud_event", ["headers"], 1, args)?;
    let headers = headers.unwrap_or_default();
    let headers = headers.downcast_object_ref::<Headers>();
    let headers = headers.ok_or_else(|| fault("from_cloud_event needs the headers"))?;
    let event = read(body, headers)?;
    for name in REQUIRED {
        if event.text(name).is_none() {
            return Err(fault(format!("a CloudEvent needs the attribute '{name}'")));
        }
    }
    write(&event).map(Value::from_safe_string)
}

fn read(body: &Value, headers: &Headers) -> Result<CloudEvent, Error> {
    let content_type = headers.find("content-type").unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    if content_type.starts_with("application/cloudevents-batch") {
        return Err(fault("a batch of CloudEvents cannot become one event"));
    }
    let structured = content_type.starts_with("application/cloudevents");
    let envelope = match kind(body) {
        Kind::Dict(dict) => Some(dict),
        _ => None,
    };
    match envelope {
        Some(dict) if structured || dict.get_value_by_str("specversion").is_some() => {
            let (data, attributes): (Vec<_>, Vec<_>) = pairs(dict)
                .into_iter()
                .map(|(name, value)| (name.as_str().unwrap_or_default().to_owned(), value))
                .partition(|(name, _)| name == "data" || name == "data_base64");
            Ok(CloudEvent { attributes, data: data_of(data) })
        }
        _ if structured => Err(fault("the envelope of a CloudEvent must be a JSON object")),
        _ => Ok(binary(body, headers, &content_type)),
    }
}

/// The data of an envelope: given as it is, or as Base64 of text.
fn data_of(given: Vec<(String, Value)>) -> Value {
    let mut data = Value::from(());
    for (name, value) in given {
        data = match (&*name, kind(&value)) {
            ("data_base64", Kind::Str(text)) => {
                let bytes = STANDARD.decode(text).ok();
                match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    Some(text) => Value::from(text),
                    None => value,
                }
            }
            _ => value,
        };
    }
    data
}

/// Attributes in `ce-` headers, percent-encoded; the body is the data.
fn binary(body: &Value, headers: &Headers, content_type: &str) -> CloudEvent {
    let mut attributes: Vec<(String, Value)> = Vec::new();
    for (name, text) in headers.lines() {
        if let Some(name) = name.strip_prefix("ce-") {
            let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
            attributes.push((name.to_owned(), Value::from(&*text)));
        }
    }
    let said = attributes.iter().any(|(name, _)| name == "datacontenttype");
    if !said && !content_type.is_empty() {
        let text = headers.find("content-type").unwrap_or_default();
        attributes.push(("datacontenttype".to_owned(), Value::from(text)));
    }
    let data = if is_undefined(body) { Value::from(()) } else { body.clone() };
    CloudEvent { attributes, data }
}

fn write(event: &CloudEvent) -> Result<String, Error> {
    let resource = event.text("subject").or(event.text("source")).unwrap_or_default();
    let mut out = String::from("{\"event\": ");
    out.push_str(&dump(&Value::from(event.text("type")))?);
    out.push_str(", \"resource\": {\"prefect.resource.id\": ");
    out.push_str(&dump(&Value::from(resource))?);
    out.push_str("}, \"payload\": {\"data\": ");
    out.push_str(&dump(&event.data)?);
    out.push_str(", \"cloudevents\": {");
    for (place, (name, value)) in event.attributes.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push_str(&dump(&Value::from(&**name))?);
        out.push_str(": ");
        out.push_str(&dump(value)?);
    }
    out.push_str("}}");
    if let Some(time) = event.find("time") {
        out.push_str(", \"occurred\": ");
        out.push_str(&dump(time)?);
    }
    out.push('}');
    Ok(out)
}
