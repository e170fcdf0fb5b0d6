//! One question to one address. In: an address that may be asked. Out: the answer's bytes, or why there are none. https
//! alone, no redirect, nothing decompressed; a bound on size and on the time of it all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION,
    USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::egress::Egress;
use super::{FetchFault, trust};
use crate::verify::signature::Ask;

/// Most bytes of an answer.
pub(super) const ANSWER_MAX_BYTES: usize = 64 << 10;
/// Most bytes of an answer's head.
const HEAD_MAX_BYTES: usize = 16 << 10;
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("hookgate/", env!("CARGO_PKG_VERSION")));

/// Asks.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) egress: Egress,
    pub(super) authorities: Option<PathBuf>,
    pub(super) deadline: Duration,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) bytes: Vec<u8>,
    /// For how many seconds it may be kept, if its server says that.
    pub(super) age_seconds: Option<i64>,
}

/// A task that ends with what waits for it.
struct Bound(JoinHandle<()>);

impl Drop for Bound {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// What stands at an address, or is told there to whoever asks so.
    pub(super) async fn bring(
        &self,
        address: &str,
        said: Option<&Ask>,
    ) -> Result<Brought, FetchFault> {
        let asked = timeout(self.deadline, self.ask(address, said)).await;
        asked.unwrap_or(Err(FetchFault::Late { seconds: self.deadline.as_secs_f32() }))
    }

    async fn ask(&self, address: &str, said: Option<&Ask>) -> Result<Brought, FetchFault> {
        let place = Place::read(address)?;
        let authorities = self.authorities.clone();
        let tls = tokio::task::spawn_blocking(move || trust::client(authorities.as_ref()));
        let tls = tls.await.map_err(|_| FetchFault::Stopping)??;
        let stream = self.connect(&place, tls).await?;
        let unanswered = |fault: hyper::Error| FetchFault::Unanswered(fault.to_string());
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(unanswered)?;
        let _driven = Bound(tokio::spawn(async move {
            // What is wrong with it is told to whoever waits for the answer.
            let _ = connection.await;
        }));
        let mut request = Request::new(Full::<Bytes>::default());
        if let Some(said) = said {
            *request.method_mut() = Method::POST;
            *request.body_mut() = Bytes::from(said.body.expose().to_owned()).into();
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        *request.uri_mut() = place.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, place.authority.clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let response = sender.send_request(request).await.map_err(unanswered)?;
        let (parts, body) = response.into_parts();
        judge(parts.status, &parts.headers)?;
        let age_seconds = age(&parts.headers);
        Ok(Brought { bytes: read(body).await?, age_seconds })
    }

    async fn connect(
        &self,
        place: &Place,
        tls: rustls::ClientConfig,
    ) -> Result<TlsStream<TcpStream>, FetchFault> {
        let tcp = self.egress.connect(&place.host, place.port).await?;
        let bare = place.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|_| FetchFault::Address)?;
        let connected = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await;
        connected.map_err(|fault| FetchFault::Tls(fault.to_string()))
    }
}

/// Where to ask, and for what.
struct Place {
    host: String,
    port: u16,
    target: Uri,
    authority: HeaderValue,
}

impl Place {
    fn read(address: &str) -> Result<Self, FetchFault> {
        let uri: Uri = address.parse().map_err(|_| FetchFault::Address)?;
        let authority = uri.authority().ok_or(FetchFault::Address)?;
        if uri.scheme_str() != Some("https") || authority.as_str().contains('@') {
            return Err(FetchFault::Address);
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", uri.path());
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(443),
            target: target.parse().map_err(|_| FetchFault::Address)?,
            authority: HeaderValue::try_from(authority.as_str())
                .map_err(|_| FetchFault::Address)?,
        })
    }
}

/// Whether an answer is one.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), FetchFault> {
    if status != StatusCode::OK {
        let leads = status.is_redirection() && headers.contains_key(LOCATION);
        let says = if leads { ", which is not followed" } else { "" };
        return Err(FetchFault::Status { status: status.as_u16(), says });
    }
    let is_packed = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if is_packed {
        return Err(FetchFault::Unanswered("it is compressed, unasked".to_owned()));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > ANSWER_MAX_BYTES as u64) {
        return Err(FetchFault::Long { max: ANSWER_MAX_BYTES });
    }
    Ok(())
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, FetchFault> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| FetchFault::Unanswered(fault.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > ANSWER_MAX_BYTES {
                return Err(FetchFault::Long { max: ANSWER_MAX_BYTES });
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// What `Cache-Control` says.
fn age(headers: &HeaderMap) -> Option<i64> {
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut found = None;
    for part in said.flat_map(|value| value.split(',')).map(str::trim) {
        if part.eq_ignore_ascii_case("no-store") || part.eq_ignore_ascii_case("no-cache") {
            return Some(0);
        }
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("max-age") {
            found = value.trim().trim_matches('"').parse().ok();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_over_https_of_a_host_is_an_address() {
        for good in ["https://a.example/x?y", "https://a.example:8443/", "https://[2001:db8::1]/k"]
        {
            assert!(Place::read(good).is_ok(), "{good}");
        }
        for bad in
            ["http://a.example/", "https://u@a.example/", "/x", "a.example:443", "", "ftp://a/"]
        {
            assert!(Place::read(bad).is_err(), "{bad}");
        }
        let place = Place::read("https://a.example?x=1").expect("an address");
        assert_eq!((place.port, place.target.to_string()), (443, "/?x=1".to_owned()));
    }

    #[test]
    fn how_long_an_answer_is_kept_is_what_it_says() {
        let said = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            age(&headers)
        };
        for (value, seconds) in [
            ("public, max-age=21000, must-revalidate", Some(21000)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=60, no-store", Some(0)),
            ("max-age=many", None),
            ("public", None),
        ] {
            assert_eq!(said(value), seconds, "{value}");
        }
        assert_eq!(age(&HeaderMap::new()), None);
    }
}
