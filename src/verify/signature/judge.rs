//! One request against one way of signing. In: the row, a key, the request, a moment. Out: what is known of what was
//! signed, or the fact that speaks against it. Compares in constant time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::cell::RefCell;

use super::fault::Fault;
use super::fetched::{Form, Known, Wanted};
use super::material::{Key, Material, hex};
use super::message::{Given, Message};
use super::moment::Moment;
use super::request::{Parameters, Request, field_of};
use super::scheme::{Certificate, Encoding, Mac, Scheme, Special};
use super::{Signed, Verified, certificate, client, odd, token};

/// Most signatures that are each work: a public key's, a token's. Nobody sends one for each of so many keys; of an
/// HMAC's and a digest's what it should be is made once.
pub(super) const SLOW_MAX: usize = 8;
/// Bytes that a request may have judged by each public key, its body once for each signature.
const SLOW_MAX_BYTES: usize = 1 << 20;
/// Signatures that are tried however large the body is: whoever replaces a key signs with the old and the new one.
const SLOW_FREE: usize = 2;
/// What digests of signed bytes begin with: no text does, so none of a text is one of these.
const SIGNED: [u8; 1] = [0xFF];

/// All that one judgement needs.
pub(super) struct Judgement<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) material: &'a Material,
    pub(super) request: &'a Request<'a>,
    pub(super) parameters: &'a Parameters,
    pub(super) window: Option<u32>,
    /// A certificate that the owner gave.
    pub(super) given: Option<&'a [u8]>,
    /// What is at hand of what the provider keeps.
    pub(super) known: &'a dyn Known,
    pub(super) now: Option<i64>,
    /// What was signed is to be known again.
    pub(super) remembers: bool,
    /// Which way of signing it is.
    pub(super) way: usize,
    /// The last message that was made in one piece, for all secrets of a request.
    pub(super) made: &'a RefCell<Option<Made>>,
}

/// A message in one piece: of which way of signing, which address and which of its messages.
pub(super) type Made = ((usize, usize, usize), Vec<u8>);

/// What is known of what was signed.
pub(super) struct Fit {
    timed: bool,
    signed: Option<Signed>,
}

impl Fit {
    pub(super) fn verified(self, scheme: usize, secret: usize) -> Verified {
        Verified { scheme, secret, timed: self.timed, signed: self.signed }
    }
}

impl Judgement<'_> {
    /// What is known of what was signed, when the request is that.
    pub(super) fn run(&self) -> Result<Fit, Fault> {
        let Self { scheme, request, parameters, .. } = self;
        if let Some(wanted) = &scheme.certificate {
            self.check_certificate(wanted)?;
        }
        self.check_agreed()?;
        let signatures = match &scheme.signature {
            Some(source) => source.read(request, parameters)?,
            None => Vec::new(),
        };
        self.check_work(signatures.len())?;
        let keys = match &self.material.key {
            Key::Set(keys) => Some(token::Keys::Given(keys)),
            Key::Fetched(address) => Some(token::Keys::At(address, self.known)),
            Key::Login(login) => Some(token::Keys::Asked(login, self.known)),
            _ => None,
        };
        if let Some(keys) = keys {
            let mut last = Fault::Mismatch;
            for token in &signatures {
                match token::judge(scheme, keys, token, request, parameters, self.now) {
                    Ok(signed) => return Ok(self.fit_token(signed)),
                    Err(fault) => last = fault,
                }
            }
            return Err(last);
        }
        let time = self.time()?;
        let one = |source: &Option<super::source::Source>| match source {
            Some(source) => source.read_one(request, parameters),
            None => Ok(Cow::default()),
        };
        let names = match one(&scheme.names) {
            Err(Fault::Missing(_) | Fault::Shape { .. }) if scheme.names_optional => Cow::default(),
            read => read?,
        };
        let id = one(&scheme.id)?;
        let url = scheme.needs_url().then(|| request.address(parameters)).transpose()?;
        if let Some(name) = scheme.body_digest.as_ref().and_then(|digest| digest.query.as_ref()) {
            // Of the address that is signed, and of no other.
            let signed = url.as_deref().and_then(|url| url.split_once('?'));
            let claimed = signed.and_then(|(_, query)| field_of(query, name)).unwrap_or_default();
            if !token::is_digest(Encoding::Hex, &claimed, request.sha256()) {
                return Err(Fault::Digest(format!("query field {name}")));
            }
        }
        let given = Given {
            request,
            url: url.as_deref(),
            time: time.as_deref().unwrap_or_default(),
            id: &id,
            names: &names,
            secret: &self.material.text,
        };
        let digest = match scheme.special {
            Some(special) => {
                let signed = self.judge_special(special, &given)?;
                self.digest(|feed| {
                    feed(&signed);
                    Ok(())
                })?
            }
            None => self.judge_signatures(&signatures, given)?,
        };
        let window = self.window.filter(|_| time.is_some());
        let signed = digest.map(|digest| Signed { digest, window });
        Ok(Fit { timed: time.is_some(), signed })
    }

    /// Refuses more signatures than anybody sends, where each is work of its own.
    fn check_work(&self, signatures: usize) -> Result<(), Fault> {
        let per_byte = matches!(self.material.key, Key::Public(_) | Key::Certificate);
        let is_token = matches!(self.material.key, Key::Set(_) | Key::Fetched(_) | Key::Login(_));
        if signatures > SLOW_MAX && (per_byte || is_token) {
            return Err(Fault::TooMany { max: SLOW_MAX });
        }
        let bytes = self.request.body.len();
        if per_byte && signatures > SLOW_FREE && signatures * bytes > SLOW_MAX_BYTES {
            return Err(Fault::Heavy { signatures, bytes });
        }
        Ok(())
    }

    /// What is known of a token: without a digest of the body in it, it may come with any.
    fn fit_token(&self, signed: &[u8]) -> Fit {
        let scheme = self.scheme;
        let digest = self.digest(|feed| {
            feed(signed);
            Ok(())
        });
        let digest = digest.ok().flatten();
        let window = scheme.window.filter(|_| scheme.require.iter().any(|name| name == "iat"));
        let signed = digest.map(|digest| Signed { digest, window });
        let says_when = |name: &String| matches!(name.as_str(), "exp" | "iat" | "nbf");
        Fit { timed: scheme.require.iter().any(says_when), signed }
    }

    /// A digest of signed bytes, when they are to be known again.
    fn digest(
        &self,
        bytes: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Fault>,
    ) -> Result<Option<[u8; 16]>, Fault> {
        if !(self.remembers && self.scheme.signs_requests()) {
            return Ok(None);
        }
        let mut context = digest::Context::new(&SHA256);
        context.update(&SIGNED);
        bytes(&mut |bytes| context.update(bytes))?;
        Ok(context.finish().as_ref().first_chunk().copied())
    }

    /// Where the certificate is; one of the places that the row allows.
    fn check_certificate(&self, wanted: &Certificate) -> Result<String, Fault> {
        let address = wanted.url.read_one(self.request, self.parameters)?;
        let address = String::from_utf8_lossy(&address).into_owned();
        certificate::check_address(&address, wanted)?;
        Ok(address)
    }

    /// Whether what was agreed on is what the request says.
    fn check_agreed(&self) -> Result<(), Fault> {
        for (pointer, setting) in &self.scheme.agreed {
            let Some(agreed) = self.parameters.get(setting) else { continue };
            let mut found = Vec::new();
            for one in pointer.split(' ') {
                found.extend(self.request.json(one)?);
            }
            // Of several fields, one may be the sender's own: none of them may say otherwise.
            let is = |found: &Cow<'_, [u8]>| {
                agreed.split_ascii_whitespace().any(|one| *one.as_bytes() == **found)
            };
            if found.is_empty() || !found.iter().all(is) {
                let place = format!("body field {pointer}");
                return Err(Fault::Another { place, setting: setting.clone() });
            }
        }
        Ok(())
    }

    /// The public key of the certificate that signs. Asked for when nothing else speaks against a request.
    fn certified_key(&self) -> Result<Vec<u8>, Fault> {
        let Some(wanted) = &self.scheme.certificate else { return Err(Fault::Key) };
        if let Some(pem) = self.given {
            return certificate::public_key(pem);
        }
        let address = self.check_certificate(wanted)?;
        let kept = self.known.find(&Wanted::new(address, Form::Certificate))?;
        Ok(kept.public_key(&wanted.names, self.now)?.to_vec())
    }

    /// The signed time as it was written, found inside the window.
    fn time(&self) -> Result<Option<Cow<'_, [u8]>>, Fault> {
        let Some(source) = &self.scheme.time else { return Ok(None) };
        let text = match source.read_one(self.request, self.parameters) {
            Err(Fault::Missing(_))
                if self.scheme.time_optional && !source.is_there(self.request) =>
            {
                return Ok(None);
            }
            read => read?,
        };
        let place = || Fault::Time(source.place(self.parameters));
        let signed = Moment::read(&text, self.scheme.unit).ok_or_else(place)?;
        if let (Some(now), Some(window)) = (self.now, self.window) {
            Moment::of_seconds(now).check(signed, window)?;
        }
        Ok(Some(text))
    }

    /// The signed bytes.
    fn judge_special(&self, special: Special, given: &Given<'_>) -> Result<Vec<u8>, Fault> {
        match (special, &self.material.key) {
            (Special::AdyenItems, Key::Hmac(key)) => {
                odd::adyen_items(self.request, key, self.remembers)
            }
            (Special::ContentfulCanonical, Key::Hmac(key)) => {
                odd::contentful(given, self.parameters, key)
            }
            (Special::ClientCertificate, _) => {
                client::sender(self.request.certificate, self.parameters, self.now)
                    .map(|_| Vec::new())
            }
            (Special::AwsSns, _) => odd::aws_sns(self.request, &|| self.certified_key()),
            _ => Err(Fault::Key),
        }
    }

    /// Any of them is enough, or each has to fit. What was signed, to be known again.
    fn judge_signatures(
        &self,
        signatures: &[Cow<'_, [u8]>],
        given: Given<'_>,
    ) -> Result<Option<[u8; 16]>, Fault> {
        let scheme = self.scheme;
        let urls = if scheme.url_ports { ports(given.url) } else { Vec::new() };
        let mut given = given;
        let mut place = 0;
        loop {
            if let Some(url) = urls.get(place) {
                given.url = Some(url);
            }
            let messages = [Some(&scheme.message), scheme.message_also.as_ref()];
            for (number, message) in messages.into_iter().flatten().enumerate() {
                if self.verifies(message, (place, number), &given, signatures)? {
                    let public = Given { secret: &[], ..given };
                    return self.digest(|feed| message.feed(&public, feed));
                }
            }
            place += 1;
            if place >= urls.len() {
                return Err(Fault::Mismatch);
            }
        }
    }

    /// Whether they fit a message: what can be made once for all of them is.
    fn verifies(
        &self,
        message: &Message,
        number: (usize, usize),
        given: &Given<'_>,
        signatures: &[Cow<'_, [u8]>],
    ) -> Result<bool, Fault> {
        let mac = self.scheme.mac;
        match &self.material.key {
            Key::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                message.feed(given, &mut |bytes| context.update(bytes))?;
                let tag = context.sign();
                Ok(self.fit(signatures, |signature| self.is_tag(signature, tag.as_ref())))
            }
            Key::Text if mac == Mac::Equal => {
                Ok(self.fit(signatures, |signature| self.is_tag(signature, &self.material.text)))
            }
            Key::Text => {
                let digests = plain_digests(mac, |feed| message.feed(given, feed))?;
                let is = |signature: &_, digest: &Digest| self.is_tag(signature, digest.as_ref());
                Ok(self.fit(signatures, |signature| digests.iter().any(|one| is(signature, one))))
            }
            Key::Public(key) => {
                let Some(signatures) = self.decoded(signatures) else { return Ok(false) };
                self.whole(message, number, given, |message| {
                    self.fit(&signatures, |one| key.verify_sig(message, one).is_ok())
                })
            }
            Key::Certificate => {
                let Some(signatures) = self.decoded(signatures) else { return Ok(false) };
                let key = ParsedPublicKey::new(rsa(mac), &self.certified_key()?);
                let weak = Fault::Certificate("holds no RSA key of 2048 bits or more");
                let key = key.map_err(|_| weak)?;
                self.whole(message, number, given, |message| {
                    self.fit(&signatures, |one| key.verify_sig(message, one).is_ok())
                })
            }
            Key::Set(_) | Key::Fetched(_) | Key::Login(_) => Err(Fault::Key),
        }
    }

    /// Whether one of them is right, or all are where all must be.
    fn fit<S: AsRef<[u8]>>(&self, signatures: &[S], is: impl Fn(&[u8]) -> bool) -> bool {
        let mut each = signatures.iter().map(|one| is(one.as_ref()));
        if self.scheme.signature.as_ref().is_some_and(|source| source.all) {
            return each.fold(true, |so_far, one| so_far & one);
        }
        each.any(|one| one)
    }

    /// The bytes of those that are written as they should be; `None` when that settles it.
    fn decoded(&self, signatures: &[Cow<'_, [u8]>]) -> Option<Vec<Vec<u8>>> {
        let all = self.scheme.signature.as_ref().is_some_and(|source| source.all);
        let read = signatures.iter().filter_map(|one| decode(self.scheme.encoding, one));
        let read: Vec<_> = read.collect();
        let is_settled = read.is_empty() || all && read.len() < signatures.len();
        (!is_settled).then_some(read)
    }

    /// The message in one piece, made once for all keys, for `read`.
    fn whole<R>(
        &self,
        message: &Message,
        (url, number): (usize, usize),
        given: &Given<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Fault> {
        if message.is_body() {
            return Ok(read(given.request.body));
        }
        if message.has_secret() {
            return Ok(read(&message.bytes(given)?));
        }
        let place = (self.way, url, number);
        let mut made = self.made.borrow_mut();
        if made.as_ref().is_none_or(|made| made.0 != place) {
            *made = Some((place, message.bytes(given)?));
        }
        Ok(read(made.as_ref().map_or(&[], |made| &made.1)))
    }

    /// Whether a signature, as it is written, is that tag.
    fn is_tag(&self, signature: &[u8], tag: &[u8]) -> bool {
        let is = |encoding| {
            let decoded = decode(encoding, signature);
            decoded.is_some_and(|decoded| verify_slices_are_equal(&decoded, tag).is_ok())
        };
        match self.scheme.encoding {
            Encoding::HexOrBase64 => is(Encoding::Hex) | is(Encoding::Base64),
            encoding => is(encoding),
        }
    }
}

fn rsa(mac: Mac) -> &'static RsaParameters {
    match mac {
        Mac::RsaSha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    }
}

/// The digests that a message may be signed with, made in one go.
pub(super) fn plain_digests(
    mac: Mac,
    bytes: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Fault>,
) -> Result<Vec<Digest>, Fault> {
    let (sha1, sha256) = (&SHA1_FOR_LEGACY_USE_ONLY, &SHA256);
    let algorithms: &[&'static Algorithm] = match mac {
        Mac::Sha1 => &[sha1],
        Mac::Sha256 => &[sha256],
        _ => &[sha1, sha256],
    };
    let mut made: Vec<_> = algorithms.iter().map(|one| digest::Context::new(one)).collect();
    bytes(&mut |bytes| made.iter_mut().for_each(|one| one.update(bytes)))?;
    Ok(made.into_iter().map(digest::Context::finish).collect())
}

/// The bytes of a signature; `None` when it is not written so.
fn decode(encoding: Encoding, text: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex(text),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::HexOrBase64 => hex(text).or_else(|| STANDARD.decode(text).ok()),
        Encoding::Text => Some(text.to_vec()),
    }
}

/// An address as it is, without a port, and with its scheme's usual one.
fn ports(url: Option<&str>) -> Vec<String> {
    let Some(url) = url else { return Vec::new() };
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let start = authority.rfind('@').map_or(0, |at| at + 1);
    let port = authority[start..].rfind(':').map(|at| start + at);
    let is_port = |at: &usize| {
        let digits = &authority[at + 1..];
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let bare = port.filter(is_port).map_or(authority, |at| &authority[..at]);
    let usual = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    vec![
        url.to_owned(),
        format!("{scheme}://{bare}{path}"),
        format!("{scheme}://{bare}:{usual}{path}"),
    ]
}
