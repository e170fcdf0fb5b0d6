//! An address as others may see it. In: a text. Out: the same without what may be a secret, nor a sign of it.

/// Hides what may be a secret in an address: user information and values of the query. Of an address that is none,
/// because a password in it has not been escaped, it rather hides too much.
#[must_use]
pub fn mask(text: &str) -> String {
    mask_but(text, |_| false)
}

/// The same, but for values of fields that are shown.
#[must_use]
pub fn mask_but(text: &str, is_shown: impl Fn(&str) -> bool) -> String {
    let Some((scheme, mut rest)) = text.split_once("://") else { return text.to_owned() };
    let mut user = "";
    let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some(at) = place.rfind('@') {
        (user, rest) = ("***@", &rest[at + 1..]);
    }
    let host = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_host =
        host.ends_with(']') || host.rsplit_once(':').is_none_or(|(_, port)| is_port(port));
    if !is_host && let Some(at) = rest.rfind('@') {
        (user, rest) = ("***@", &rest[at + 1..]);
    }
    let Some((place, query)) = rest.split_once('?') else {
        return format!("{scheme}://{user}{rest}");
    };
    let hide = |pair: &str| match pair.split_once('=') {
        // What looks like another setting in its value is none that is shown: somebody took one sign for another.
        Some((name, value)) if is_shown(name) && !value.contains(['?', '=']) => pair.to_owned(),
        Some((name, _)) => format!("{name}=***"),
        None => "***".to_owned(),
    };
    let query: Vec<String> = query.split('&').map(hide).collect();
    format!("{scheme}://{user}{place}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_hidden_and_nothing_else() {
        let shown = [
            ("https://example.com/in?topic=a&x", "https://example.com/in?topic=***&***"),
            ("https://me:word@example.com:81/in", "https://***@example.com:81/in"),
            ("nats://a@b@c/x?q=1", "nats://***@c/x?q=***"),
            ("https://example.com?key=1", "https://example.com?key=***"),
            ("https://[::1]:80/in?mail=a@b", "https://[::1]:80/in?mail=***"),
            ("http://h/?rate=5/s&ratex=1", "http://h/?rate=5/s&ratex=***"),
            ("http://h/?rate=5/s?token=1", "http://h/?rate=***"),
            // Passwords with what ends a place.
            ("https://me:wo/rd@example.com/in", "https://***@example.com/in"),
            ("https://me:wo?rd@example.com/in", "https://***@example.com/in"),
            ("https://me:w@r/d@example.com", "https://***@example.com"),
            (
                "http://user:S2C://user:word@12@.0.0.1:1/x?token=a",
                "http://***@.0.0.1:1/x?token=***",
            ),
            ("file:out", "file:out"),
        ];
        for (address, expected) in shown {
            assert_eq!(mask_but(address, |name| name == "rate"), expected);
        }
    }
}
