//! Signing and judging. In: a row of the table, a request, and what happens to it once it is signed. Holds: what a
//! row signs it takes, by the right secret only; whatever was changed and is taken all the same would have been
//! signed just so ("valid only if signing it again says so"); what is told of a refusal holds neither secret nor
//! signature.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hookgate::id::Secret;
use hookgate::verify::signature::{
    Draft, Fault, Greeting, Mark, Parameters, Registry, Request, SchemeFault, Signer, Verified,
    Verifier,
};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const MARK: Mark<'static> = Mark { now: 1_764_378_000, id: "msg_1" };
/// An owner's window, and a moment far behind it.
const WINDOW: u32 = 300;
const LATE: i64 = MARK.now + 1_000_000;
/// Signatures are longer; shorter words of a request may stand anywhere.
const TAG_MIN_CHARS: usize = 20;
/// Ways of signing that the table has at least, and that can be tried here.
const WAYS_MIN: usize = 100;
/// Those of them whose signatures follow from the request alone.
const STEADY_MIN: usize = 95;
/// More ways than any provider has.
const WAYS_MAX: usize = 8;
const JSON: &str = r#"{"webhookTimestamp":1764378000000,"value":[{"a":1},{}],"notificationItems":
[{"NotificationRequestItem":{"pspReference":"7914","amount":{"value":1130}}}],"note":"naïve ☃"}"#;
const FORM: &str = "Digits=1234&From=%2B14158675309&Empty=&Digits=5";

/// What the fuzzer decides.
#[derive(Arbitrary, Debug)]
struct Story {
    way: u16,
    body: Body,
    note: String,
    header: Option<String>,
    changes: Vec<Change>,
}

#[derive(Arbitrary, Debug)]
enum Body {
    Json,
    Form,
    Raw(Vec<u8>),
}

/// One thing that happens to a signed request on its way.
#[derive(Arbitrary, Debug)]
enum Change {
    Flip(Part, u16, u8),
    Insert(Part, u16, Vec<u8>),
    Cut(Part, u16, u8),
    Drop(u8),
    Double(u8, Vec<u8>),
    /// A header of any name.
    Add(String, Vec<u8>),
    Method(bool),
}

#[derive(Arbitrary, Debug)]
enum Part {
    Body,
    Query,
    Header(u8),
}

/// A way of signing, with keys that fit it.
struct Way {
    provider: String,
    number: usize,
    parameters: Parameters,
    signs: Secret,
    judge: Verifier,
    /// Another secret of the same form.
    stranger: Verifier,
    /// A request that is signed already is signed the same way again: no chance, no list of the headers that it has.
    is_steady: bool,
    is_form: bool,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::built_in);
static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
    let (keys, others) = (pairs(7), pairs(8));
    let mut ways = Vec::new();
    for (name, _) in REGISTRY.iter() {
        let there = (1..=WAYS_MAX).take_while(|number| exists(name, *number));
        ways.extend(there.filter_map(|number| way(name, number, &keys, &others)));
    }
    let steady = ways.iter().filter(|way| way.is_steady).count();
    assert!(ways.len() >= WAYS_MIN && steady >= STEADY_MIN, "{steady} of {} ways", ways.len());
    ways
});

/// Whether there is a way of that number.
fn exists(provider: &str, number: usize) -> bool {
    let row = REGISTRY.find(provider).expect("a provider");
    let secret = Secret::new("");
    let made = Signer::new(provider, row, &secret, parameters(true), Some(number));
    !matches!(made, Err(SchemeFault::Way { .. }))
}

fn way(provider: &str, number: usize, keys: &[Pair], others: &[Pair]) -> Option<Way> {
    for ((with, is_form), (signs, judges)) in
        [(false, false), (true, false), (false, true), (true, true)]
            .iter()
            .flat_map(|form| keys.iter().map(move |pair| (form, pair)))
    {
        let body = if *is_form { Body::Form } else { Body::Json };
        let parameters = parameters(*with);
        let draft = draft(&body, "note", None);
        let signed = sign(provider, number, signs, &parameters, draft);
        let (Some(signed), Some(judge)) = (signed, verifier(provider, judges, &parameters)) else {
            continue;
        };
        if judged(&judge, &signed, MARK.now).is_err() {
            continue;
        }
        let mut more = signed;
        more.headers.insert("x-more", HeaderValue::from_static("1"));
        let again = sign(provider, number, signs, &parameters, more.clone()).expect("as before");
        let is_steady = again.body == more.body && again.headers == more.headers;
        let place = keys.iter().position(|(_, other)| other == judges).expect("one of them");
        let stranger = verifier(provider, &others[place].1, &parameters).expect("the same form");
        let (provider, signs) = (provider.to_owned(), signs.clone());
        let is_form = *is_form;
        return Some(Way {
            provider,
            number,
            parameters,
            signs,
            judge,
            stranger,
            is_steady,
            is_form,
        });
    }
    None
}

type Pair = (Secret, Secret);

/// What signs and what judges it, in all forms that secrets have.
fn pairs(fill: u8) -> Vec<Pair> {
    let bytes = [fill; 32];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = STANDARD.encode(bytes);
    let shared = [format!("whsec_{text}"), format!("a secret: {hex}"), hex.clone(), text.clone()];
    let mut pairs: Vec<Pair> =
        shared.iter().map(|secret| (Secret::new(secret), Secret::new(secret))).collect();
    let key = Ed25519KeyPair::from_seed_unchecked(&bytes).expect("a seed");
    let public = key.public_key().as_ref();
    let public_hex: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    let public = STANDARD.encode(public);
    pairs.push((Secret::new(&hex), Secret::new(public_hex)));
    pairs.push((Secret::new(&text), Secret::new(&public)));
    pairs.push((Secret::new(format!("whsk_{text}")), Secret::new(format!("whpk_{public}"))));

    let pem = |der: &[u8]| {
        let text = STANDARD.encode(der);
        Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    };
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let private = pem(key.to_pkcs8v1().expect("PKCS#8").as_ref());
    let point = key.public_key().as_ref();
    pairs.push((private.clone(), Secret::new(STANDARD.encode(point))));
    let hex: String = point.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.push((private.clone(), Secret::new(hex)));
    let (x, y) = (number(&point[1..33]), number(&point[33..]));
    let public = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k" });
    pairs.push((private, Secret::new(public.to_string())));
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = key.public_key();
    let [n, e] = [public.modulus(), public.exponent()]
        .map(|part| number(part.big_endian_without_leading_zero()));
    let public = json!({ "keys": [{ "kty": "RSA", "n": n, "e": e, "kid": "k" }] });
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().expect("PKCS#8");
    pairs.push((pem(der.as_ref()), Secret::new(public.to_string())));
    pairs
}

/// Settings of all providers; some ways of signing apply only with the last.
fn parameters(with_header: bool) -> Parameters {
    let named = [
        ("url", "https://hooks.example.com/hooks/abc?foo=1"),
        ("public_key", "public"),
        ("aud", "https://hooks.example.com"),
        ("email", "robot@example.iam.gserviceaccount.com"),
        ("kid", "k"),
        ("timestamp_header", "X-Signed-At"),
    ];
    let named = named.into_iter().take(if with_header { 6 } else { 5 });
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn verifier(provider: &str, secret: &Secret, parameters: &Parameters) -> Option<Verifier> {
    let row = REGISTRY.find(provider).expect("a provider");
    let secret = std::slice::from_ref(secret);
    Verifier::new(provider, row, secret, parameters.clone(), Some(WINDOW)).ok()
}

fn draft(body: &Body, note: &str, header: Option<&str>) -> Draft {
    let mut headers = HeaderMap::new();
    let event = header.and_then(|text| HeaderValue::from_str(text).ok());
    headers.insert("x-event-type", event.unwrap_or(HeaderValue::from_static("order.paid")));
    let body = match body {
        Body::Json => JSON.replace("\"naïve ☃\"", &json!(note).to_string()),
        Body::Form => {
            let escaped =
                percent_encoding::utf8_percent_encode(note, percent_encoding::NON_ALPHANUMERIC);
            format!("{FORM}&Note={escaped}")
        }
        Body::Raw(bytes) => {
            return Draft { method: Method::POST, headers, query: None, body: bytes.clone() };
        }
    };
    Draft { method: Method::POST, headers, query: None, body: body.into_bytes() }
}

fn sign(
    provider: &str,
    number: usize,
    secret: &Secret,
    parameters: &Parameters,
    draft: Draft,
) -> Option<Draft> {
    let row = REGISTRY.find(provider).expect("a provider");
    let signer = Signer::new(provider, row, secret, parameters.clone(), Some(number)).ok()?;
    signer.sign(draft, MARK).ok()
}

fn request(sent: &Draft) -> Request<'_> {
    Request {
        method: &sent.method,
        headers: &sent.headers,
        query: sent.query.as_deref(),
        body: &sent.body,
        slug: None,
        certificate: None,
        parsed: None,
    }
}

fn judged(verifier: &Verifier, sent: &Draft, now: i64) -> Result<Verified, Fault> {
    verifier.judge(&request(sent), &None, Some(now))
}

fuzz_target!(|story: Story| {
    let way = &WAYS[usize::from(story.way) % WAYS.len()];
    let draft = draft(&story.body, &story.note, story.header.as_deref());
    let Some(signed) = sign(&way.provider, way.number, &way.signs, &way.parameters, draft) else {
        return;
    };
    let found = judged(&way.judge, &signed, MARK.now);
    // A body that is nothing but a token may have been signed for the asking.
    let is_plain = match story.body {
        Body::Json => !way.is_form,
        Body::Form => way.is_form,
        Body::Raw(_) => false,
    };
    assert!(found.is_ok() || !is_plain, "{}: {found:?}\n{signed:?}", way.provider);
    let other = judged(&way.stranger, &signed, MARK.now);
    assert!(other.is_err(), "{}: another secret\n{signed:?}", way.provider);
    if found.is_ok_and(|found| found.timed) {
        let late = judged(&way.judge, &signed, LATE);
        assert!(late.is_err(), "{}: late\n{signed:?}", way.provider);
    }

    let mut sent = signed.clone();
    for change in story.changes.iter().take(4) {
        change.make(&mut sent);
    }
    match judged(&way.judge, &sent, MARK.now) {
        Ok(_) if way.is_steady => would_be_signed(way, &sent, &signed),
        Ok(_) => {}
        Err(fault) => tells_nothing(way, &sent, &fault),
    }
    let greeting = way.judge.greet(&request(&sent), &None, Some(MARK.now));
    if let Greeting::Answer(answer) = greeting {
        let secret = way.signs.expose().as_bytes();
        assert!(!holds(&answer.body, secret), "{}: {answer:?}", way.provider);
    }
});

impl Change {
    fn make(&self, sent: &mut Draft) {
        let name = |which: u8, headers: &HeaderMap| -> Option<HeaderName> {
            let names: Vec<_> = headers.keys().collect();
            names.get(usize::from(which) % names.len().max(1)).map(|name| (*name).clone())
        };
        match self {
            Self::Flip(part, at, mask) => part.edit(sent, |bytes| {
                let at = usize::from(*at) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }),
            Self::Insert(part, at, more) => part.edit(sent, |bytes| {
                let at = usize::from(*at) % (bytes.len() + 1);
                drop(bytes.splice(at..at, more.iter().copied()));
            }),
            Self::Cut(part, at, length) => part.edit(sent, |bytes| {
                let at = usize::from(*at) % (bytes.len() + 1);
                let end = (at + usize::from(*length)).min(bytes.len());
                drop(bytes.drain(at..end));
            }),
            Self::Drop(which) => {
                if let Some(name) = name(*which, &sent.headers) {
                    sent.headers.remove(name);
                }
            }
            Self::Double(which, value) => {
                if let (Some(name), Ok(value)) =
                    (name(*which, &sent.headers), HeaderValue::from_bytes(value))
                {
                    sent.headers.append(name, value);
                }
            }
            Self::Add(name, value) => {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::from_bytes(value))
                {
                    sent.headers.append(name, value);
                }
            }
            Self::Method(is_get) => sent.method = if *is_get { Method::GET } else { Method::PUT },
        }
    }
}

impl Part {
    fn edit(&self, sent: &mut Draft, how: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Body => how(&mut sent.body),
            Self::Query => {
                let mut query = sent.query.clone().unwrap_or_default().into_bytes();
                how(&mut query);
                sent.query = String::from_utf8(query).ok().or(sent.query.take());
            }
            Self::Header(which) => {
                let count = sent.headers.len().max(1);
                let Some(value) = sent.headers.values_mut().nth(usize::from(*which) % count) else {
                    return;
                };
                let mut bytes = value.as_bytes().to_vec();
                how(&mut bytes);
                if let Ok(changed) = HeaderValue::from_bytes(&bytes) {
                    *value = changed;
                }
            }
        }
    }
}

/// Signed anew, a request that was taken is what it was: in each word of its headers and query, and in its body.
fn would_be_signed(way: &Way, sent: &Draft, signed: &Draft) {
    let Way { provider, number, signs, parameters, .. } = way;
    let Some(again) = sign(provider, *number, signs, parameters, sent.clone()) else { return };
    let shown = |one: &Draft| {
        let body = String::from_utf8_lossy(&one.body);
        format!("{} {:?} {:?}\n{body}\n", one.method, one.query, one.headers)
    };
    let context = || {
        let [signed, sent, again] = [signed, sent, &again].map(shown);
        format!("{provider} {number}\nsigned: {signed}sent: {sent}signed again: {again}")
    };
    // A form is signed whatever it is called.
    for (name, value) in again.headers.iter().filter(|(name, _)| *name != CONTENT_TYPE) {
        let sent = sent.headers.get_all(name);
        let lower = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase();
        let words = lower(value);
        for word in words.split(|byte| b", ;".contains(byte)) {
            let found = sent.iter().any(|value| holds(&lower(value), word));
            assert!(found, "header {name}: {}", context());
        }
    }
    // Digits of a signature may be of either case.
    let read = |body: &[u8]| {
        let value = serde_json::from_slice::<serde_json::Value>(body).ok()?;
        Some(value.to_string().to_ascii_lowercase())
    };
    let fields = |body: &[u8]| {
        let body = body.to_ascii_lowercase();
        // Blanks around a value are no part of it.
        let fields = body.split(|byte| *byte == b'&').map(|field| field.trim_ascii().to_vec());
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    };
    let is_same = again.body == sent.body
        || read(&again.body).is_some_and(|body| Some(body) == read(&sent.body))
        || fields(&again.body) == fields(&sent.body);
    assert!(is_same, "the body: {}", context());
}

fn tells_nothing(way: &Way, sent: &Draft, fault: &Fault) {
    let told = way.judge.explain(&REGISTRY, &request(sent), &None, fault).join("\n");
    let told = format!("{told}\n{fault}");
    let secret = way.signs.expose();
    assert!(!told.contains(secret), "{}: {told}", way.provider);
    if !way.is_steady {
        return;
    }
    let Way { provider, number, signs, parameters, .. } = way;
    let Some(again) = sign(provider, *number, signs, parameters, sent.clone()) else { return };
    for (name, value) in &again.headers {
        if sent.headers.get_all(name).iter().any(|other| other == value) {
            continue;
        }
        let Ok(value) = value.to_str() else { continue };
        for word in value.split([',', ' ', ';', '=']).filter(|word| word.len() >= TAG_MIN_CHARS) {
            assert!(!told.contains(word), "{provider}: {told}");
        }
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
