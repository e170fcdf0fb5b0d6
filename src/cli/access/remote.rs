//! A gateway's management API, as one key sees it. In: a method, a path, a body. Out: what it answered, or why not as
//! one of the documented endings. Waits where it is told to; never shows a key.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::client::{Answer, Client};
use crate::cli::output::{Failure, say};
use crate::cli::socket::Socket;
use crate::id::{Secret, Uuid};

/// Rows of one page of a list.
const PAGE: usize = 100;
/// Most pages of one list.
const PAGES_MAX: usize = 100;
/// Most times a call is made again because the gateway asked for patience.
const WAITS_MAX: usize = 5;
/// Longest such wait; whoever wants a longer one is told and leaves.
const WAIT_MAX_SECONDS: u64 = 120;

/// A gateway and a key.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Remote {
    client: Client,
    /// Where the gateway is, without `/api`.
    pub(in crate::cli) base: String,
    headers: HeaderMap,
    key: Secret,
    /// The path of the account or workspace that is meant.
    pub(in crate::cli) place: String,
}

impl Remote {
    pub(in crate::cli) fn new(base: &str, key: &Secret) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()));
        let mut bearer = bearer.map_err(|_| {
            Failure::Denied("the key is none: it has control characters".to_owned())
        })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = Client::fit(base)?;
        let (base, key, place) = (base.to_owned(), key.clone(), String::new());
        Ok(Self { client, base, headers, key, place })
    }

    pub(super) fn below(self, place: String) -> Self {
        Self { place, ..self }
    }

    /// The same for the whole account of a workspace.
    pub(in crate::cli) fn account(&self) -> Self {
        let place = self.place.split("/workspaces/").next().unwrap_or_default().to_owned();
        self.clone().below(place)
    }

    /// Calls a path below the account or workspace that is meant.
    pub(in crate::cli) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.ask(method, &format!("{}/{path}", self.place), body).await
    }

    /// Calls any path.
    pub(in crate::cli) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.exchange(method, &format!("{}{path}", self.base), body).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Calls an address of this gateway; the answer's text as it came.
    pub(in crate::cli) async fn exchange(
        &self,
        method: Method,
        address: &str,
        body: String,
    ) -> Result<Bytes, Failure> {
        let body = Bytes::from(body);
        for waits in 0.. {
            let headers = self.headers.clone();
            let answer = self.client.send(method.clone(), address, headers, body.clone()).await?;
            match patience(&answer) {
                Some(seconds) if waits < WAITS_MAX && seconds <= WAIT_MAX_SECONDS => {
                    say(&format!("{}: asked to wait {seconds} s", self.base));
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                _ => {
                    return settle(answer).map_err(|failure| match failure {
                        Failure::Denied(_) => failure.about(&self.base),
                        Failure::NotFound(_) => {
                            failure.about(address.split('?').next().unwrap_or(address))
                        }
                        other => other,
                    });
                }
            }
        }
        Err(Failure::Late(format!("{}: no end of waiting", self.base)))
    }

    /// The record of a name or id. Names may be doubled; then only the id says which.
    pub(in crate::cli) async fn find(
        &self,
        what: &str,
        path: &str,
        wanted: &str,
    ) -> Result<Value, Failure> {
        if Uuid::try_parse(wanted).is_ok() {
            return self.call(Method::GET, &format!("{path}/{wanted}"), None).await;
        }
        let mut found = self.rows(&format!("{path}/filter"), &json!({})).await?;
        found.retain(|row| row["name"] == wanted);
        only(what, wanted, found)
    }

    /// The account's service account of a name or id.
    pub(in crate::cli) async fn caller(&self, wanted: &str) -> Result<Value, Failure> {
        self.account().find("service account", "bots", wanted).await
    }

    /// A websocket to a path below the account or workspace that is meant.
    pub(in crate::cli) async fn socket(
        &self,
        path: &str,
        protocol: &'static str,
    ) -> Result<Socket, Failure> {
        let address = format!("{}{}/{path}", self.base, self.place);
        match Socket::open(&self.client, &address, self.headers.clone(), protocol).await? {
            Ok(socket) => Ok(socket),
            Err(answer) => Err(settle(answer)
                .err()
                .unwrap_or_else(|| Failure::No(format!("{}: {path} is no websocket", self.base)))),
        }
    }

    /// The key, for a first frame.
    pub(in crate::cli) fn key(&self) -> &Secret {
        &self.key
    }

    /// Every row of a `…/filter`, page by page.
    pub(in crate::cli) async fn rows(
        &self,
        path: &str,
        criteria: &Value,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        for page in 0..PAGES_MAX {
            let mut body = criteria.clone();
            body["limit"] = json!(PAGE);
            body["offset"] = json!(page * PAGE);
            let Value::Array(rows) = self.call(Method::POST, path, Some(&body)).await? else {
                return Err(Failure::No(format!("{}: {path} gave no list", self.base)));
            };
            let is_last = rows.len() < PAGE;
            all.extend(rows);
            if is_last {
                return Ok(all);
            }
        }
        say(&format!("only the first {} are looked at", all.len()));
        Ok(all)
    }
}

/// The one row among those of a name; or why it is none, with what to say instead.
fn only(what: &str, wanted: &str, mut found: Vec<Value>) -> Result<Value, Failure> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::NotFound(format!("no {what} is called {wanted:?}"))),
        several => {
            let ids: Vec<_> = found.iter().filter_map(|row| row["id"].as_str()).collect();
            let ids = ids.join(", ");
            let says = format!("{several} {what}s are called {wanted:?}: say one of {ids}");
            Err(Failure::No(says))
        }
    }
}

/// The seconds a gateway wants to be left alone.
fn patience(answer: &Answer) -> Option<u64> {
    let header = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    let is_asked = answer.status == StatusCode::TOO_MANY_REQUESTS;
    header.trim().parse().ok().filter(|_| is_asked)
}

/// A success's text; what is none as the ending it means.
fn settle(answer: Answer) -> Result<Bytes, Failure> {
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let detail = detail(&told);
    let what = match answer.status.canonical_reason() {
        Some(reason) if reason == detail => answer.status.to_string(),
        _ => format!("{}: {detail}", answer.status),
    };
    Err(match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Denied(what),
        StatusCode::NOT_FOUND => Failure::NotFound(what),
        _ => Failure::No(what),
    })
}

/// What a reply says is wrong.
fn detail(told: &Value) -> String {
    match &told["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(faults) => {
            let words = std::env::args_os();
            let said: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            let fault = |fault: &Value| {
                let at = fault["loc"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let says = fault["msg"].as_str().unwrap_or_default();
                let says = says.strip_prefix("Value error, ").unwrap_or(says);
                format!("{}: {says}", place(&at.collect::<Vec<_>>(), &said))
            };
            faults.iter().map(fault).collect::<Vec<_>>().join("; ")
        }
        _ => "this is no API of hookgate".to_owned(),
    }
}

/// Where a fault is, for whoever typed a command: the option that said the field, else the field.
fn place(at: &[&str], said: &[String]) -> String {
    let whose = ["body", "query", "path"];
    let fields = if at.first().is_some_and(|first| whose.contains(first)) { &at[1..] } else { at };
    let options = said.iter().take_while(|word| *word != "--").filter_map(|word| {
        let name = word.strip_prefix("--")?;
        Some(name.split('=').next().unwrap_or(name))
    });
    // A field of many is said one by one, and what a file holds is said by its name.
    let says = |option: &str, field: &str| {
        let one = option.replace('-', "_");
        let one = one.strip_suffix("_file").unwrap_or(&one);
        one == field || field.strip_suffix('s') == Some(one)
    };
    let option = |field: &str| options.clone().find(|option| says(option, field));
    match (fields.last().and_then(|last| option(last)), fields) {
        (Some(option), _) => format!("--{option}"),
        (None, []) => "the request".to_owned(),
        (None, fields) => fields.join("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::cli::client::runtime;

    fn answer(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn only_too_many_requests_are_waited_for() {
        assert_eq!(patience(&answer(429, Some("3"), "")), Some(3));
        assert_eq!(patience(&answer(429, Some("Wed, 21 Oct 2026"), "")), None);
        assert_eq!(patience(&answer(429, None, "")), None);
        assert_eq!(patience(&answer(503, Some("3"), "")), None);
    }

    #[test]
    fn a_call_is_made_again_once_the_wait_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let answers = [
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 86400\r\n",
        ];
        let asked = std::thread::spawn(move || {
            answers.map(|head| {
                let (mut stream, _) = listener.accept().expect("a call");
                let mut asked = [0; 4096];
                let read = stream.read(&mut asked).expect("a request");
                let answer = format!("{head}connection: close\r\ncontent-length: 2\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).expect("an answer");
                String::from_utf8_lossy(&asked[..read]).into_owned()
            })
        });
        let remote = Remote::new(&base, &Secret::new("pnu_x")).expect("a remote");
        let call =
            || runtime().expect("threads").block_on(remote.ask(Method::GET, "/api/me", None));
        assert_eq!(call().expect("the second answer"), json!({}));
        let said = call().expect_err("too long to wait").to_string();
        assert!(said.starts_with("429 Too Many Requests"), "{said}");
        let asked = asked.join().expect("all calls came");
        assert!(asked[1].to_lowercase().contains("authorization: bearer pnu_x"), "{}", asked[1]);
    }

    #[test]
    fn each_status_has_its_ending() {
        let said = |status, body| match settle(answer(status, None, body)) {
            Ok(_) => "done".to_owned(),
            Err(Failure::Denied(what)) => format!("4 {what}"),
            Err(Failure::NotFound(what)) => format!("5 {what}"),
            Err(Failure::No(what)) => format!("1 {what}"),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(said(204, ""), "done");
        assert_eq!(said(403, r#"{"detail":"Not permitted"}"#), "4 403 Forbidden: Not permitted");
        assert_eq!(said(404, r#"{"detail":"Not Found"}"#), "5 404 Not Found");
        let faults = r#"{"detail":[{"loc":["body","name"],"msg":"Field required"}]}"#;
        assert_eq!(said(422, faults), "1 422 Unprocessable Entity: name: Field required");
        let faults = r#"{"detail":[{"loc":["body","rate"],"msg":"Value error, is no rate"}]}"#;
        assert_eq!(said(422, faults), "1 422 Unprocessable Entity: rate: is no rate");
        assert_eq!(said(502, "<html>"), "1 502 Bad Gateway: this is no API of hookgate");
    }

    #[test]
    fn a_fault_stands_at_the_option_that_was_typed() {
        let typed = "hookgate destination update shop --batch-events 0 --rate=x --header a:b --bearer-file f -- --to";
        let said: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        for (at, expected) in [
            (&["body", "batch_events"][..], "--batch-events"),
            (&["body", "rate"], "--rate"),
            (&["body", "headers"], "--header"),
            (&["body", "bearer"], "--bearer-file"),
            (&["body", "verification", "rate"], "--rate"),
            (&["body", "verification", "secrets"], "verification.secrets"),
            (&["body", "to"], "to"),
            (&["query", "where"], "where"),
            (&["body"], "the request"),
        ] {
            assert_eq!(place(at, &said), expected, "{at:?}");
        }
    }
}
