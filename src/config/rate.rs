//! Rates as people write them: `100/s`, `600/min`, `10/h`. In: text. Out: a count in a time.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::limit::Rate;

/// A count in a second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RateText {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

/// The units of time, longest way to write them first.
const UNITS: &[(&str, u64)] = &[("min", 60), ("s", 1), ("m", 60), ("h", 3600)];

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
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let count = count.trim().parse();
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
        match (count, unit) {
            (Ok(count), Some((_, seconds))) => {
                Ok(Self { count, per: Duration::from_secs(*seconds) })
            }
            _ => Err(format!("`{text}` is no rate; write one as 100/s, 600/min or 10/h")),
        }
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
        let seconds = self.per.as_secs();
        let unit = UNITS.iter().find(|(_, unit)| *unit == seconds).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
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
