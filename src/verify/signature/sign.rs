//! The rows read backwards: a request as its provider would sign it. In: a provider, a secret or a private key, what is
//! to be sent, a moment, an id. Out: the same with its signature, in headers, query or body. Judges nothing.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::id::Secret;

use super::fault::{Fault, SchemeFault};
use super::judge::plain_digests;
use super::material::{Key, Material, to_hex};
use super::message::{Given, Part};
use super::odd;
use super::private::{Private, is_private};
use super::request::{Parameters, Request};
use super::scheme::{Mac, Provider, Scheme, Special, Unit};
use super::source::{From, Source};
use super::token;
use super::when::When;
use super::written::{escape, put_field, set, time, written};

/// A request that is to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its method.
    pub method: Method,
    /// Its headers so far.
    pub headers: HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What is signed beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// The moment, in seconds since 1970.
    pub now: i64,
    /// The id of the message, where one is signed.
    pub id: &'a str,
}

/// A provider's way of signing, with what signs.
pub struct Signer<'a> {
    name: &'a str,
    scheme: &'a Scheme,
    secret: &'a Secret,
    /// The private key, where the secret is something else.
    key: Option<&'a Secret>,
    parameters: Parameters,
    /// The query of the setting `url`.
    query: Option<String>,
}

impl<'a> Signer<'a> {
    /// The way of that number, counted from 1; without one, the first that the provider still uses and that fits what
    /// is given.
    ///
    /// # Errors
    /// There is none, or it signs with what only the provider has, or a setting is missing.
    pub fn new(
        name: &'a str,
        provider: &'a Provider,
        secret: &'a Secret,
        mut parameters: Parameters,
        number: Option<usize>,
    ) -> Result<Self, SchemeFault> {
        let unsignable = |why| SchemeFault::Unsignable { provider: name.to_owned(), why };
        let most = provider.schemes.len();
        if most == 0 {
            return Err(unsignable("it signs nothing"));
        }
        let fits = |scheme: &&Scheme| !scheme.legacy && is_settled(scheme, secret, &parameters);
        let scheme = match number {
            Some(number) => number.checked_sub(1).and_then(|place| provider.schemes.get(place)),
            None => provider.schemes.iter().find(fits),
        };
        let scheme = scheme.ok_or_else(|| SchemeFault::Way { provider: name.to_owned(), most })?;
        let url = scheme.needs_url().then_some("url");
        let missing = scheme.parameters().chain(url).find(|name| !parameters.contains_key(*name));
        if let Some(missing) = missing {
            let (provider, name) = (name.to_owned(), missing.to_owned());
            return Err(SchemeFault::Parameter { provider, name });
        }
        // What is signed is the whole address; its query also goes with the request.
        let mut query = None;
        if let Some(url) = parameters.get_mut("url")
            && let Some((bare, behind)) = url.split_once('?')
        {
            query = Some(behind.to_owned());
            *url = bare.to_owned();
        }
        Ok(Self { name, scheme, secret, key: None, parameters, query })
    }

    /// The same with a private key beside its secret: of a certificate that stands in for the provider's.
    #[must_use]
    pub fn with_key(self, key: Option<&'a Secret>) -> Self {
        Self { key, ..self }
    }

    /// Signs a request.
    ///
    /// # Errors
    /// The secret has not the form, or the request lacks what is signed.
    pub fn sign(&self, draft: Draft, mark: Mark<'_>) -> Result<Draft, SchemeFault> {
        let mut work = Work { signer: self, draft, put: Vec::new() };
        if self.query.is_some() {
            work.draft.query.clone_from(&self.query);
        }
        work.prepare(mark)?;
        match self.scheme.special {
            Some(special) => work.sign_special(special)?,
            None if self.scheme.mac == Mac::Jwt => {
                let token = work.token(mark)?;
                work.put(self.signature()?, &token)?;
            }
            None => {
                let tag = work.tag()?;
                work.put(self.signature()?, &tag)?;
            }
        }
        Ok(work.draft)
    }

    fn signature(&self) -> Result<&Source, SchemeFault> {
        self.scheme.signature.as_ref().ok_or_else(|| self.unsignable("its row names no place"))
    }

    fn unsignable(&self, why: &'static str) -> SchemeFault {
        SchemeFault::Unsignable { provider: self.name.to_owned(), why }
    }

    fn key(&self) -> Result<hmac::Key, SchemeFault> {
        match Material::new(self.name, self.scheme, self.secret, &self.parameters)?.key {
            Key::Hmac(key) => Ok(*key),
            _ => Err(self.unsignable("it has no shared key")),
        }
    }

    /// The private key that signs.
    fn signing(&self) -> Result<&Secret, SchemeFault> {
        let in_message = self.scheme.message.0.iter().any(|part| matches!(part, Part::Secret));
        match self.key {
            Some(key) => Ok(key),
            None if self.scheme.certificate.is_some() && in_message => {
                Err(self
                    .unsignable("the private key of a certificate is missing beside the secret"))
            }
            None => Ok(self.secret),
        }
    }

    fn private(&self, form: &'static str) -> SchemeFault {
        SchemeFault::Secret { provider: self.name.to_owned(), form }
    }
}

/// Whether secret and settings are those of a way of signing.
fn is_settled(scheme: &Scheme, secret: &Secret, parameters: &Parameters) -> bool {
    scheme.when.iter().all(|when| match when {
        When::SecretPrefix { secret_prefix } => {
            let public = secret_prefix == "whpk_" && is_private(secret);
            public || secret.expose().starts_with(secret_prefix.as_str())
        }
        When::Parameter { parameter } => parameters.contains_key(parameter),
        // Whoever wants the digest of the body in the address says so.
        When::Query { query } => parameters.get("url").is_some_and(|url| {
            url.split_once('?').is_some_and(|(_, fields)| fields.contains(query.as_str()))
        }),
        When::Header { .. } | When::Item { .. } => true,
    })
}

/// A request that is being signed.
struct Work<'a> {
    signer: &'a Signer<'a>,
    draft: Draft,
    /// Headers that were written by now: what comes later is put behind.
    put: Vec<HeaderName>,
}

impl Work<'_> {
    fn request(&self) -> Request<'_> {
        Request {
            method: &self.draft.method,
            headers: &self.draft.headers,
            query: self.draft.query.as_deref(),
            body: &self.draft.body,
            slug: None,
            certificate: None,
            parsed: None,
        }
    }

    /// All that is signed beside what is there.
    fn prepare(&mut self, mark: Mark<'_>) -> Result<(), SchemeFault> {
        let scheme = self.signer.scheme;
        if scheme.special == Some(Special::AwsSns) {
            self.wrap_sns(mark)?;
        }
        if let Some(certificate) = &scheme.certificate
            && certificate.url.read_one(&self.request(), &self.signer.parameters).is_err()
        {
            // Nothing is there: whoever judges has the certificate from a file.
            self.put(&certificate.url, &certificate.example())?;
        }
        for when in &scheme.when {
            match when {
                When::Header { header, is: Some(is), .. } => self.header(&header.0, is)?,
                When::Item { item_of, item, is: Some(is), or_missing: false } => {
                    self.header(&item_of.0, &format!("{item}={is}"))?;
                }
                _ => {}
            }
        }
        for part in &scheme.message.0 {
            match part {
                Part::Form(field) if self.request().form(field)?.is_none() => {
                    self.draft.body =
                        [field.as_bytes(), b"=", escape(&self.draft.body).as_bytes()].concat();
                }
                Part::Json(pointer) if self.request().json(pointer)?.is_empty() => {
                    self.put_json(pointer, mark.id)?;
                }
                _ => {}
            }
        }
        if let Some(source) = &scheme.time {
            let is_left = scheme.time_optional && matches!(source.from, From::Json(_));
            if !is_left {
                self.put(source, &time(scheme.unit, mark.now))?;
            }
        }
        if let Some(source) = &scheme.id {
            self.put(source, mark.id)?;
        }
        if let Some(source) = &scheme.names {
            let put = &self.put;
            let names = self.draft.headers.keys().filter(|name| !put.contains(name));
            let names: Vec<&str> = names.map(HeaderName::as_str).collect();
            if names.is_empty() {
                return Err(self.signer.unsignable("it signs headers by their names: give some"));
            }
            let names = names.join(" ");
            self.put(source, &names)?;
        }
        if let Some(name) = scheme.body_digest.as_ref().and_then(|digest| digest.query.as_ref()) {
            let digest = to_hex(digest(&SHA256, &self.draft.body).as_ref());
            self.put_query(name, &digest);
        }
        Ok(())
    }

    /// The message, to whoever makes a signature of it.
    fn message(
        &self,
        special: impl FnOnce(&Given<'_>) -> Result<Vec<u8>, Fault>,
    ) -> Result<Vec<u8>, Fault> {
        let (scheme, parameters) = (self.signer.scheme, &self.signer.parameters);
        let request = self.request();
        let one = |source: &Option<Source>| match source {
            Some(source) => match source.read_one(&request, parameters) {
                Err(Fault::Missing(_)) => Ok(std::borrow::Cow::default()),
                read => read,
            },
            None => Ok(std::borrow::Cow::default()),
        };
        let (time, id, names) = (one(&scheme.time)?, one(&scheme.id)?, one(&scheme.names)?);
        let url = scheme.needs_url().then(|| request.address(parameters)).transpose()?;
        special(&Given {
            request: &request,
            url: url.as_deref(),
            time: &time,
            id: &id,
            names: &names,
            secret: self.signer.secret.expose().as_bytes(),
        })
    }

    /// The signature, as it is written.
    fn tag(&self) -> Result<String, SchemeFault> {
        let Signer { name, scheme, secret, ref parameters, .. } = *self.signer;
        let message = || self.message(|given| scheme.message.bytes(given));
        let bytes = match scheme.mac {
            Mac::Ed25519 | Mac::EcdsaP256 | Mac::RsaSha1 | Mac::RsaSha256 => {
                let form = "its private key, as PEM of PKCS#8 (Ed25519: or its seed)";
                let key = Private::of_scheme(scheme.mac, scheme.secret, self.signer.signing()?);
                let key = key.ok_or_else(|| self.signer.private(form))?;
                key.sign(None, &message()?).ok_or_else(|| self.signer.private(form))?
            }
            mac => {
                let material = Material::new(name, scheme, secret, parameters)?;
                match &material.key {
                    Key::Hmac(key) => hmac::sign(key, &message()?).as_ref().to_vec(),
                    Key::Text if mac == Mac::Equal => material.text,
                    Key::Text => {
                        let message = message()?;
                        let digests = plain_digests(mac, |feed| {
                            feed(&message);
                            Ok(())
                        })?;
                        digests.last().map(|one| one.as_ref().to_vec()).unwrap_or_default()
                    }
                    _ => return Err(self.signer.unsignable("its key is not shared")),
                }
            }
        };
        written(scheme.encoding, &bytes).ok_or_else(|| self.signer.private("text"))
    }

    fn token(&self, mark: Mark<'_>) -> Result<String, SchemeFault> {
        let Signer { scheme, secret, parameters, .. } = self.signer;
        let claims = token::claims(scheme, &self.request(), parameters, mark.now, mark.id)?;
        let kid = parameters.get("kid").map(String::as_str);
        let form = "a shared secret, or a private key as PEM of PKCS#8";
        token::sign(scheme, secret, kid, &claims).ok_or_else(|| self.signer.private(form))
    }

    fn sign_special(&mut self, special: Special) -> Result<(), SchemeFault> {
        match special {
            Special::AdyenItems => {
                let key = self.signer.key()?;
                let tags: Vec<String> = odd::adyen_signed(&self.request())?
                    .iter()
                    .map(|(message, _)| STANDARD.encode(hmac::sign(&key, message.as_bytes())))
                    .collect();
                let mut body = self.json()?;
                let items = match body.get("notificationItems") {
                    Some(_) => {
                        body["notificationItems"].as_array_mut().into_iter().flatten().collect()
                    }
                    None => vec![&mut body],
                };
                for (item, tag) in items.into_iter().zip(tags) {
                    let item = match item.get("NotificationRequestItem") {
                        Some(_) => &mut item["NotificationRequestItem"],
                        None => item,
                    };
                    item["additionalData"]["hmacSignature"] = tag.into();
                }
                self.draft.body = body.to_string().into_bytes();
                Ok(())
            }
            Special::ContentfulCanonical => {
                let list = HeaderName::from_static("x-contentful-signed-headers");
                let place = HeaderName::from_static("x-contentful-signature");
                let mut names: Vec<&str> =
                    self.draft.headers.keys().map(HeaderName::as_str).collect();
                names.push(list.as_str());
                names.sort_unstable();
                let names = names.join(",");
                self.header(&list, &names)?;
                let message = self.message(odd::contentful_message)?;
                self.header(&place, &to_hex(hmac::sign(&self.signer.key()?, &message).as_ref()))
            }
            Special::ClientCertificate => {
                Err(self.signer.unsignable("a certificate is shown, and nothing is signed"))
            }
            Special::AwsSns => self.sign_sns(),
        }
    }

    /// A message of SNS; a body that is none becomes the text of a notification.
    fn wrap_sns(&mut self, mark: Mark<'_>) -> Result<(), SchemeFault> {
        let sent = self.json().ok().filter(|body| body.get("Type").is_some());
        let mut body = if let Some(body) = sent {
            body
        } else {
            let text = std::str::from_utf8(&self.draft.body).map_err(|_| Fault::Body("text"))?;
            serde_json::json!({ "Type": "Notification", "Message": text })
        };
        let topic = self.signer.parameters.get("topic").cloned().unwrap_or_default();
        let members = body.as_object_mut().ok_or(Fault::Body("JSON"))?;
        for (name, value) in [
            ("MessageId", mark.id.to_owned()),
            ("TopicArn", topic),
            ("Timestamp", time(Unit::Rfc3339, mark.now)),
            ("SignatureVersion", "2".to_owned()),
        ] {
            members.entry(name).or_insert_with(|| value.into());
        }
        self.draft.body = body.to_string().into_bytes();
        Ok(())
    }

    fn sign_sns(&mut self) -> Result<(), SchemeFault> {
        let mut body = self.json()?;
        if body["SignatureVersion"] != "2" {
            return Err(self.signer.unsignable("only version 2 is signed, with SHA-256"));
        }
        let form = "an RSA private key, as PEM";
        let key = Private::rsa(self.signer.signing()?).ok_or_else(|| self.signer.private(form))?;
        let message = odd::sns_message(&self.request())?;
        let tag = key.sign(None, message.as_bytes()).ok_or_else(|| self.signer.private(form))?;
        body["Signature"] = STANDARD.encode(tag).into();
        self.draft.body = body.to_string().into_bytes();
        Ok(())
    }

    /// Writes a value where its provider would.
    fn put(&mut self, source: &Source, value: &str) -> Result<(), SchemeFault> {
        let prefix = source.whole_prefix(&self.signer.parameters)?;
        let text = format!("{prefix}{value}");
        match &source.from {
            From::Headers(names) => {
                let Some(name) = names.first() else { return Ok(()) };
                let before = source.split.filter(|_| self.put.contains(name)).and_then(|split| {
                    let before = self.draft.headers.get(name)?.to_str().ok()?;
                    Some(format!("{before}{split}"))
                });
                let text = before.unwrap_or_default() + &text;
                self.header(name, &text)
            }
            From::Stem(stem) => {
                let name = HeaderName::try_from(format!("{stem}1"));
                let name = name.map_err(|_| self.signer.unsignable("its row names no header"))?;
                self.header(&name, &text)
            }
            From::HeaderParameter(parameter) => {
                let named = self.signer.parameters.get(parameter);
                let name = named.and_then(|name| HeaderName::try_from(name).ok());
                let name = name.ok_or_else(|| Fault::Parameter(parameter.clone()))?;
                self.header(&name, &text)
            }
            From::Json(pointer) => self.put_json(pointer, &text),
            From::Form(name) => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.draft.headers.entry(CONTENT_TYPE).or_insert(form);
                put_field(&mut self.draft.body, name, &text);
                Ok(())
            }
            From::Query(name) => {
                self.put_query(name, &text);
                Ok(())
            }
            From::Body => {
                let token = HeaderValue::from_static("application/jwt");
                self.draft.headers.insert(CONTENT_TYPE, token);
                self.draft.body = text.into_bytes();
                Ok(())
            }
        }
    }

    fn header(&mut self, name: &HeaderName, value: &str) -> Result<(), SchemeFault> {
        let value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| self.signer.private("text that a header can hold"))?;
        self.draft.headers.insert(name, value);
        self.put.push(name.clone());
        Ok(())
    }

    fn put_query(&mut self, name: &str, value: &str) {
        let mut query = self.draft.query.take().unwrap_or_default().into_bytes();
        put_field(&mut query, name, value);
        self.draft.query = String::from_utf8(query).ok();
    }

    fn json(&self) -> Result<serde_json::Value, Fault> {
        serde_json::from_slice(&self.draft.body).map_err(|_| Fault::Body("JSON"))
    }

    fn put_json(&mut self, pointer: &str, text: &str) -> Result<(), SchemeFault> {
        let mut body = self.json()?;
        let steps: Vec<&str> = pointer.split('/').skip(1).collect();
        let put = set(&mut body, &steps, text);
        put.ok_or_else(|| Fault::Missing(format!("room for body field {pointer}")))?;
        self.draft.body = body.to_string().into_bytes();
        Ok(())
    }
}
