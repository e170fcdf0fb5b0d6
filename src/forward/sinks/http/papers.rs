//! What requests carry of papers: a name and a password, further headers, signatures. In: the files that settings name,
//! and what records give. Out: headers that no formatter prints; for each message the headers of Standard Webhooks,
//! signed by one or two secrets at once, so that a new one can be brought in before the old one ends. Never a secret in
//! an argument.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Time;
use crate::forward::ForwardError;
use crate::forward::options::Options;

/// Most headers of a file.
const HEADERS_MAX: usize = 32;
/// Most secrets that sign at once, how each begins, and how long it is.
const KEYS_MAX: usize = 2;
const KEY_PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Headers that a request has already, or that are not its own.
const OWN: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the papers of a destination say.
#[derive(Debug, Default)]
pub(super) struct Papers {
    headers: Vec<(HeaderName, HeaderValue)>,
    keys: Vec<hmac::Key>,
}

impl Papers {
    /// Reads all of them.
    pub(super) fn read(options: &Options) -> Result<Self, ForwardError> {
        let mut papers = Self::default();
        if let Some(paper) = &options.headers {
            papers.headers = paper.read(read_headers)?;
        }
        if let Some(paper) = &options.basic {
            papers.headers.push((AUTHORIZATION, paper.read(read_basic)?));
        }
        if let Some(paper) = &options.sign {
            papers.keys = paper.read(read_keys)?;
        }
        Ok(papers)
    }

    /// Adds what every request carries.
    pub(super) fn carry(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// Whether messages are signed.
    pub(super) fn signs(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Adds the signatures of one message.
    pub(super) fn sign(&self, id: &str, now: Time, body: &[u8], headers: &mut HeaderMap) {
        let seconds = now.micros().div_euclid(1_000_000).to_string();
        let mut signatures = String::new();
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
                context.update(part);
            }
            let between = if signatures.is_empty() { "" } else { " " };
            signatures = format!("{signatures}{between}v1,{}", STANDARD.encode(context.sign()));
        }
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", seconds.as_str()),
            ("webhook-signature", signatures.as_str()),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// The lines that say something; one that begins with `#` does not.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn read_headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::new();
    for (number, line) in lines(text) {
        let named = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, mut value) =
            named.ok_or_else(|| format!("line {number} is no header; write one as Name: value"))?;
        let text = name.as_str();
        if OWN.contains(&name) || text.starts_with("ce-") || text.starts_with("webhook-") {
            return Err(format!("line {number}: {name} is the gateway's own"));
        }
        value.set_sensitive(true);
        headers.push((name, value));
    }
    if headers.is_empty() || headers.len() > HEADERS_MAX {
        let count = headers.len();
        return Err(format!("has {count} headers; it should have 1 to {HEADERS_MAX}, one a line"));
    }
    Ok(headers)
}

fn read_basic(text: &str) -> Result<HeaderValue, String> {
    let line = text.lines().next().unwrap_or_default().trim();
    if !line.contains(':') {
        return Err("its first line should be user:password".into());
    }
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(line)))
        .map_err(|_| "its first line is no user and password".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_keys(text: &str) -> Result<Vec<hmac::Key>, String> {
    let mut keys = Vec::new();
    for (number, line) in lines(text) {
        let encoded = line.strip_prefix(KEY_PREFIX).unwrap_or_default();
        let key = STANDARD.decode(encoded).ok().filter(|key| KEY_BYTES.contains(&key.len()));
        let key = key.ok_or_else(|| {
            let (least, most) = KEY_BYTES.into_inner();
            format!(
                "line {number} is no secret: {KEY_PREFIX} and {least} to {most} bytes in base64"
            )
        })?;
        keys.push(hmac::Key::new(hmac::HMAC_SHA256, &key));
    }
    match keys.len() {
        1..=KEYS_MAX => Ok(keys),
        count => {
            Err(format!("has {count} secrets; it should have one, or two while one is replaced"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::forward::paper::Paper;
    use crate::forward::tests::Folder;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_message_is_signed_as_the_scheme_shows_it() {
        let papers = Papers { keys: read_keys(SECRET).expect("a key"), ..Papers::default() };
        let mut headers = HeaderMap::new();
        let now = Time::from_micros(1_614_265_330_000_000);
        papers.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, b"{\"test\": 2432232314}", &mut headers);
        // The example of the specification.
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        let two = format!("# new\n{SECRET}\n\n whsec_{} \n", STANDARD.encode([7; 32]));
        let papers = Papers { keys: read_keys(&two).expect("keys"), ..Papers::default() };
        papers.sign("m", now, b"", &mut headers);
        let signatures = headers["webhook-signature"].to_str().expect("text");
        assert_eq!(signatures.split(' ').count(), 2, "{signatures}");
        assert!(!format!("{papers:?}").contains("MfKQ"), "{papers:?}");
    }

    type Set = fn(&mut Options, &Path);

    #[test]
    fn files_say_what_is_wrong_with_them() {
        let folder = Folder::new();
        let path = folder.path().join("file");
        let long = "X: y\n".repeat(HEADERS_MAX + 1);
        let (headers, basic, sign): (Set, Set, Set) = (
            |options, path| options.headers = Some(Paper::File(path.to_owned())),
            |options, path| options.basic = Some(Paper::File(path.to_owned())),
            |options, path| options.sign = Some(Paper::File(path.to_owned())),
        );
        for (set, text, why) in [
            (headers, "", "0 headers"),
            (headers, long.as_str(), "33 headers"),
            (headers, "X-A: b\nno header", "line 2 is no header"),
            (headers, "Host: other", "the gateway's own"),
            (headers, "content-length: 1", "the gateway's own"),
            (headers, "Webhook-Id: 1", "the gateway's own"),
            (headers, "X: a\u{1}b", "no header"),
            (basic, "user", "user:password"),
            (sign, "", "0 secrets"),
            (sign, "whsec_c2hvcnQ=", "24 to 64 bytes"),
            (sign, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "no secret"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let mut options = Options::default();
            set(&mut options, &path);
            let fault = Papers::read(&options).expect_err(text).to_string();
            assert!(fault.contains(why), "{text:?}: {fault}");
        }
        let mut carried = HeaderMap::new();
        std::fs::write(&path, "# team\nX-Team: shop\nX-Key:k\n").expect("a file");
        let mut options = Options::default();
        headers(&mut options, &path);
        let papers = Papers::read(&options).expect("headers");
        papers.carry(&mut carried);
        assert_eq!(
            (&carried["x-team"], &carried["x-key"]),
            (&"shop".parse().unwrap(), &"k".parse().unwrap())
        );
        assert!(!papers.signs() && !format!("{papers:?}").contains("shop"), "{papers:?}");
    }
}
