//! Rates as people write them: `100/s`, `600/min`, `10/h`. In: text. Out: a count in a time.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limit::{Rate, read_rate, unit_of};

/// A count in a second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RateText {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

impl RateText {
    /// The same as a budget, of which `burst` may come at once.
    #[must_use]
    pub fn with(self, burst: Option<u32>) -> Option<Rate> {
        Rate::new(self.count.get(), self.per, burst.and_then(NonZeroU32::new))
    }
}

impl FromStr for RateText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (count, per) = read_rate(text)
            .ok_or_else(|| format!("`{text}` is no rate; write one as 100/s, 600/min or 10/h"))?;
        Ok(Self { count, per })
    }
}

impl TryFrom<String> for RateText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RateText> for String {
    fn from(rate: RateText) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for RateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, unit_of(self.per))
    }
}

impl JsonSchema for RateText {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*(/(s|m|min|h))?$" })
    }
}
