//! Senders who show a certificate when their connection begins. In: what it says, and the names that the owner agreed
//! to. Out: who it is, or the fact that speaks against it. That an authority vouches for it was found before; here is
//! found whether it is one of those that this webhook takes.

use super::fault::{Fault, SchemeFault};
use super::request::Parameters;
use crate::request::ClientCertificate;
use crate::verify::certificate::Term;

/// The settings that name who is taken; what several say has to hold together.
pub(super) const SETTINGS: [&str; 5] = ["cn", "dns", "uri", "email", "fingerprint"];
/// Most names of one setting.
const NAMES_MAX: usize = 100;
/// Digits of a SHA-256 in hex.
const FINGERPRINT_DIGITS: usize = 64;

/// Refuses settings that name nobody, or what this provider has not: a name that is passed over would let others in.
///
/// # Errors
/// [`SchemeFault::Parameter`]: nobody is named. [`SchemeFault::Setting`]: what is wrong with one.
pub(super) fn check(provider: &str, parameters: &Parameters) -> Result<(), SchemeFault> {
    let wrong = |name: &str, form| {
        let (provider, name) = (provider.to_owned(), name.to_owned());
        Err(SchemeFault::Setting { provider, name, form })
    };
    if parameters.is_empty() {
        let (provider, name) = (provider.to_owned(), SETTINGS.join("` or `"));
        return Err(SchemeFault::Parameter { provider, name });
    }
    for (name, text) in parameters {
        if !SETTINGS.contains(&&**name) {
            return wrong(name, "one of cn, dns, uri, email and fingerprint");
        }
        let count = agreed(name, text).count();
        if count == 0 || count > NAMES_MAX {
            return wrong(name, "one name or more, up to 100");
        }
        if name == "dns" && text.contains('*') {
            return wrong(name, "names of hosts as they are: `*` stands for none");
        }
        if name == "fingerprint" && !agreed(name, text).all(is_fingerprint) {
            return wrong(
                name,
                "the SHA-256 of the certificate: 64 digits of hex, with colons or without",
            );
        }
    }
    Ok(())
}

/// Who shows a certificate: the names that are agreed to, each behind its setting.
///
/// # Errors
/// [`Fault`]: there is none, it does not count now, or it is somebody else's.
pub(super) fn sender(
    certificate: Option<&ClientCertificate>,
    parameters: &Parameters,
    now: Option<i64>,
) -> Result<String, Fault> {
    let certificate = certificate.ok_or(Fault::NoCertificate)?;
    // A connection may live longer than what it was opened with.
    let term = Term { since: certificate.since, until: certificate.until };
    if now.is_some_and(|now| !term.holds(now)) {
        return Err(Fault::Certificate("does not count now"));
    }
    let mut said = Vec::new();
    for setting in SETTINGS {
        let Some(text) = parameters.get(setting) else { continue };
        let mut names = named(setting, certificate).iter();
        let found = names.find(|name| agreed(setting, text).any(|one| is(setting, one, name)));
        let Some(name) = found else {
            let place = format!("the {setting} of the client certificate");
            return Err(Fault::Another { place, setting: setting.to_owned() });
        };
        said.push(format!("{setting}:{name}"));
    }
    if said.is_empty() {
        return Err(Fault::Parameter(SETTINGS.join("` or `")));
    }
    Ok(said.join(" "))
}

/// The names that a setting agrees to: blanks are between them; common names have some, so each has a line.
fn agreed<'a>(setting: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let by_line = setting == "cn";
    let ends = move |c: char| if by_line { c == '\n' } else { c.is_ascii_whitespace() };
    text.split(ends).map(str::trim).filter(|name| !name.is_empty())
}

/// What a certificate has of that kind.
fn named<'a>(setting: &str, certificate: &'a ClientCertificate) -> &'a [String] {
    match setting {
        "cn" => certificate.cn.as_slice(),
        "dns" => &certificate.dns,
        "uri" => &certificate.uri,
        "email" => &certificate.email,
        _ => std::slice::from_ref(&certificate.fingerprint),
    }
}

/// Whether a name is the one that was agreed to: letter for letter, but for hosts and digits, which have no case.
fn is(setting: &str, agreed: &str, name: &str) -> bool {
    match setting {
        "dns" => agreed.eq_ignore_ascii_case(name),
        "fingerprint" => digits(agreed).eq(name.chars()),
        _ => agreed == name,
    }
}

/// The digits of a fingerprint, without what stands between them.
fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase())
}

fn is_fingerprint(text: &str) -> bool {
    let count = digits(text).count();
    count == FINGERPRINT_DIGITS && digits(text).all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn parameters(named: &[(&str, &str)]) -> Parameters {
        named.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn shop() -> ClientCertificate {
        ClientCertificate {
            cn: Some("Acme Shop".to_owned()),
            dns: vec!["shop.example.com".to_owned(), "Till.Example.com".to_owned()],
            uri: vec!["spiffe://acme.example/shop".to_owned()],
            email: vec!["shop@acme.example".to_owned()],
            fingerprint: PRINT.to_owned(),
            since: 10,
            until: 20,
        }
    }

    #[test]
    fn a_name_is_taken_letter_for_letter_and_all_settings_hold_together() {
        let colons = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
                      00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
        for (named, said) in [
            (&[("cn", "Acme Shop")][..], Some("cn:Acme Shop")),
            (&[("cn", "Another\n Acme Shop ")], Some("cn:Acme Shop")),
            (&[("cn", "acme shop")], None),
            (&[("cn", "Acme")], None),
            (&[("dns", "other.example SHOP.example.com")], Some("dns:shop.example.com")),
            (&[("dns", "till.example.com")], Some("dns:Till.Example.com")),
            (&[("dns", "example.com")], None),
            (&[("dns", "Acme Shop")], None),
            (&[("uri", "spiffe://acme.example/shop")], Some("uri:spiffe://acme.example/shop")),
            (&[("uri", "spiffe://acme.example/Shop")], None),
            (&[("uri", "spiffe://acme.example/shop/")], None),
            (&[("email", "shop@acme.example")], Some("email:shop@acme.example")),
            (&[("email", "Shop@acme.example")], None),
            (&[("fingerprint", colons)], Some(&format!("fingerprint:{PRINT}"))),
            (&[("fingerprint", "00")], None),
            (
                &[("cn", "Acme Shop"), ("dns", "shop.example.com")],
                Some("cn:Acme Shop dns:shop.example.com"),
            ),
            (&[("cn", "Acme Shop"), ("dns", "other.example")], None),
            (&[], None),
        ] {
            let found = sender(Some(&shop()), &parameters(named), Some(15)).ok();
            assert_eq!(found.as_deref(), said, "{named:?}");
        }
        let settings = parameters(&[("cn", "Acme Shop")]);
        assert_eq!(sender(None, &settings, None), Err(Fault::NoCertificate));
        for (now, counts) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(sender(Some(&shop()), &settings, Some(now)).is_ok(), counts, "{now}");
        }
        let nameless = ClientCertificate { cn: None, ..shop() };
        assert!(sender(Some(&nameless), &settings, None).is_err());
    }

    #[test]
    fn settings_that_name_nobody_are_refused() {
        for (named, told) in [
            (&[][..], "`cn` or `dns`"),
            (&[("dns", " \n ")], "`dns`"),
            (&[("dns", "*.example.com")], "`dns`"),
            (&[("fingerprint", "0011")], "`fingerprint`"),
            (&[("dns", "shop.example.com"), ("CN", "Acme Shop")], "`CN`"),
        ] {
            let fault = check("mtls", &parameters(named)).expect_err("it names nobody");
            assert!(fault.to_string().contains(told), "{named:?}: {fault}");
        }
        let good = parameters(&[("cn", "Acme Shop"), ("fingerprint", PRINT)]);
        assert_eq!(check("mtls", &good), Ok(()));
    }
}
