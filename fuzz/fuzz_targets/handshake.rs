//! Requests that ask whether an address wants events, and judging of whatever comes. In: lines that name provider,
//! secret, method and query, then headers, an empty line, and a body; or a case of `hookgate verify --cases`. Holds:
//! no panic; an answer is short, no page, and without the secret; nothing that an answer says is a signature that an
//! event is taken with.
#![no_main]

use std::sync::LazyLock;

use hookgate::id::Secret;
use hookgate::verify::signature::{
    Answer, Case, Draft, Greeting, Mark, Parameters, Registry, Request, Signer, Verifier,
};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

const MARK: Mark<'static> = Mark { now: 1_764_378_000, id: "msg_1" };
/// What is said back of a request, twice, and the words around it.
const ANSWER_MAX_BYTES: usize = 4096;
/// Secrets that begin so stand in no answer by chance.
const MARKED: &str = "S3CRET";
/// Shorter ones may stand in an answer by chance.
const WORD_MIN_BYTES: usize = 16;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::built_in);

fuzz_target!(|input: &[u8]| {
    if input.first() == Some(&b'{') {
        if let Ok(case) = serde_json::from_slice::<Case>(input) {
            assert!(case.run(&REGISTRY) == case.run(&REGISTRY), "twice, two ends");
        }
        return;
    }
    if let Some(sent) = Sent::read(input) {
        sent.check();
    }
});

/// A request to a webhook of a provider.
struct Sent<'a> {
    provider: &'a str,
    secret: Secret,
    method: Method,
    query: Option<&'a str>,
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> Sent<'a> {
    fn read(input: &'a [u8]) -> Option<Self> {
        let end = input.windows(2).position(|window| window == b"\n\n");
        let (head, body) = end.map_or((input, &b""[..]), |end| (&input[..end], &input[end + 2..]));
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let (provider, secret) = (lines.next()?, Secret::new(lines.next()?));
        let line = lines.next()?;
        let (method, query) =
            line.split_once('?').map_or((line, None), |(method, query)| (method, Some(query)));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?);
        }
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        Some(Self { provider, secret, method, query, headers, body })
    }

    fn request(&self) -> Request<'_> {
        let Self { method, headers, query, body, .. } = self;
        Request {
            method,
            headers,
            query: *query,
            body,
            slug: Some("slug"),
            certificate: None,
            parsed: None,
        }
    }

    fn check(&self) {
        let Ok(row) = REGISTRY.find(self.provider) else { return };
        let secrets = std::slice::from_ref(&self.secret);
        let secrets = if self.secret.expose().is_empty() { &[] } else { secrets };
        let made = Verifier::new(self.provider, row, secrets, parameters(), None);
        let Ok(verifier) = made else { return };
        let request = self.request();
        let judged = verifier.judge(&request, &None, Some(MARK.now));
        assert_eq!(judged, verifier.judge(&request, &None, Some(MARK.now)));
        if let Err(fault) = &judged {
            let told = verifier.explain(&REGISTRY, &request, &None, fault).join(" ");
            assert!(told.len() < ANSWER_MAX_BYTES, "{told}");
        }
        match verifier.greet(&request, &None, Some(MARK.now)) {
            Greeting::None => {}
            Greeting::Refused(status, _) => assert!((400..500).contains(&status), "{status}"),
            Greeting::Answer(answer) => {
                self.is_no_page(&answer);
                self.is_no_oracle(&verifier, &answer);
            }
        }
    }

    /// Whether it was in the request.
    fn holds(&self, word: &str) -> bool {
        let query: Vec<u8> =
            percent_encoding::percent_decode_str(self.query.unwrap_or_default()).collect();
        holds(self.body, word)
            || holds(&query, word)
            || self.headers.values().any(|value| holds(value.as_bytes(), word))
            || self.words().iter().any(|text| holds(text, word))
    }

    fn is_no_page(&self, answer: &Answer) {
        let Answer { status, headers, body, .. } = answer;
        assert!((200..300).contains(status), "{answer:?}");
        assert!(body.len() <= ANSWER_MAX_BYTES, "{} bytes", body.len());
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'none'");
        let media_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let plain = [&b"text/plain; charset=utf-8"[..], b"application/json"];
        assert!(
            body.is_empty() || media_type.is_some_and(|media_type| plain.contains(&media_type))
        );
        assert!(std::str::from_utf8(body).is_ok_and(|text| !text.contains(char::is_control)));
        let secret = self.secret.expose();
        if secret.starts_with(MARKED) && !self.holds(secret) {
            assert!(!holds(body, secret), "{answer:?}");
            assert!(headers.values().all(|value| !holds(value.as_bytes(), secret)), "{answer:?}");
        }
    }

    /// Whatever of the request is made the body of an event, and signed: the answer has not that signature.
    fn is_no_oracle(&self, verifier: &Verifier, answer: &Answer) {
        let row = REGISTRY.find(self.provider).expect("it was found");
        let signer = Signer::new(self.provider, row, &self.secret, parameters(), None);
        let Ok(signer) = signer else { return };
        for text in self.words() {
            let headers = HeaderMap::new();
            let draft = Draft { method: Method::POST, headers, query: None, body: text.clone() };
            let Ok(event) = signer.sign(draft, MARK) else { continue };
            let request = Request {
                method: &event.method,
                headers: &event.headers,
                query: event.query.as_deref(),
                body: &event.body,
                slug: None,
                certificate: None,
                parsed: None,
            };
            if verifier.judge(&request, &None, Some(MARK.now)).is_err() {
                continue;
            }
            for value in event.headers.values().filter_map(|value| value.to_str().ok()) {
                let words = value.split([',', ' ', ';', '=']);
                for word in words.filter(|word| word.len() >= WORD_MIN_BYTES) {
                    // Who sent it knew it already.
                    let is_known = self.secret.expose().contains(word) || self.holds(word);
                    assert!(is_known || !holds(&answer.body, word), "{word}: {event:?}");
                }
            }
        }
    }

    /// Values of query, headers and a JSON body.
    fn words(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> =
            self.headers.values().map(|v| v.as_bytes().to_vec()).collect();
        let pairs =
            self.query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        words.extend(pairs.map(|(_, value)| percent_encoding::percent_decode_str(value).collect()));
        let mut values: Vec<serde_json::Value> =
            serde_json::from_slice(self.body).ok().into_iter().collect();
        while let Some(value) = values.pop() {
            match value {
                serde_json::Value::String(text) => words.push(text.into_bytes()),
                serde_json::Value::Array(items) => values.extend(items),
                serde_json::Value::Object(members) => {
                    values.extend(members.into_iter().map(|(_, value)| value));
                }
                _ => {}
            }
        }
        words.push(self.body.to_vec());
        words.truncate(16);
        words
    }
}

fn parameters() -> Parameters {
    let named = [
        ("url", "https://hooks.example.com/hooks/{slug}"),
        ("public_key", "public"),
        ("aud", "https://hooks.example.com"),
        ("topic", "https://example.com/feed"),
        ("verify", "a word that both know"),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn holds(text: &[u8], part: &str) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part.as_bytes())
}
