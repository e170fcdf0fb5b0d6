//! What lies on the shelf. In: an event and why it lies there. Out: the same, as it is told.

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Row;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::clock::Time;
use crate::event::{Event, write_received};
use crate::id::Uuid;

/// What stands for an event's key: order is kept among those that have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The key of a text in a place: the same text elsewhere is another one.
    #[must_use]
    pub fn new(account: Uuid, workspace: Option<Uuid>, text: &str) -> Self {
        let place = [account.into_bytes(), workspace.unwrap_or_default().into_bytes()].concat();
        let whole = digest(&SHA256, &[&place[..], text.as_bytes()].concat());
        let mut key = [0; 16];
        key.copy_from_slice(&whole.as_ref()[..16]);
        Self(key)
    }

    /// The key of an event that waits for no other.
    #[must_use]
    pub fn alone(account: Uuid, workspace: Option<Uuid>, event: Uuid) -> Self {
        Self::new(account, workspace, &format!("event {event}"))
    }
}

/// Why an event lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The destination refused it: somebody must say what becomes of it.
    Refused,
    /// An earlier one of its key lies there.
    Behind,
    /// It was called up: it goes out again.
    Due,
}

impl Standing {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Refused => 0,
            Self::Behind => 1,
            Self::Due => 2,
        }
    }

    fn read(number: i64) -> Self {
        match number {
            1 => Self::Behind,
            2 => Self::Due,
            _ => Self::Refused,
        }
    }

    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Behind => "behind",
            Self::Due => "due",
        }
    }
}

/// An event to be set aside.
#[derive(Clone, Debug)]
pub struct Aside {
    /// What its destination is called.
    pub name: String,
    /// Its key.
    pub key: Key,
    /// Why it is set aside.
    pub standing: Standing,
    /// Whose it is.
    pub account: Uuid,
    /// The workspace, unless it belongs to the account itself.
    pub workspace: Option<Uuid>,
    /// When its request came.
    pub received: Time,
    /// When it is set aside.
    pub parked: Time,
    /// Why, in a few words.
    pub reason: String,
    /// How often it went out; 0: it never did.
    pub attempts: u32,
    /// The beginning of the last answer.
    pub answer: Option<String>,
    /// Through how many gateways it came; read only by who sends it again.
    pub hops: u8,
    /// The event.
    pub event: Event,
}

/// An event that lies there.
#[derive(Clone, Debug)]
pub struct Lying {
    /// Its place.
    pub number: i64,
    /// Its destination.
    pub destination: Uuid,
    /// The rest.
    pub aside: Aside,
}

/// An event that lies there, as clients and operators read it.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    /// When it was set aside, in RFC 3339.
    pub parked: String,
    /// What its destination is called.
    pub destination: &'a str,
    /// Why it lies there, in a word.
    pub standing: &'static str,
    /// Why, in a few words.
    pub reason: &'a str,
    /// How often it went out.
    pub attempts: u32,
    /// The beginning of the last answer.
    pub answer: Option<&'a str>,
    /// The event's id.
    pub id: Uuid,
    /// The event with its ten keys.
    pub event: Box<RawValue>,
}

impl Lying {
    /// As clients and operators read it.
    #[must_use]
    pub fn describe(&self) -> Told<'_> {
        let Aside { name, standing, reason, attempts, answer, event, parked, .. } = &self.aside;
        let text = String::from_utf8(self.told()).unwrap_or_default();
        Told {
            parked: parked.to_string(),
            destination: name,
            standing: standing.name(),
            reason,
            attempts: *attempts,
            answer: answer.as_deref(),
            id: event.id,
            event: RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }

    /// The event with its ten keys, as readers outside see it.
    #[must_use]
    pub fn told(&self) -> Vec<u8> {
        let Aside { event, received, account, workspace, .. } = &self.aside;
        let mut told = Vec::with_capacity(event.json.len() + 160);
        write_received(&mut told, &event.json, *received, *account, *workspace);
        told
    }
}

pub(super) const COLUMNS: &str = "number, destination, name, key, standing, id, account, \
    workspace, received, parked, reason, attempts, answer, json";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Lying> {
    let workspace = Uuid::from_bytes(row.get(7)?);
    let aside = Aside {
        name: row.get(2)?,
        key: Key(row.get(3)?),
        standing: Standing::read(row.get(4)?),
        account: Uuid::from_bytes(row.get(6)?),
        workspace: Some(workspace).filter(|workspace| !workspace.is_nil()),
        received: Time::from_micros(row.get(8)?),
        parked: Time::from_micros(row.get(9)?),
        reason: row.get(10)?,
        attempts: row.get(11)?,
        answer: row.get(12)?,
        hops: 0,
        event: Event { id: Uuid::from_bytes(row.get(5)?), json: row.get::<_, Vec<u8>>(13)?.into() },
    };
    Ok(Lying { number: row.get(0)?, destination: Uuid::from_bytes(row.get(1)?), aside })
}
