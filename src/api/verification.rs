//! How a webhook's requests are verified. In: provider, secrets, tolerance, settings, as a body says them. Out: the
//! same without the secrets, which go where nothing shows them, each with a name; or what is wrong. A secret that is
//! kept is said by its name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::catalogue::Fault;
use crate::clock::{Clock, Time};
use crate::parse::redact::Rules;
use crate::request::FixedReply;
use crate::store::{
    Hidden, REDACT, REPLY, Record, Shared, VERIFICATION, VERIFICATION_SECRETS, Verification,
};
use crate::verify::allowlist::Networks;
use crate::verify::signature::{
    Means, Parameters, Registry, SECRETS_MAX, SLUG_PLACE, SchemeFault, Verifier,
};

/// What may be said.
pub(super) const KEYS: [&str; 7] =
    ["provider", "secrets", "tolerance", "required", "parameters", "once", "enrol"];
/// The field that holds from where a webhook may be called.
const NETWORKS: &str = "networks";
/// Longest time that a webhook waits for a secret: the sooner it ends, the fewer may bring one.
const ENROL_MAX_SECONDS: i64 = 7 * 86_400;
/// Longest time the clocks may differ.
const TOLERANCE_MAX_SECONDS: u64 = 86_400;
/// Shortest secret that we take where a provider leaves the choice to the owner; providers make longer ones.
const SECRET_MIN_BYTES: usize = 8;

/// Puts the secrets of a webhook where nothing shows them, and names them. What is no setting stays as it is, for
/// [`vet`] to refuse.
pub(super) fn complete(before: Option<&Record>, record: &mut Record, now: Time, clock: &Clock) {
    let said = match record.fields.get(VERIFICATION) {
        None => return,
        Some(Value::Object(said)) => said.clone(),
        Some(_) => {
            record.fields.insert(VERIFICATION_SECRETS.to_owned(), Value::Null);
            record.conceal();
            return;
        }
    };
    let kept = before.and_then(Record::verification);
    let standing = before.and_then(|before| before.fields.get(VERIFICATION));
    if standing == Some(&Value::Object(said.clone())) {
        return;
    }
    let same =
        kept.as_ref().is_some_and(|kept| said.get("provider") == Some(&json!(kept.provider)));
    let listed = match said.get("secrets") {
        None | Some(Value::Null) if same => standing
            .and_then(|standing| standing["secrets"].as_array())
            .cloned()
            .unwrap_or_default(),
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(listed)) => listed.clone(),
        Some(_) => return,
    };
    let said_secrets_are_kept = said.get("secrets").is_none_or(Value::is_null);
    // Whose secrets they are is part of what they are: those of one provider say nothing of another's requests.
    let kept = kept.filter(|_| same);
    let (told, secrets) = sort(&listed, standing, kept.as_ref(), (now, clock));
    let mut kept: Map<String, Value> = said;
    hide_slug(&record.hidden, &mut kept);
    kept.insert("secrets".to_owned(), told.into());
    kept.entry("required").or_insert(true.into());
    let waits = kept.get("enrol").and_then(Value::as_str).and_then(Time::parse);
    let is_kept = said_secrets_are_kept && !secrets.is_empty();
    if is_kept {
        // It came by now; whoever says again what was said before changes nothing.
        kept.remove("enrol");
    } else if let Some(until) = waits {
        let until = until.min(now.plus_seconds(ENROL_MAX_SECONDS));
        kept.insert("enrol".to_owned(), until.to_string().into());
    } else if kept.get("enrol").is_some_and(Value::is_null) {
        kept.remove("enrol");
    }
    record.fields.insert(VERIFICATION.to_owned(), kept.into());
    let text = if secrets.is_empty() { Value::Null } else { json!(secrets).to_string().into() };
    record.fields.insert(VERIFICATION_SECRETS.to_owned(), text);
    record.conceal();
}

/// Secrets as they are shown, and themselves by their names. What is none, and what is said twice, is shown as that,
/// for [`vet`] to refuse.
fn sort(
    listed: &[Value],
    standing: Option<&Value>,
    kept: Option<&Verification>,
    (now, clock): (Time, &Clock),
) -> (Vec<Value>, BTreeMap<String, String>) {
    let mut secrets = BTreeMap::new();
    let mut told = Vec::new();
    let mut typed = Vec::new();
    for one in listed {
        let Some((id, secret)) = name(one, kept, clock) else {
            told.push(json!({ "unknown": true }));
            continue;
        };
        let is_typed = text_of(one).is_some();
        let twice = secrets.iter().find(|(other, text)| **other == id || **text == secret);
        if let Some((twice, _)) = twice {
            // A name that stands there twice was kept so once, and says one thing.
            if is_typed || typed.contains(twice) {
                let is_kept =
                    kept.is_some_and(|kept| kept.secrets.iter().any(|one| one.name == *twice));
                told.push(json!({ "twice": is_kept.then_some(twice) }));
            }
            continue;
        }
        if is_typed {
            typed.push(id.clone());
        }
        let since = standing.and_then(|standing| {
            let listed = standing["secrets"].as_array()?;
            listed.iter().find(|listed| listed["id"] == id.as_str()).cloned()
        });
        let mut shown = since.unwrap_or_else(|| json!({ "id": id, "set": now.to_string() }));
        // Whoever types one again means it to count, as a new one does.
        let until = one.get("until").or(is_typed.then_some(&Value::Null));
        if let (Some(until), Some(shown)) = (until, shown.as_object_mut()) {
            shown.remove("until");
            if !until.is_null() {
                shown.insert("until".to_owned(), until.clone());
            }
        }
        let end = shown["until"].as_str().and_then(Time::parse);
        // One that counts no more is kept no longer.
        if end.is_none_or(|end| end > now) {
            told.push(shown);
            secrets.insert(id, secret);
        }
    }
    (told, secrets)
}

/// A slug in an address would be shown with it: the hook's own place stands for it.
fn hide_slug(hidden: &Hidden, said: &mut Map<String, Value>) {
    let Hidden::Slug(slugs) = hidden else { return };
    let Some(Value::Object(parameters)) = said.get_mut("parameters") else { return };
    let former = slugs.former.as_ref().map(|former| former.slug.expose());
    for slug in std::iter::once(slugs.present.expose()).chain(former) {
        for value in parameters.values_mut() {
            if let Some(text) = value.as_str().filter(|text| text.contains(slug)) {
                *value = text.replace(slug, SLUG_PLACE).into();
            }
        }
    }
}

/// A secret with its name: one that is kept by its name or its text, or a new one. `None` when no such is kept.
fn name(said: &Value, kept: Option<&Verification>, clock: &Clock) -> Option<(String, String)> {
    let mut known = kept.into_iter().flat_map(|kept| &kept.secrets);
    let owned = |one: &Shared| (one.name.clone(), one.secret.expose().to_owned());
    match (text_of(said), said) {
        (Some(text), _) => {
            let same = known.find(|one| one.secret.expose() == text).map(owned);
            let fresh = || {
                let [.., a, b, c, d] = clock.chance();
                (format!("{:08x}", u32::from_be_bytes([a, b, c, d])), text.to_owned())
            };
            Some(same.unwrap_or_else(fresh))
        }
        (None, Value::Object(named)) => {
            let id = named.get("id")?.as_str()?;
            known.find(|known| known.name == id).map(owned)
        }
        _ => None,
    }
}

/// The secret itself, where it is said.
fn text_of(said: &Value) -> Option<&str> {
    said.as_str().or_else(|| said.get("secret")?.as_str())
}

/// Puts the networks of a webhook in their one form; what is none stays, for [`vet_networks`] to refuse.
pub(super) fn complete_networks(record: &mut Record) {
    let Some(listed) = record.fields.get(NETWORKS).and_then(Value::as_array) else { return };
    let Ok(networks) = Networks::read(listed) else { return };
    let kept = if listed.is_empty() { Value::Null } else { networks.to_value() };
    record.fields.insert(NETWORKS.to_owned(), kept);
}

/// Refuses what is no network.
pub(super) fn vet_networks(after: Option<&Record>) -> Result<(), Problem> {
    let listed = after.and_then(|after| after.fields.get(NETWORKS)?.as_array());
    let Some(Err(place)) = listed.map(|listed| Networks::read(listed)) else { return Ok(()) };
    let says =
        format!("Value error, network {place} is none, such as 203.0.113.0/24 or 2001:db8::1");
    Err(Problem::Invalid(vec![Fault::new("value_error", &["body", NETWORKS], says)]))
}

/// Puts the rules of what is not kept in their one form; what is none stays, for [`vet_redaction`] to refuse.
pub(super) fn complete_redaction(record: &mut Record) {
    let Some(said) = record.fields.get(REDACT).filter(|said| !said.is_null()) else { return };
    let Ok(rules) = Rules::read(said) else { return };
    let kept = if rules.is_empty() { Value::Null } else { rules.to_value() };
    record.fields.insert(REDACT.to_owned(), kept);
}

/// Refuses rules that mean nothing.
pub(super) fn vet_redaction(after: Option<&Record>) -> Result<(), Problem> {
    let said = after.and_then(|after| after.fields.get(REDACT)).filter(|said| !said.is_null());
    let Some(Err(fault)) = said.map(Rules::read) else { return Ok(()) };
    let says = format!("Value error, {fault}");
    Err(Problem::Invalid(vec![Fault::new("value_error", &["body", REDACT], says)]))
}

/// Puts what is told to whose request was taken in its one form; what is none stays, for [`vet_reply`] to refuse.
pub(super) fn complete_reply(record: &mut Record) {
    let Some(said) = record.fields.get(REPLY).filter(|said| !said.is_null()) else { return };
    let Ok(reply) = FixedReply::read(said) else { return };
    record.fields.insert(REPLY.to_owned(), reply.to_value());
}

/// Refuses replies that are no word of thanks, and those that a browser would run.
pub(super) fn vet_reply(after: Option<&Record>) -> Result<(), Problem> {
    let said = after.and_then(|after| after.fields.get(REPLY)).filter(|said| !said.is_null());
    let Some(Err(fault)) = said.map(FixedReply::read) else { return Ok(()) };
    let says = format!("Value error, {fault}");
    Err(Problem::Invalid(vec![Fault::new("value_error", &["body", REPLY], says)]))
}

/// Refuses what verifies nothing.
pub(super) fn vet(
    before: Option<&Record>,
    after: Option<&Record>,
    providers: &Registry,
    means: Means,
) -> Result<(), Problem> {
    let Some(after) = after else { return Ok(()) };
    let Some(said) = after.fields.get(VERIFICATION).filter(|said| !said.is_null()) else {
        return Ok(());
    };
    // What was taken before there was a rule, or while its provider was there, does not keep its webhook from being
    // changed, or disabled.
    if before.and_then(|before| before.fields.get(VERIFICATION)) == Some(said) {
        return Ok(());
    }
    let wrong = |part: &str, says: &str| {
        let says = format!("Value error, {says}");
        Problem::Invalid(vec![Fault::new("value_error", &["body", VERIFICATION, part], says)])
    };
    let unknown =
        said.as_object().and_then(|said| said.keys().find(|key| !KEYS.contains(&&***key)));
    if let Some(unknown) = unknown {
        return Err(wrong(unknown, &format!("it is one of {}", KEYS.join(", "))));
    }
    let listed = said["secrets"].as_array().ok_or_else(|| wrong("secrets", "a list of texts"))?;
    if listed.len() > SECRETS_MAX {
        return Err(wrong("secrets", &format!("at most {SECRETS_MAX} secrets count at once")));
    }
    if listed.iter().any(|one| one.get("unknown").is_some()) {
        let says =
            "a secret is a text, {\"secret\": …, \"until\": …}, or {\"id\": …} of one that is kept";
        return Err(wrong("secrets", says));
    }
    if let Some(twice) = listed.iter().find_map(|one| one.get("twice")) {
        let says = match twice.as_str() {
            Some(id) => format!("a secret is kept already, as {id}: say it once"),
            None => "a secret is there twice".to_owned(),
        };
        return Err(wrong("secrets", &says));
    }
    let is_end = |end: &Value| end.as_str().is_some_and(|text| Time::parse(text).is_some());
    if listed.iter().filter_map(|one| one.get("until")).any(|end| !is_end(end)) {
        return Err(wrong("secrets", "`until` is a moment, such as 2026-11-29T01:00:00Z"));
    }
    let tolerance = &said["tolerance"];
    let sized = tolerance.as_u64().is_some_and(|most| (1..=TOLERANCE_MAX_SECONDS).contains(&most));
    if !(tolerance.is_null() || sized) {
        let says = format!("seconds, from 1 to {TOLERANCE_MAX_SECONDS}");
        return Err(wrong("tolerance", &says));
    }
    if !said["required"].is_boolean() {
        return Err(wrong("required", "true or false"));
    }
    if !(said["once"].is_null() || said["once"].is_boolean()) {
        return Err(wrong("once", "true or false"));
    }
    let enrol = &said["enrol"];
    if !(enrol.is_null() || is_end(enrol)) {
        return Err(wrong("enrol", "until when, such as 2026-11-29T01:00:00Z"));
    }
    let parameters = &said["parameters"];
    let texts = parameters.as_object().is_some_and(|named| named.values().all(Value::is_string));
    if !(parameters.is_null() || texts) {
        return Err(wrong("parameters", "an object of texts"));
    }
    let verification = after.verification();
    let verification = verification.ok_or_else(|| wrong("provider", "who signs the requests"))?;
    debug_assert!(matches!(after.hidden, Hidden::Slug(_)));
    let made = vet_verifier(&verification, providers, means);
    let vetted = made.and_then(|verifier| {
        vet_padding(&verifier, &verification, before)?;
        vet_words(&verifier)
    });
    vetted.map_err(|(part, says)| wrong(part, &says))
}

/// Refuses new secrets with something around them. One that is kept stays as it is, beside whatever replaces it.
fn vet_padding(
    verifier: &Verifier,
    said: &Verification,
    before: Option<&Record>,
) -> Result<(), (&'static str, String)> {
    let kept = before.and_then(Record::verification).map_or_else(Vec::new, |kept| kept.secrets);
    let is_new = |one: &Shared| kept.iter().all(|kept| kept.name != one.name);
    let mut padded =
        said.secrets.iter().enumerate().filter(|(number, _)| verifier.is_padded(*number));
    if padded.any(|(_, one)| is_new(one)) {
        let says = "a secret begins or ends with white space, a line's end or a control character, which is hardly \
                    part of it: save it without";
        return Err(("secrets", says.to_owned()));
    }
    Ok(())
}

/// Refuses settings that the provider has not, and secrets of which it is not said what each is for.
fn vet_words(verifier: &Verifier) -> Result<(), (&'static str, String)> {
    verifier.check_settings().map_err(|fault| ("parameters", fault.to_string()))?;
    if verifier.is_token_untold() {
        let says = format!(
            "of several secrets of {} it has to be said which is the verify token: put `token:` \
             in front of it",
            verifier.name()
        );
        return Err(("secrets", says));
    }
    Ok(())
}

/// Refuses what is no address that keys are fetched from.
fn vet_keys_address(text: &str) -> Result<(), &'static str> {
    let says = "`jwks_url` is an address of https, without a login or a fragment";
    let uri: http::Uri = text.parse().map_err(|_| says)?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let plain = uri.scheme_str() == Some("https") && !authority.contains('@');
    if plain && !authority.is_empty() && !text.contains('#') { Ok(()) } else { Err(says) }
}

fn vet_verifier(
    said: &Verification,
    providers: &Registry,
    means: Means,
) -> Result<Verifier, (&'static str, String)> {
    let part = |fault: &SchemeFault| match fault {
        SchemeFault::Unknown(_)
        | SchemeFault::Row(_)
        | SchemeFault::Unsignable { .. }
        | SchemeFault::Way { .. }
        | SchemeFault::Request(_) => "provider",
        SchemeFault::Parameter { .. }
        | SchemeFault::Setting { .. }
        | SchemeFault::NoSetting { .. } => "parameters",
        SchemeFault::NoSecret(_) | SchemeFault::Secret { .. } => "secrets",
    };
    let refused = |fault: SchemeFault| (part(&fault), fault.to_string());
    let provider = providers.find(&said.provider).map_err(refused)?;
    let secrets: Vec<_> = said.secrets.iter().map(|one| one.secret.clone()).collect();
    let parameters: Parameters = said.parameters.clone();
    let made =
        Verifier::new(&said.provider, provider, &secrets, parameters, said.tolerance_seconds);
    let verifier = made.map_err(refused)?;
    if let Some(reason) = &provider.unsigned
        && said.required
    {
        let name = &said.provider;
        let says =
            format!("{name} signs nothing ({reason}): say required: false for its handshake");
        return Err(("required", says));
    }
    if said.enrol.is_some() && !verifier.can_enrol() {
        let says = format!("{} brings no secret: it is given as one", said.provider);
        return Err(("enrol", says));
    }
    if said.enrol.is_some() && !secrets.is_empty() {
        return Err(("enrol", "it has a secret: nobody brings another".to_owned()));
    }
    if said.required && !verifier.can_judge() && said.enrol.is_none() {
        let fault = SchemeFault::NoSecret(said.provider.clone());
        return Err(refused(fault));
    }
    let is_short = secrets.iter().any(|secret| secret.expose().len() < SECRET_MIN_BYTES);
    if is_short || verifier.has_token_below(SECRET_MIN_BYTES) {
        let says = format!("a secret has at least {SECRET_MIN_BYTES} bytes");
        return Err(("secrets", says));
    }
    if secrets.iter().any(|secret| secret.expose().trim().is_empty()) {
        return Err(("secrets", "a secret is more than blanks".to_owned()));
    }
    if let Some(name) = said.parameters.get("timestamp_header")
        && http::HeaderName::try_from(name).is_err()
    {
        return Err(("parameters", "`timestamp_header` is the name of a header".to_owned()));
    }
    let given = |name: &str| said.parameters.contains_key(name);
    if said.once && !verifier.signs_requests() {
        let name = &said.provider;
        let says = format!(
            "{name} does not sign requests as a whole, so nothing tells one that is repeated: say \
             what does with dedup_key"
        );
        return Err(("once", says));
    }
    if verifier.needs_url() && !given("url") && verifier.can_judge() {
        let says = "the address is signed, too: `url` is the hook as the sender knows it";
        return Err(("parameters", says.to_owned()));
    }
    vet_certificates(said, &verifier, means)?;
    vet_keys(said, &verifier, means.fetches)?;
    Ok(verifier)
}

/// Refuses certificates that nobody asks for, and secrets beside them.
fn vet_certificates(
    said: &Verification,
    verifier: &Verifier,
    means: Means,
) -> Result<(), (&'static str, String)> {
    if !verifier.is_certified() {
        return Ok(());
    }
    let name = &said.provider;
    if !said.secrets.is_empty() {
        return Err(("secrets", format!("{name} has none: its sender shows a certificate")));
    }
    if !means.certifies {
        let says = format!(
            "{name} needs senders that are asked for certificates, and here nobody is: set \
             server.tls_client_ca, beside server.tls_certificate"
        );
        return Err(("provider", says));
    }
    Ok(())
}

/// Refuses a verification whose keys would be missing.
fn vet_keys(
    said: &Verification,
    verifier: &Verifier,
    fetches: bool,
) -> Result<(), (&'static str, String)> {
    if let Some(missing) = verifier.agreed().find(|name| !said.parameters.contains_key(*name)) {
        let says =
            format!("it signs for everybody: `{missing}` says which of its messages are yours");
        return Err(("parameters", says));
    }
    if let Some(url) = said.parameters.get("jwks_url") {
        vet_keys_address(url).map_err(|says| ("parameters", says.to_owned()))?;
        if !said.secrets.is_empty() {
            let says = "secrets are keys, or `jwks_url` says where they are: not both";
            return Err(("secrets", says.to_owned()));
        }
    }
    if verifier.needs_fetching() && !fetches {
        let says = "nothing is fetched here (fetch.enabled): give its `certificate` as PEM, or its keys as a secret";
        return Err(("parameters", says.to_owned()));
    }
    Ok(())
}
