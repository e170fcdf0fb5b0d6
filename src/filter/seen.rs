//! An event as filters look at it. In: its JSON, as it is stored and sent. Out: its parts, pointing into those bytes.
//! Copies nothing but texts with escapes; what is no event is `None`.

use std::borrow::Cow;

use crate::clock::Time;
use crate::id::Uuid;
use crate::json::{Limits, Node, Value, scan, unescape};

/// Bounds of an event that was taken once, so never met: its text is at most 1.5 MB.
const LIMITS: Limits = Limits { depth_max: 1000, nodes_max: 1_500_000 };

/// The parts of one event.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    occurred: Time,
    name: u32,
    resource: u32,
    related: u32,
    payload: u32,
    id: Option<Uuid>,
}

impl<'a> Seen<'a> {
    /// Indexes an event's JSON; keys beyond the event's seven are left alone.
    #[must_use]
    pub fn read(json: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        let mut nodes = Vec::with_capacity(text.len() / 10);
        scan(text, LIMITS, &mut nodes).ok()?;
        let root = Value::root(text, &nodes);
        let (mut occurred, mut id) = (None, None);
        let (mut name, mut resource, mut related, mut payload) = (0, 0, 0, 0);
        for (key, value) in root.members() {
            match &*key {
                "occurred" => occurred = value.text().and_then(|text| Time::parse(&text)),
                "event" => name = value.node(),
                "resource" => resource = value.node(),
                "related" => related = value.node(),
                "payload" => payload = value.node(),
                "id" => id = value.text().and_then(|text| Uuid::parse_str(&text).ok()),
                _ => {}
            }
        }
        let occurred = occurred?;
        Some(Self { text, nodes, occurred, name, resource, related, payload, id })
    }

    fn at(&self, node: u32) -> Option<Value<'_>> {
        // The root is none of its own parts: 0 stands for what is not there.
        (node != 0).then(|| Value::root(self.text, &self.nodes).at(node))
    }

    /// When it happened.
    #[must_use]
    pub fn occurred(&self) -> Time {
        self.occurred
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        self.at(self.name).and_then(Value::text).unwrap_or_default()
    }

    /// What it happened to.
    #[must_use]
    pub fn resource(&self) -> Resource<'_> {
        Resource(self.at(self.resource))
    }

    /// What else had a part in it.
    pub fn related(&self) -> impl Iterator<Item = Resource<'_>> {
        let list = self.at(self.related).into_iter().flat_map(Value::items);
        list.map(|item| Resource(Some(item)))
    }

    /// All its words in small letters: name, values of labels, payload; between two of them stands what is in none.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.name().to_lowercase();
        for resource in std::iter::once(self.resource()).chain(self.related()) {
            for (_, value) in resource.labels() {
                words.push('\0');
                words.push_str(&value.to_lowercase());
            }
        }
        if let Some(payload) = self.at(self.payload) {
            let raw = payload.raw();
            words.push('\0');
            if raw.contains('\\') {
                words.push_str(&unescape(raw).to_lowercase());
            } else {
                words.push_str(&raw.to_lowercase());
            }
        }
        words
    }
}

/// One resource of an event.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a>(Option<Value<'a>>);

impl<'a> Resource<'a> {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, label: &str) -> Option<Cow<'a, str>> {
        self.0?.get(label)?.text()
    }

    /// Its id; empty when it has none.
    #[must_use]
    pub fn id(&self) -> Cow<'a, str> {
        self.get("prefect.resource.id").unwrap_or_default()
    }

    /// Its role; empty when it has none.
    #[must_use]
    pub fn role(&self) -> Cow<'a, str> {
        self.get("prefect.resource.role").unwrap_or_default()
    }

    /// What people call it: its name, else what it was called in earlier days, else its id.
    #[must_use]
    pub fn title(&self) -> Cow<'a, str> {
        let named = self.get("prefect.resource.name").or_else(|| self.get("prefect.name"));
        named.unwrap_or_else(|| self.id())
    }

    /// Its labels in the order written.
    pub fn labels(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let members = self.0.into_iter().flat_map(Value::members);
        members.filter_map(|(label, value)| Some((label, value.text()?)))
    }
}
