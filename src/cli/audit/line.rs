//! One entry of an export: a line of NDJSON. In: a row or an anchor, or a line. Out: the other. The event's text goes
//! through as it is, digits and order untouched; a line is only one when it is written the way an export writes it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::catalogue::chain::{Anchor, Entry, Hash, Link, Row};
use crate::clock::Time;
use crate::event::EVENT_MAX_BYTES;
use crate::id::Uuid;

/// Longest line: the longest event, and what stands around it.
pub(super) const LINE_MAX_BYTES: usize = EVENT_MAX_BYTES + 1024;

/// Why a line is no row, or a row cannot become a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("not a row of an export: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("not a row of an export: `{field}` is {text:?}")]
    Field { field: &'static str, text: String },
    #[error("the event is no single line of JSON")]
    Event,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    account: &'a str,
    number: u64,
    id: &'a str,
    occurred: &'a str,
    hash: &'a str,
    previous: &'a str,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// What stands before the rows of an account whose oldest were ended.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AnchorLine<'a> {
    account: &'a str,
    ended: u64,
    hash: &'a str,
}

/// An entry as a line, its end included.
pub(super) fn write(entry: &Entry<'_>) -> Result<String, LineError> {
    let row = match entry {
        Entry::Row(row) => row,
        Entry::Anchor(anchor) => {
            let mut line = serde_json::to_string(&AnchorLine {
                account: &anchor.account.to_string(),
                ended: anchor.number,
                hash: &anchor.hash.to_string(),
            })?;
            line.push('\n');
            return Ok(line);
        }
    };
    let event = serde_json::from_slice::<&RawValue>(row.link.json);
    let event = event.ok().filter(|event| !event.get().contains('\n')).ok_or(LineError::Event)?;
    let mut line = serde_json::to_string(&Line {
        account: &row.link.account.to_string(),
        number: row.link.number,
        id: &row.link.id.to_string(),
        occurred: &row.link.occurred.to_string(),
        hash: &row.hash.to_string(),
        previous: &row.previous.to_string(),
        event,
    })?;
    line.push('\n');
    Ok(line)
}

/// A line as an entry.
pub(super) fn read(line: &str) -> Result<Entry<'_>, LineError> {
    let id = |text: &str| Uuid::try_parse(text).ok();
    if let Ok(line) = serde_json::from_str::<AnchorLine<'_>>(line) {
        return Ok(Entry::Anchor(Anchor {
            account: same("account", line.account, id)?,
            number: line.ended,
            hash: same("hash", line.hash, |text| text.parse().ok())?,
        }));
    }
    let line: Line<'_> = serde_json::from_str(line)?;
    Ok(Entry::Row(Row {
        link: Link {
            account: same("account", line.account, id)?,
            number: line.number,
            id: same("id", line.id, id)?,
            occurred: same("occurred", line.occurred, Time::parse)?,
            json: line.event.get().as_bytes(),
        },
        previous: same("previous", line.previous, |text| text.parse::<Hash>().ok())?,
        hash: same("hash", line.hash, |text| text.parse::<Hash>().ok())?,
    }))
}

/// A field's value, when its text is the one an export writes for it.
fn same<T: ToString>(
    field: &'static str,
    text: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, LineError> {
    let value = read(text).filter(|value| value.to_string() == text);
    value.ok_or_else(|| LineError::Field { field, text: text.to_owned() })
}
