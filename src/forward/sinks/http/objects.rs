//! Objects in a bucket that speaks S3. In: a range of events. Out: taken once an object with all of them is there:
//! lines of JSON, compressed by Zstandard, written once under a name that tells its first and last event and what is in
//! it, so that the same events sent again find it there already. Never reads, lists or removes anything.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;

use super::reply::{self, Reply, judge};
use super::shape::message_id;
use super::sigv4::{Signer, hex_digest, moment};
use super::{AGENT, client};
use crate::clock::Clock;
use crate::fetch::Egress;
use crate::forward::load::{Form, Load};
use crate::forward::options::Options;
use crate::forward::sinks::wire::{Login, LoginPapers, shown};
use crate::forward::sinks::{Answer, Bounds, Fault};
use crate::forward::target::Bucket;
use crate::forward::{Destination, ForwardError};
use crate::telemetry::forward::Outcome;

/// What goes into one object.
const BOUNDS: Bounds =
    Bounds { frames: 10_000, frame_bytes: 8 << 20, events: 10_000, bytes: 8 << 20 };
/// How long events gather for the next object.
const GATHER: Duration = Duration::from_secs(10);
/// As well as takes little time.
const LEVEL: i32 = 3;
const REGION: &str = "us-east-1";
const ANY: &str = "*";
const MEDIA: HeaderValue = HeaderValue::from_static("application/zstd");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const MOMENT: HeaderName = HeaderName::from_static("x-amz-date");

/// The lane's side of a bucket.
#[derive(Debug)]
pub(in crate::forward) struct Objects {
    client: Client<HttpsConnector<Egress>, Full<Bytes>>,
    bucket: Bucket,
    options: Options,
    egress: Egress,
    login: LoginPapers,
    is_client_old: bool,
    clock: Arc<Clock>,
    deadline: Duration,
}

impl Objects {
    pub(in crate::forward::sinks) fn new(
        destination: &Destination,
        bucket: &Bucket,
        clock: &Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, ForwardError> {
        let (options, egress) = (destination.options.clone(), destination.egress.clone());
        Ok(Self {
            client: client(bucket.is_tls(), &options, egress.clone())?,
            bucket: bucket.clone(),
            options,
            egress,
            login: LoginPapers::of(destination)?,
            is_client_old: false,
            clock: Arc::clone(clock),
            deadline,
        })
    }

    pub(in crate::forward::sinks) fn bounds(&self) -> Bounds {
        self.options.bounds(BOUNDS)
    }

    /// How long events gather.
    pub(in crate::forward::sinks) fn gather(&self) -> Duration {
        self.options.gather_seconds.map_or(GATHER, |seconds| Duration::from_secs(seconds as u64))
    }

    pub(in crate::forward::sinks) fn reopen(&mut self) {
        self.is_client_old = true;
    }

    pub(in crate::forward::sinks) async fn send(
        &mut self,
        load: &Load,
        range: Range<usize>,
    ) -> Answer {
        let deadline = self.deadline;
        let put = tokio::time::timeout(deadline, self.put(load, range)).await;
        put.unwrap_or_else(|_| {
            let what = format!("no answer within {} s", deadline.as_secs_f32());
            Err(Fault::new(Outcome::Timeout, what))
        })
        .unwrap_or_else(Answer::Failed)
    }

    async fn put(&mut self, load: &Load, range: Range<usize>) -> Result<Answer, Fault> {
        let path = format!("{}/{}", self.bucket.path, name(load, range.clone()));
        let mut lines = Vec::new();
        for place in range {
            load.write(place, Form::Received, &mut lines);
            lines.push(b'\n');
        }
        // Takes milliseconds: elsewhere than where requests are served.
        let work = tokio::task::spawn_blocking(move || {
            let body = zstd::bulk::compress(&lines, LEVEL)?;
            Ok::<_, std::io::Error>((hex_digest(&body), Bytes::from(body)))
        });
        let done = work.await.map_err(|_| Fault::new(Outcome::Failed, "the gateway stops"))?;
        let (digest, body) =
            done.map_err(|fault| Fault::lasting(Outcome::Failed, fault.to_string()))?;
        self.renew().await?;
        let request = self.request(&path, body, &digest, &self.login.read().await?)?;
        let response = self.client.request(request).await.map_err(|fault| reply::fault(&fault))?;
        let reply = Reply::read(response, &self.clock).await;
        // It is there: the last attempt's answer was lost, or what the cursor had to say.
        if reply.status == StatusCode::PRECONDITION_FAILED {
            return Ok(Answer::Taken);
        }
        let (is_conflict, code) = (reply.status == StatusCode::CONFLICT, code(&reply.text));
        Ok(match judge(reply) {
            Answer::Failed(fault) => Answer::Failed(Fault {
                what: format!("{}{code}", fault.what),
                // Somebody else writes the same name just now.
                is_lasting: fault.is_lasting && !is_conflict,
                // It never looks into one.
                may_be_content: false,
                ..fault
            }),
            other => other,
        })
    }

    /// Reads what stands in files again, if somebody wants that.
    async fn renew(&mut self) -> Result<(), Fault> {
        if !std::mem::take(&mut self.is_client_old) {
            return Ok(());
        }
        let (is_tls, options) = (self.bucket.is_tls(), self.options.clone());
        let egress = self.egress.clone();
        let made = tokio::task::spawn_blocking(move || client(is_tls, &options, egress)).await;
        let made = made.map_err(|_| Fault::new(Outcome::Failed, "the gateway stops"))?;
        self.client = made.map_err(|fault| Fault::lasting(Outcome::Failed, fault.to_string()))?;
        Ok(())
    }

    fn request(
        &self,
        path: &str,
        body: Bytes,
        digest: &str,
        login: &Login,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let (Some(key), Some(secret)) = (&login.user, &login.secret) else {
            let what = "needs an access key and its secret: key:secret in basic_file";
            return Err(Fault::lasting(Outcome::Unauthorized, what));
        };
        let region = self.options.region.as_deref().unwrap_or(REGION);
        let signer = Signer { key, secret, region };
        let (moment, host) = (moment(self.clock.now()), self.bucket.authority.as_str());
        // In the order of their names.
        let headers = [
            (HOST, host),
            (IF_NONE_MATCH, ANY),
            (CONTENT_DIGEST, digest),
            (MOMENT, moment.as_str()),
        ];
        let by_name = headers.each_ref().map(|(name, value)| (name.as_str(), *value));
        let value = signer.authorize(("PUT", path), &by_name, digest, &moment);
        let length = body.len();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::PUT;
        let unfit = || Fault::lasting(Outcome::Unauthorized, "its key is none of a header");
        let uri = format!("{}://{host}{path}", self.bucket.scheme);
        *request.uri_mut() = uri.parse().map_err(|_| unfit())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        let into = request.headers_mut();
        into.insert(USER_AGENT, AGENT);
        into.insert(CONTENT_TYPE, MEDIA);
        into.insert(CONTENT_LENGTH, HeaderValue::from(length));
        into.insert(AUTHORIZATION, value);
        for (name, value) in headers {
            into.insert(name, HeaderValue::from_str(value).map_err(|_| unfit())?);
        }
        Ok(request)
    }
}

/// Day, sequence of the first and the last event, and a digest of all their ids: names sort as events came, and no two
/// that hold other events are the same.
fn name(load: &Load, range: Range<usize>) -> String {
    let (first, last) = (load.at(range.start).0, load.at(range.end - 1).0);
    let day = first.received.to_string().get(..10).unwrap_or_default().replace('-', "/");
    let (from, to) = (first.sequence, last.sequence);
    let (id, _) = message_id(load, range);
    let id = id.rsplit_once("batch-").map_or(id.as_str(), |(_, digest)| digest);
    format!("{day}/{from:020}-{to:020}-{id}.ndjson.zst")
}

/// What S3 calls an error, in brackets; nothing when it says none.
fn code(text: &str) -> String {
    let found = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    found.map(|(code, _)| format!(" ({})", shown(code))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::event;
    use crate::id::Uuid;
    use crate::spool::Kept;

    #[test]
    fn a_name_tells_what_is_in_it() {
        let kept = |sequence: u64| {
            let id = Uuid::from_u128(u128::from(sequence));
            let event = event::compose(Time::default(), "a", &[], &[], "{}", id, None);
            let (received, events) = (Time::from_micros(86_400_000_000), vec![event]);
            let account = Uuid::nil();
            Kept { sequence, account, workspace: None, received, events, capture: None }
        };
        let load = Load::of((7..10).map(kept).collect());
        let all = name(&load, 0..3);
        let head = "1970/01/02/00000000000000000007-00000000000000000009-";
        assert!(all.starts_with(head) && all.ends_with(".ndjson.zst"), "{all}");
        assert_eq!(all, name(&load, 0..3));
        assert!(name(&load, 0..2) < all && all < name(&load, 1..3));
        assert!(name(&load, 0..1).contains("00000007-00000000000000000007-"));
    }

    #[test]
    fn an_error_is_called_what_s3_calls_it() {
        assert_eq!(code("<Error><Code>NoSuchBucket</Code></Error>"), " (NoSuchBucket)");
        assert_eq!(code("nothing"), "");
    }
}
