//! An address as others may see it. In: a text. Out: the same without what may be a secret, nor a sign of it.

/// Hides what may be a secret in an address: user information and values of the query.
#[must_use]
pub fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |place| rest.split_at(place));
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => host.to_owned(),
    };
    let Some((path, query)) = path.split_once('?') else {
        return format!("{scheme}://{host}{path}");
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=***"),
        None => "***".to_owned(),
    };
    let query: Vec<String> = query.split('&').map(hide).collect();
    format!("{scheme}://{host}{path}?{}", query.join("&"))
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
            ("file:out", "file:out"),
        ];
        for (address, expected) in shown {
            assert_eq!(mask(address), expected);
        }
    }
}
