//! Forms as text (`a=1&b=2`), edited where a field stands. In: a body. Out: names, or the body with other fields; what
//! is not touched stays as it was written.

use http::header::CONTENT_TYPE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::case::Request;

/// Whether a request has a form for a body.
pub(super) fn is_form(request: &Request) -> bool {
    let value = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|text| {
        text.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
    })
}

/// The names of the fields, as they are written.
pub(super) fn names(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8_lossy(body);
    let names = body.split('&').filter_map(|part| part.split('=').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The form with other fields where one stands: what `replace` makes of it as it is written.
pub(super) fn edit(body: &[u8], name: &str, replace: &dyn Fn(&str) -> Vec<String>) -> String {
    let body = String::from_utf8_lossy(body);
    let mut parts = Vec::new();
    for part in body.split('&').filter(|part| !part.is_empty()) {
        if part.split('=').next() == Some(name) {
            parts.extend(replace(part));
        } else {
            parts.push(part.to_owned());
        }
    }
    parts.join("&")
}

/// A field as it is written.
pub(super) fn field(name: &str, value: &str) -> String {
    format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
}

/// The form with a field set, whether or not it was there, or left out; nothing when it was not there to be left out.
pub(super) fn set(body: &[u8], name: &str, value: Option<&str>) -> Option<String> {
    let is_there = names(body).iter().any(|known| known == name);
    match value {
        Some(value) if is_there => Some(edit(body, name, &|_| vec![field(name, value)])),
        Some(value) => {
            let mut form = String::from_utf8_lossy(body).into_owned();
            if !form.is_empty() {
                form.push('&');
            }
            Some(form + &field(name, value))
        }
        None => is_there.then(|| edit(body, name, &|_| Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_stays() {
        let set = |value| set(b"a=1&b=x%20y&a=2", "a", value);
        assert_eq!(set(Some("ä")).as_deref(), Some("a=%C3%A4&b=x%20y&a=%C3%A4"));
        assert_eq!(set(None).as_deref(), Some("b=x%20y"));
        assert_eq!(super::set(b"", "c", Some("1")).as_deref(), Some("c=1"));
        assert_eq!(super::set(b"a=1", "c", None), None);
        assert_eq!(names(b"a=1&&=2&b"), ["a", "b"]);
    }
}
