//! Questions for events (contract 5.4): pages, the pages behind them, counts. In: a filter of the caller's place, or a
//! token that an earlier page gave. Out: events as readers see them, and an absolute address of the next page. Never
//! an event of a workspace that the caller may not see.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::problem::Problem;
use super::super::{Api, text};
use super::place::Place;
use super::token::Token;
use crate::accept::Reply;
use crate::catalogue::Fault;
use crate::clock::Time;
use crate::feed::{Countable, FeedError, Group, Page, Question};
use crate::filter::{self, Filter};
use crate::id::Uuid;
use crate::request::{Arrival, Content};

/// Events of a page when nobody says how many.
const LIMIT: u64 = 50;
/// Smallest interval of a time line, in units.
const INTERVAL_MIN: f64 = 0.01;

impl From<FeedError> for Problem {
    fn from(fault: FeedError) -> Self {
        match fault {
            FeedError::Busy => Self::Unavailable { retry_after_seconds: 1 },
            FeedError::Behind { frames } => Self::Behind { frames },
            FeedError::Slow { seconds } => Self::Refused(format!(
                "Counting takes longer than {seconds} seconds: ask for a shorter time"
            )),
            FeedError::Buckets => Self::Refused(format!(
                "The given interval would create more than {} buckets: increase the interval or \
                 reduce the time range",
                crate::feed::BUCKETS_MAX
            )),
            other => Self::Feed(other.to_string()),
        }
    }
}

impl Api {
    /// The first page of a filter.
    pub(super) async fn first_page(
        &self,
        place: Sight,
        arrival: &Arrival,
        content: &Content,
    ) -> Result<Reply, Problem> {
        let body = Body::read(content, &["filter", "limit"])?;
        let given = body.get("filter").cloned().unwrap_or(Value::Null);
        let now = self.clock.now();
        let filter = read_filter(&given, now)?;
        let limit = body.count("limit", filter::LIMIT_MAX)?.or(filter.limit).unwrap_or(LIMIT);
        let (since, until) = (filter.since, filter.until.unwrap_or(now));
        let token = Token { place, filter: given, since, until, limit, total: 0, after: 0 };
        self.show_page(token, None, arrival).await
    }

    /// The page that a token stands for.
    pub(super) async fn next_page(
        &self,
        place: Sight,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let query = arrival.target.query().unwrap_or_default();
        let Some(text) = text::find(query, "page-token") else {
            let at = ["query", "page-token"];
            return Err(Problem::Invalid(vec![Fault::new("missing", &at, "Field required")]));
        };
        let token = Token::open(&text, self.events.feed.seal()).ok_or(Problem::Forbidden)?;
        if token.place != place {
            return Err(Problem::Forbidden);
        }
        let reached = Some((token.after, token.total));
        self.show_page(token, reached, arrival).await
    }

    async fn show_page(
        &self,
        token: Token,
        reached: Option<(i64, u64)>,
        arrival: &Arrival,
    ) -> Result<Reply, Problem> {
        let mut filter = read_filter(&token.filter, token.until)?;
        (filter.since, filter.until) = (token.since, Some(token.until));
        let question = Question {
            account: token.place.account,
            workspace: token.place.workspace,
            filter,
            limit: usize::try_from(token.limit).unwrap_or(usize::MAX),
            after: reached.map(|(after, _)| after),
            total: reached.map(|(_, total)| total),
        };
        let page = self.events.feed.page(question).await?;
        let next = match page.after {
            Some(after) => {
                let token = Token { after, total: page.total, ..token };
                let sealed = token.seal(self.events.feed.seal()).ok_or_else(|| {
                    let at = ["body", "filter"];
                    let says = "Value error, too large to go on with another page";
                    Problem::Invalid(vec![Fault::new("value_error", &at, says)])
                })?;
                Value::from(self.address(arrival, &sealed))
            }
            None => Value::Null,
        };
        Ok(Reply::json(StatusCode::OK, written(&page, &next)))
    }

    /// Events counted by something.
    pub(super) async fn count_events(
        &self,
        place: Sight,
        arrival: &Arrival,
        content: &Content,
    ) -> Result<Reply, Problem> {
        let body = Body::read(content, &["filter", "time_unit", "time_interval"])?;
        let now = self.clock.now();
        let mut filter = read_filter(body.get("filter").unwrap_or(&Value::Null), now)?;
        filter.until = Some(filter.until.unwrap_or(now).min(now.max(filter.since)));
        let by = countable(arrival.path(), &body)?;
        let Sight { account, workspace } = place;
        let (limit, after, total) = (0, None, None);
        let question = Question { account, workspace, filter, limit, after, total };
        let groups = self.events.feed.count(question, by).await?;
        let told = |group: &Group| {
            json!({
                "value": group.value, "label": group.label, "count": group.count,
                "start_time": group.start.to_string(), "end_time": group.end.to_string(),
            })
        };
        let told: Vec<Value> = groups.iter().map(told).collect();
        Ok(Reply::json(StatusCode::OK, Value::from(told).to_string()))
    }

    /// The address of the next page, as the caller reaches this gateway.
    fn address(&self, arrival: &Arrival, token: &str) -> String {
        let public = self.options.events.public_url.as_deref().map(str::to_owned);
        let public = public.unwrap_or_else(|| {
            let scheme = if arrival.secure { "https" } else { "http" };
            let authority = arrival.target.authority().map(http::uri::Authority::as_str);
            let host = arrival.header("host").or(authority).unwrap_or("localhost");
            format!("{scheme}://{host}")
        });
        let public = public.trim_end_matches('/');
        let path = arrival.path().trim_end_matches('/');
        let path = path.strip_suffix("/next").unwrap_or(path);
        format!("{public}{path}/next?page-token={token}")
    }
}

/// Whose events a caller sees: of one workspace, of the account itself (the nil id), or all of the account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) account: Uuid,
    pub(super) workspace: Option<Uuid>,
}

impl Sight {
    /// What somebody sees at a place who may, or may not, look into all workspaces of the account.
    pub(super) fn new(place: Place, sees_all: bool) -> Self {
        let own = (!sees_all).then(Uuid::nil);
        Self { account: place.account, workspace: place.workspace.or(own) }
    }
}

/// An object that a client sent.
struct Body(Map<String, Value>);

impl Body {
    fn read(content: &Content, names: &[&str]) -> Result<Self, Problem> {
        let members = match text::read(content)? {
            Some(Value::Object(members)) => members,
            Some(Value::Null) | None => Map::new(),
            Some(_) => {
                let says = "Input should be a valid dictionary or object to extract fields from";
                let fault = Fault::new("model_attributes_type", &["body"], says);
                return Err(Problem::Invalid(vec![fault]));
            }
        };
        let extra = members.keys().filter(|name| !names.contains(&name.as_str()));
        let says = "Extra inputs are not permitted";
        let faults: Vec<_> =
            extra.map(|name| Fault::new("extra_forbidden", &["body", name], says)).collect();
        if faults.is_empty() { Ok(Self(members)) } else { Err(Problem::Invalid(faults)) }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn count(&self, name: &str, most: u64) -> Result<Option<u64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let (rule, says) = match value.as_u64() {
            Some(count) if count <= most => return Ok(Some(count)),
            Some(_) => ("less_than_equal", format!("Input should be less than or equal to {most}")),
            None if value.is_i64() => {
                ("greater_than_equal", "Input should be greater than or equal to 0".to_owned())
            }
            None => ("int_type", "Input should be a valid integer".to_owned()),
        };
        Err(Problem::Invalid(vec![Fault::new(rule, &["body", name], says)]))
    }
}

/// A filter, its faults placed in the body.
fn read_filter(value: &Value, now: Time) -> Result<Filter, Problem> {
    Filter::read(value, now).map_err(|faults| {
        let placed = |fault: filter::Fault| {
            let front = ["body".to_owned(), "filter".to_owned()];
            let at = front.into_iter().chain(fault.at).collect();
            Fault { rule: fault.rule, at, says: fault.says }
        };
        Problem::Invalid(faults.into_iter().map(placed).collect())
    })
}

/// What the last part of the path counts by.
fn countable(path: &str, body: &Body) -> Result<Countable, Problem> {
    let unit = match body.get("time_unit") {
        None => "day",
        Some(unit) => unit.as_str().unwrap_or_default(),
    };
    let micros = match unit {
        "week" => 604_800e6,
        "day" => 86_400e6,
        "hour" => 3_600e6,
        "minute" => 60e6,
        "second" => 1e6,
        _ => {
            let says = "Input should be one of: week, day, hour, minute, second";
            let fault = Fault::new("enum", &["body", "time_unit"], says);
            return Err(Problem::Invalid(vec![fault]));
        }
    };
    let interval = match body.get("time_interval") {
        None => 1.0,
        Some(interval) => interval.as_f64().ok_or_else(|| {
            let says = "Input should be a valid number";
            Problem::Invalid(vec![Fault::new("float_type", &["body", "time_interval"], says)])
        })?,
    };
    match path.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
        "day" => Ok(Countable::Time { micros: 86_400_000_000 }),
        "time" if interval < INTERVAL_MIN => {
            Err(Problem::Refused(format!("The minimum interval is {INTERVAL_MIN}")))
        }
        "time" => Ok(Countable::Time { micros: (micros * interval).round() as i64 }),
        "event" => Ok(Countable::Name),
        "resource" => Ok(Countable::Resource),
        "workspace" => Ok(Countable::Workspace),
        "actor" => Ok(Countable::Actor),
        _ => {
            let says = "Input should be one of: day, time, event, resource, workspace, actor";
            Err(Problem::Invalid(vec![Fault::new("enum", &["path", "countable"], says)]))
        }
    }
}

/// A page as JSON: its events are copied, not read again.
fn written(page: &Page, next: &Value) -> Vec<u8> {
    let bytes: usize = page.events.iter().map(|event| event.len() + 1).sum();
    let mut out = Vec::with_capacity(bytes + 256);
    out.extend_from_slice(b"{\"events\":[");
    for (place, event) in page.events.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(format!("],\"total\":{},\"next_page\":{next}}}", page.total).as_bytes());
    out
}
