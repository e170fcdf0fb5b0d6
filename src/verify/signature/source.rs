//! Where a signature, a time or an id stands in a request, and which parts of it count. In: a request. Out: the parts
//! as bytes, at most [`PARTS_MAX`]. Never a judgement; what is malformed is named, not skipped over.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde::Deserialize;

use crate::json::Value;

use super::fault::Fault;
use super::request::{Parameters, Request};
use super::scheme::Name;

/// Most parts of one header, most headers of one stem, and most items of one body that are looked at.
pub(super) const PARTS_MAX: usize = 100;
/// Longest header that is looked at.
const HEADER_MAX_BYTES: usize = 8 << 10;

/// Where a value stands, and which part of it counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawSource")]
#[allow(clippy::struct_excessive_bools, reason = "each is a word of a row")]
pub struct Source {
    /// Where it stands.
    pub from: From,
    /// At which character it is cut.
    pub split: Option<char>,
    /// How the parts that count begin; it is cut off.
    pub prefix: String,
    /// The setting in front of the prefix' end: `public_key`, then `|`.
    pub prefix_parameter: Option<String>,
    /// Whether the prefix may be written in any case.
    pub any_case: bool,
    /// Whether it may be left out.
    pub prefix_optional: bool,
    /// Whether blanks may stand before what it ends with: `t =`.
    pub spaced: bool,
    /// Whether only a text counts of JSON, and no number that is written the same.
    pub text_only: bool,
    /// How many parts in front do not count.
    pub skip: usize,
    /// How many count at most.
    pub take: usize,
    /// Whether all must match, not one of them.
    pub all: bool,
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub enum From {
    /// In any of these headers; each at most once.
    Headers(Vec<HeaderName>),
    /// In any header that starts so.
    Stem(String),
    /// In the header that the setting names.
    HeaderParameter(String),
    /// In a JSON body.
    Json(String),
    /// In a form.
    Form(String),
    /// In the query.
    Query(String),
    /// It is the whole body, blanks and line ends around it left out.
    Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a word of a row")]
struct RawSource {
    header: Option<Name>,
    headers: Option<Vec<Name>>,
    header_stem: Option<String>,
    header_parameter: Option<String>,
    json: Option<String>,
    form: Option<String>,
    query: Option<String>,
    body: Option<bool>,
    split: Option<char>,
    #[serde(default)]
    prefix: String,
    prefix_parameter: Option<String>,
    prefix_end: Option<String>,
    #[serde(default)]
    any_case: bool,
    #[serde(default)]
    prefix_optional: bool,
    #[serde(default)]
    spaced: bool,
    #[serde(default)]
    text_only: bool,
    #[serde(default)]
    skip: usize,
    take: Option<usize>,
    #[serde(default)]
    all: bool,
}

impl TryFrom<RawSource> for Source {
    type Error = &'static str;

    fn try_from(raw: RawSource) -> Result<Self, Self::Error> {
        let mut places = [
            raw.header.map(|name| From::Headers(vec![name.0])),
            raw.headers.map(|names| From::Headers(names.into_iter().map(|name| name.0).collect())),
            raw.header_stem.map(|stem| From::Stem(stem.to_ascii_lowercase())),
            raw.header_parameter.map(From::HeaderParameter),
            raw.json.map(From::Json),
            raw.form.map(From::Form),
            raw.query.map(From::Query),
            raw.body.filter(|is_it| *is_it).map(|_| From::Body),
        ]
        .into_iter()
        .flatten();
        let (Some(from), None) = (places.next(), places.next()) else {
            return Err("a value stands in exactly one of header, headers, header-stem, \
                        header-parameter, json, form, query, body");
        };
        Ok(Self {
            from,
            split: raw.split,
            prefix: raw.prefix_end.unwrap_or(raw.prefix),
            prefix_parameter: raw.prefix_parameter,
            any_case: raw.any_case,
            prefix_optional: raw.prefix_optional,
            spaced: raw.spaced,
            text_only: raw.text_only,
            skip: raw.skip,
            take: raw.take.unwrap_or(usize::MAX),
            all: raw.all,
        })
    }
}

impl Source {
    /// The settings that say where it stands, or how it begins.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        let header = match &self.from {
            From::HeaderParameter(name) => Some(name.as_str()),
            _ => None,
        };
        header.into_iter().chain(self.prefix_parameter.as_deref())
    }

    /// Where it stands, in words.
    pub fn place(&self, parameters: &Parameters) -> String {
        match &self.from {
            From::Headers(names) => {
                let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
                format!("header {}", names.join(" or "))
            }
            From::Stem(stem) => format!("header {stem}*"),
            From::HeaderParameter(name) => {
                let named = parameters.get(name).map_or("?", String::as_str);
                format!("header {}", named.to_ascii_lowercase())
            }
            From::Json(pointer) => format!("body field {pointer}"),
            From::Form(name) => format!("form field {name}"),
            From::Query(name) => format!("query field {name}"),
            From::Body => "the body".to_owned(),
        }
    }

    /// All parts that count.
    ///
    /// # Errors
    /// What is missing, doubled or misshapen.
    pub fn read<'a>(
        &self,
        request: &Request<'a>,
        parameters: &Parameters,
    ) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        let place = || self.place(parameters);
        let values = self.values(request, parameters)?;
        if values.is_empty() || values.iter().all(|value| value.is_empty()) {
            return Err(Fault::Missing(place()));
        }
        let mut parts = Vec::with_capacity(values.len());
        for value in &values {
            self.cut(value.clone(), parameters, &mut parts)?;
        }
        if parts.is_empty() {
            return Err(Fault::Shape { place: place(), prefix: self.prefix.clone() });
        }
        Ok(parts)
    }

    /// The one value there is; several equal ones are one.
    ///
    /// # Errors
    /// As [`Source::read`], and when they differ.
    pub fn read_one<'a>(
        &self,
        request: &Request<'a>,
        parameters: &Parameters,
    ) -> Result<Cow<'a, [u8]>, Fault> {
        let mut parts = self.read(request, parameters)?.into_iter();
        let first = parts.next().unwrap_or_default();
        if parts.any(|part| part != first) {
            return Err(Fault::Repeated(self.place(parameters)));
        }
        Ok(first)
    }

    fn values<'a>(
        &self,
        request: &Request<'a>,
        parameters: &Parameters,
    ) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        match &self.from {
            From::Headers(names) => {
                let mut values = Vec::with_capacity(names.len());
                for name in names {
                    values.extend(header(request.headers, name)?.map(Cow::Borrowed));
                }
                Ok(values)
            }
            From::Stem(stem) => {
                let headers = request.headers.iter();
                let named = headers.filter(|(name, _)| name.as_str().starts_with(stem.as_str()));
                Ok(named.take(PARTS_MAX).map(|(_, value)| trim(value.as_bytes()).into()).collect())
            }
            From::HeaderParameter(name) => {
                let named = parameters.get(name).and_then(|name| HeaderName::try_from(name).ok());
                let name = named.ok_or_else(|| Fault::Parameter(name.clone()))?;
                Ok(header(request.headers, &name)?.into_iter().map(Cow::Borrowed).collect())
            }
            From::Json(pointer) if self.text_only => request.json_texts(pointer),
            From::Json(pointer) => request.json(pointer),
            From::Form(name) => Ok(request.form(name)?.into_iter().collect()),
            From::Query(name) => {
                Ok(request.query_field(name).into_iter().map(Cow::Owned).collect())
            }
            From::Body => Ok(vec![Cow::Borrowed(request.body.trim_ascii())]),
        }
    }

    /// The parts of one value that count, their prefix cut.
    fn cut<'a>(
        &self,
        value: Cow<'a, [u8]>,
        parameters: &Parameters,
        parts: &mut Vec<Cow<'a, [u8]>>,
    ) -> Result<(), Fault> {
        let prefix = self.whole_prefix(parameters)?;
        let mut take = |part: Cow<'a, [u8]>| {
            let Some(start) = self.after(&part, &prefix) else { return Ok(()) };
            if parts.len() == PARTS_MAX {
                return Err(Fault::TooMany { max: PARTS_MAX });
            }
            parts.push(match part {
                Cow::Borrowed(part) => Cow::Borrowed(trim(&part[start..])),
                Cow::Owned(part) => Cow::Owned(trim(&part[start..]).to_vec()),
            });
            Ok(())
        };
        let Some(split) = self.split else { return take(value) };
        let is_split = |byte: &u8| char::from(*byte) == split;
        match value {
            Cow::Borrowed(value) => {
                let cut = value.split(is_split).skip(self.skip).take(self.take);
                cut.map(trim).try_for_each(|part| take(Cow::Borrowed(part)))
            }
            Cow::Owned(value) => {
                let cut = value.split(is_split).skip(self.skip).take(self.take);
                cut.map(trim).try_for_each(|part| take(Cow::Owned(part.to_vec())))
            }
        }
    }

    /// The prefix, the setting's value in front of it.
    pub(super) fn whole_prefix(&self, parameters: &Parameters) -> Result<Cow<'_, str>, Fault> {
        let Some(name) = &self.prefix_parameter else { return Ok(Cow::Borrowed(&self.prefix)) };
        let named = parameters.get(name).ok_or_else(|| Fault::Parameter(name.clone()))?;
        Ok(Cow::Owned(format!("{named}{}", self.prefix)))
    }

    /// Whether anything stands in a JSON body where it would, a null or an object, too.
    pub(super) fn is_there(&self, request: &Request<'_>) -> bool {
        let From::Json(pointer) = &self.from else { return false };
        let Ok(document) = request.document() else { return false };
        let mut steps = pointer.split('/').skip(1);
        steps.try_fold(document.root(), Value::get).is_some()
    }

    /// Where a part begins behind its prefix.
    fn after(&self, part: &[u8], prefix: &str) -> Option<usize> {
        if self.spaced {
            let (name, end) = prefix.split_at(prefix.len().saturating_sub(1));
            let rest = part.strip_prefix(name.as_bytes())?;
            let blanks = rest.len() - rest.trim_ascii_start().len();
            let is_end = rest[blanks..].starts_with(end.as_bytes());
            return is_end.then_some(prefix.len() + blanks);
        }
        let head = part.get(..prefix.len());
        let same = head.is_some_and(|head| {
            let folded = self.any_case && head.eq_ignore_ascii_case(prefix.as_bytes());
            folded || head == prefix.as_bytes()
        });
        if same { Some(prefix.len()) } else { self.prefix_optional.then_some(0) }
    }
}

/// A header that is there at most once, without the spaces around it.
///
/// # Errors
/// [`Fault::Repeated`]: two lines, which nobody may join.
pub(super) fn header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::Repeated(format!("header {name}")));
    }
    let value = value.as_bytes();
    Ok((value.len() <= HEADER_MAX_BYTES).then(|| trim(value)))
}

/// Without the spaces and tabs around it.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}
