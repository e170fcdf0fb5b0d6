//! The ways of signing that no row can say. In: a request and a key. Out: yes, or the fact that speaks against it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::json::Value;

use super::fault::Fault;
use super::material::hex;
use super::message::Given;
use super::request::{Parameters, Request, scalar};
use super::source::{PARTS_MAX, header};

/// The eight fields of an item that Adyen signs.
const ADYEN_FIELDS: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    "/merchantReference",
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

/// Where an item has its signature.
const ADYEN_SIGNATURE: &str = "/additionalData/hmacSignature";

/// Adyen: each item of the body is signed for itself, by eight of its fields, and all must be right. What was signed;
/// when that is to be known again, of one item alone: several could be sent again in another company.
pub(super) fn adyen_items(
    request: &Request<'_>,
    key: &hmac::Key,
    remembers: bool,
) -> Result<Vec<u8>, Fault> {
    let signed = adyen_signed(request)?;
    for (message, signature) in &signed {
        if signature.is_empty() {
            return Err(Fault::Missing("body field hmacSignature of an item".to_owned()));
        }
        let signature = STANDARD.decode(signature).map_err(|_| Fault::Mismatch)?;
        hmac::verify(key, message.as_bytes(), &signature).map_err(|_| Fault::Mismatch)?;
    }
    match <[_; 1]>::try_from(signed) {
        Ok([(message, _)]) => Ok(message.into_bytes()),
        Err(_) if remembers => Err(Fault::Several),
        Err(_) => Ok(Vec::new()),
    }
}

/// What of each item is signed, and the signature that it bears.
pub(super) fn adyen_signed(request: &Request<'_>) -> Result<Vec<(String, String)>, Fault> {
    let document = request.document()?;
    let missing = || Fault::Missing("body field /notificationItems".to_owned());
    let Some(items) = document.root().get("notificationItems") else {
        // An item alone, as Adyen's SDK for Python takes it.
        let item = document.root();
        let signature = text(item, ADYEN_SIGNATURE);
        return if signature.is_empty() {
            Err(missing())
        } else {
            Ok(vec![(adyen_message(item), signature)])
        };
    };
    if items.len() > PARTS_MAX {
        return Err(Fault::TooMany { max: PARTS_MAX });
    }
    if items.is_empty() {
        return Err(missing());
    }
    let signed = items.items().map(|item| {
        let item = item.get("NotificationRequestItem").unwrap_or(item);
        (adyen_message(item), text(item, ADYEN_SIGNATURE))
    });
    Ok(signed.collect())
}

/// What of an item is signed.
pub(super) fn adyen_message(item: Value<'_>) -> String {
    ADYEN_FIELDS.map(|field| text(item, field)).join(":")
}

fn text(value: Value<'_>, pointer: &str) -> String {
    let steps = pointer.split('/').skip(1);
    let found = steps.into_iter().try_fold(value, Value::get);
    found.and_then(scalar).unwrap_or_default().into_owned()
}

/// What SNS signs of a notification, and of the others.
const NOTIFIED: [&str; 6] = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const ASKED: [&str; 7] =
    ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// What SNS signs of a message.
pub(super) fn sns_message(request: &Request<'_>) -> Result<String, Fault> {
    let document = request.document()?;
    let root = document.root();
    let field = |name: &str| root.get(name).and_then(Value::text);
    let missing = |name: &str| Fault::Missing(format!("body field /{name}"));
    let kind = field("Type").ok_or_else(|| missing("Type"))?;
    let fields: &[&str] = match &*kind {
        "Notification" => &NOTIFIED,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &ASKED,
        _ => return Err(Fault::Body("a message of a type that SNS sends")),
    };
    let mut message = String::new();
    for name in fields {
        match field(name) {
            Some(value) => message.extend([name, "\n", &*value, "\n"]),
            None if *name == "Subject" => {}
            None => return Err(missing(name)),
        }
    }
    Ok(message)
}

/// Amazon SNS: names and values of some fields, one for each line, signed with the key of a certificate. What was
/// signed.
pub(super) fn aws_sns(
    request: &Request<'_>,
    key: &dyn Fn() -> Result<Vec<u8>, Fault>,
) -> Result<Vec<u8>, Fault> {
    let message = sns_message(request)?;
    let document = request.document()?;
    let root = document.root();
    let field = |name: &str| root.get(name).and_then(Value::text);
    let missing = |name: &str| Fault::Missing(format!("body field /{name}"));
    let algorithm = match field("SignatureVersion").as_deref() {
        Some("1") => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Some("2") => &RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(Fault::Body("signed in version 1 or 2")),
    };
    let signature = field("Signature").ok_or_else(|| missing("Signature"))?;
    let signature = STANDARD.decode(&*signature).map_err(|_| Fault::Mismatch)?;
    let key = ParsedPublicKey::new(algorithm, &key()?);
    let key = key.map_err(|_| Fault::Certificate("holds no RSA key of 2048 bits or more"))?;
    let verified = key.verify_sig(message.as_bytes(), &signature);
    verified.map(|()| message.into_bytes()).map_err(|_| Fault::Mismatch)
}

/// Contentful: method, path, the headers it lists, and the body, one for each line. What was signed.
pub(super) fn contentful(
    given: &Given<'_>,
    parameters: &Parameters,
    key: &hmac::Key,
) -> Result<Vec<u8>, Fault> {
    let headers = given.request.headers;
    let name = HeaderName::from_static("x-contentful-signature");
    let missing = || Fault::Missing("header x-contentful-signature".to_owned());
    let signature = header(headers, &name)?.ok_or_else(missing)?;
    let signature = hex(signature).ok_or(Fault::Mismatch)?;
    // Contentful's SDK escapes a query before it signs, its recipe does not speak of it.
    let (escaped, plain) = (
        contentful_head(given, &escaped_path(given)?)?,
        contentful_head(given, path(address(given)?))?,
    );
    let body = given.request.body;
    let fits = |head: &[u8]| {
        let mut context = hmac::Context::with_key(key);
        context.update(head);
        context.update(body);
        verify_slices_are_equal(context.sign().as_ref(), &signature).is_ok()
    };
    // What stands behind a second question mark the SDK does not sign: no more than what the owner's address says.
    let query = |url: &str| url.split_once('?').map(|(_, query)| query.to_owned());
    let sent = query(address(given)?).unwrap_or_default();
    let said = parameters.get("url").and_then(|url| query(url)).unwrap_or_default();
    let is_whole = !sent.contains('?') || sent == said;
    let is_escaped = is_whole && fits(&escaped);
    if is_escaped || (plain != escaped || !is_whole) && fits(&plain) {
        let mut signed = if is_escaped { escaped } else { plain };
        signed.extend_from_slice(body);
        return Ok(signed);
    }
    Err(Fault::Mismatch)
}

fn address<'a>(given: &Given<'a>) -> Result<&'a str, Fault> {
    given.url.ok_or_else(|| Fault::Parameter("url".to_owned()))
}

/// What is signed, as Contentful's SDK makes it.
pub(super) fn contentful_message(given: &Given<'_>) -> Result<Vec<u8>, Fault> {
    let mut message = contentful_head(given, &escaped_path(given)?)?;
    message.extend_from_slice(given.request.body);
    Ok(message)
}

/// Path and query as Contentful's SDK writes them.
fn escaped_path(given: &Given<'_>) -> Result<String, Fault> {
    // What JavaScript leaves as it is, in a component and in a whole address.
    const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')');
    const ADDRESS: &AsciiSet = &COMPONENT
        .remove(b';')
        .remove(b',')
        .remove(b'/')
        .remove(b'?')
        .remove(b':')
        .remove(b'@')
        .remove(b'&')
        .remove(b'=')
        .remove(b'+')
        .remove(b'$')
        .remove(b'#');
    let path = path(address(given)?);
    let mut parts = path.split('?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let escaped = match query {
        "" => path.to_owned(),
        query => format!("{path}?{}", utf8_percent_encode(query, COMPONENT)),
    };
    Ok(utf8_percent_encode(&escaped, ADDRESS).to_string())
}

/// All that is signed in front of the body.
fn contentful_head(given: &Given<'_>, path: &str) -> Result<Vec<u8>, Fault> {
    const LIST: HeaderName = HeaderName::from_static("x-contentful-signed-headers");
    const TIME: HeaderName = HeaderName::from_static("x-contentful-timestamp");
    let request = given.request;
    let missing = |name: &str| Fault::Missing(format!("header {name}"));
    let list = header(request.headers, &LIST)?.ok_or_else(|| missing(LIST.as_str()))?;
    let mut names = Vec::new();
    for name in list.split(|byte| *byte == b',').take(PARTS_MAX) {
        let name = HeaderName::from_bytes(super::source::trim(name));
        names.push(name.map_err(|_| missing("that is listed"))?);
    }
    // Without them, whoever replays a request could move its time, or sign fewer headers.
    if let Some(left_out) = [LIST, TIME].into_iter().find(|name| !names.contains(name)) {
        return Err(missing(&format!("{left_out} in the list of signed ones")));
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let mut message = format!("{}\n{path}\n", request.method).into_bytes();
    for (place, name) in names.iter().enumerate() {
        let value = header(request.headers, name)?.ok_or_else(|| missing(name.as_str()))?;
        if place > 0 {
            message.push(b';');
        }
        message.extend_from_slice(name.as_str().as_bytes());
        message.push(b':');
        message.extend_from_slice(value);
    }
    message.push(b'\n');
    Ok(message)
}

/// Path and query of an address.
fn path(url: &str) -> &str {
    let behind = url.find("://").map_or(0, |at| at + 3);
    url[behind..].find('/').map_or("/", |at| &url[behind + at..])
}
