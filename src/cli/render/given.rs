//! The request that a template is rendered with. In: flags and files. Out: what a template sees of a request, and when
//! it came. Never a header that a template could not see on a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::case::{self, CaseError, Holds, Request};
use super::super::output::{Failure, say};
use super::super::stage;
use crate::json::Document;
use crate::parse::sample::place;
use crate::request::{Body, SECRET_HEADERS};

/// Largest body that is read, as the gateway's own bound.
const BODY_MAX_BYTES: u64 = 5 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// The request as a file, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "json", "fields"])]
    pub(super) request: Option<PathBuf>,
    /// The body as a file, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "fields"])]
    pub(super) body: Option<PathBuf>,
    /// The body as JSON
    #[arg(long, value_name = "JSON", value_parser = json_text, conflicts_with = "fields")]
    json: Option<String>,
    /// A field of a form as the body; may be given again
    #[arg(long = "form", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<String>,
    /// A header; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
}

impl Given {
    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        let mut request = match &self.request {
            Some(path) if path.as_os_str() == "-" => case::read_input(Holds::Request)
                .and_then(|text| case::parse("standard input", &text)),
            Some(path) => case::read(path),
            None => case::parse("flags", "{}"),
        }
        .map_err(not_loaded)?;
        if let Some(path) = &self.body {
            request.body = body(path)?;
        }
        if let Some(json) = &self.json {
            request.body = Bytes::from(json.clone());
            default(&mut request.headers, "application/json");
        }
        if !self.fields.is_empty() {
            request.body = Bytes::from(self.fields.join("&"));
            default(&mut request.headers, "application/x-www-form-urlencoded");
        }
        for (name, value) in &self.headers {
            request.headers.insert(name.clone(), value.clone());
        }
        for secret in SECRET_HEADERS {
            request.headers.remove(secret);
        }
        if let Some(method) = &self.method {
            request.method = method.clone();
        }
        if let Some(fault) = self.misread(&request) {
            say(&format!("body: no JSON ({fault}): the template sees it as text"));
        }
        Ok(request)
    }

    /// Why a body that is called JSON is text all the same.
    fn misread(&self, request: &Request) -> Option<String> {
        let named = self.body.as_ref().and_then(|path| path.extension()) == Some("json".as_ref());
        let is_text = matches!(request.body(stage::body_limits()), Ok(Body::Text(_)));
        if !is_text || !(named || is_called_json(&request.headers)) {
            return None;
        }
        json_text(&String::from_utf8_lossy(&request.body)).err()
    }

    /// Whether the request or its body comes through standard input.
    pub(super) fn is_piped(&self) -> bool {
        [&self.request, &self.body].into_iter().flatten().any(|path| path.as_os_str() == "-")
    }

    /// The files that a change of the request would show in.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.request, &self.body].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// A text that is JSON; or the line and column where it is none.
fn json_text(text: &str) -> Result<String, String> {
    let document = Document::parse(Bytes::copy_from_slice(text.as_bytes()), stage::body_limits());
    document.map(|_| text.to_owned()).map_err(|fault| {
        let (line, column) = place(text, fault.at);
        format!("{line}:{column}: {}", fault.what)
    })
}

/// Whether the headers say that the body is JSON.
fn is_called_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn default(headers: &mut HeaderMap, media_type: &'static str) {
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn not_loaded(fault: CaseError) -> Failure {
    Failure::NotLoaded(fault.to_string())
}

fn body(path: &Path) -> Result<Bytes, Failure> {
    let (mut bytes, most) = (Vec::new(), BODY_MAX_BYTES + 1);
    let is_piped = path.as_os_str() == "-";
    let name = if is_piped { "standard input".into() } else { path.to_string_lossy() };
    let read = if is_piped {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|fault| Failure::NotLoaded(format!("{name}: {fault}")))?;
    if bytes.len() as u64 > BODY_MAX_BYTES {
        let what = format!("{name}: a body has at most {BODY_MAX_BYTES} bytes");
        return Err(Failure::NotLoaded(what));
    }
    Ok(bytes.into())
}

/// A field as a form has it.
fn field(text: &str) -> Result<String, &'static str> {
    let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (name, value) = text.split_once('=').ok_or("a field is written as NAME=VALUE")?;
    Ok(format!("{}={}", escaped(name), escaped(value)))
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = line.split_once(':').ok_or("a header is written as NAME:VALUE")?;
    let name = name.trim().parse().map_err(|_| "no header is named so")?;
    let value = HeaderValue::from_str(value.trim());
    Ok((name, value.map_err(|_| "a header's value has no control characters")?))
}

/// A template's source, and its name in messages.
pub(super) fn source(path: &Path) -> Result<(String, String), Failure> {
    if path.as_os_str() == "-" {
        let text = case::read_input(Holds::Template).map_err(not_loaded)?;
        return Ok(("<stdin>".to_owned(), text));
    }
    let text = case::read_text(path, Holds::Template).map_err(not_loaded)?;
    Ok((path.display().to_string(), text))
}
