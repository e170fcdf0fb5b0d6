//! The request that a template is rendered with. In: flags and files. Out: what a template sees of a request, and when
//! it came. Never a header that a template could not see on a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::super::case::{self, Request, read_text};
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
    #[arg(long = "form", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// A header; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<Method>,
}

impl Given {
    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        let mut request = match &self.request {
            Some(path) if path.as_os_str() == "-" => {
                let text = String::from_utf8_lossy(&standard_input()?).into_owned();
                case::parse("standard input", &text)
            }
            Some(path) => case::read(path),
            None => case::parse("flags", "{}"),
        }
        .map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
        if let Some(path) = &self.body {
            request.body = body(path)?;
        }
        if let Some(json) = &self.json {
            request.body = Bytes::from(json.clone());
            default(&mut request.headers, "application/json");
        }
        if !self.fields.is_empty() {
            request.body = Bytes::from(form(&self.fields)?);
            default(&mut request.headers, "application/x-www-form-urlencoded");
        }
        for line in &self.headers {
            let (name, value) = header(line)?;
            request.headers.insert(name, value);
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

    /// The files that a change of the request would show in.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.request, &self.body].into_iter().flatten();
        files.map(PathBuf::as_path).filter(|path| path.as_os_str() != "-")
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

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(BODY_MAX_BYTES * 4).read_to_end(&mut bytes);
    read.map_err(|fault| Failure::NotLoaded(format!("standard input: {fault}")))?;
    Ok(bytes)
}

fn body(path: &Path) -> Result<Bytes, Failure> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        bytes = standard_input()?;
    } else {
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(BODY_MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|fault| Failure::NotLoaded(format!("{}: {fault}", path.display())))?;
    }
    if bytes.len() as u64 > BODY_MAX_BYTES {
        let what = format!("{}: a body has at most {BODY_MAX_BYTES} bytes", path.display());
        return Err(Failure::NotLoaded(what));
    }
    Ok(bytes.into())
}

/// Fields as a form's text.
fn form(fields: &[String]) -> Result<String, Failure> {
    let escaped = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let mut pairs = Vec::with_capacity(fields.len());
    for field in fields {
        let (name, value) = field.split_once('=').ok_or_else(|| {
            Failure::NotLoaded(format!("--form {field}: a field is written as NAME=VALUE"))
        })?;
        pairs.push(format!("{}={}", escaped(name), escaped(value)));
    }
    Ok(pairs.join("&"))
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let fault = || Failure::NotLoaded(format!("-H '{line}': a header is written as NAME:VALUE"));
    let (name, value) = line.split_once(':').ok_or_else(fault)?;
    let name = name.trim().parse().map_err(|_| fault())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| fault())?;
    Ok((name, value))
}

/// A template's source, and its name in messages.
pub(super) fn source(path: &Path) -> Result<(String, String), Failure> {
    if path.as_os_str() == "-" {
        let bytes = standard_input()?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::NotLoaded("standard input: a template is UTF-8".to_owned()))?;
        return Ok(("<stdin>".to_owned(), text));
    }
    let text = read_text(path).map_err(|fault| Failure::NotLoaded(fault.to_string()))?;
    Ok((path.display().to_string(), text))
}
