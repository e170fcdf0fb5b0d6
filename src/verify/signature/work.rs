//! How much work it is to judge a request, told before it is done. In: a request. Out: whether that is more than the
//! thread that serves others should do between two of them. Judges nothing.

use super::request::Request;
use super::scheme::{Mac, Scheme};
use super::source::From;
use super::{Verifier, judge};

/// Bytes that are digested where the request is served, all secrets and signatures together: a part of a millisecond.
const INLINE_MAX_BYTES: usize = 256 << 10;
/// What one judgement with a public key is worth, beside the bytes.
const PUBLIC_BYTES: usize = 32 << 10;

impl Verifier {
    /// Whether judging it would hold up others.
    #[must_use]
    pub fn is_heavy(&self, request: &Request<'_>) -> bool {
        let schemes = self.provider.schemes.iter().enumerate();
        let all = schemes.map(|(way, scheme)| {
            let secrets = self.secrets.iter().filter(|one| one.materials[way].is_some()).count();
            if secrets == 0 { 0 } else { scheme.bytes(request, self).saturating_mul(secrets) }
        });
        // Questions are looked for in every body.
        all.max().unwrap_or_default().max(request.body.len()) > INLINE_MAX_BYTES
    }
}

impl Scheme {
    /// Bytes that each secret costs.
    fn bytes(&self, request: &Request<'_>, verifier: &Verifier) -> usize {
        let body = request.body.len();
        match self.mac {
            Mac::Equal => 0,
            Mac::Ed25519 | Mac::EcdsaP256 | Mac::RsaSha1 | Mac::RsaSha256 | Mac::Jwt => {
                let signatures = self.signature.as_ref().map_or(1, |source| match source.from {
                    From::Body if source.split.is_none() => 1,
                    From::Headers(_) | From::Stem(_) | From::HeaderParameter(_) => {
                        source.read(request, &verifier.parameters).map_or(0, |read| read.len())
                    }
                    // Only who reads the body knows how many.
                    _ => judge::SLOW_MAX,
                });
                signatures.min(judge::SLOW_MAX).saturating_mul(body + PUBLIC_BYTES)
            }
            _ => {
                let addresses = if self.url_ports { 3 } else { 1 };
                let messages = 1 + usize::from(self.message_also.is_some());
                body.saturating_mul(addresses * messages)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::super::tests::verifier_of;
    use super::super::{Fault, Parsed};
    use super::*;

    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn signed(signature: &str, count: usize) -> HeaderMap {
        let signatures = vec![signature; count].join(" ");
        let headers =
            [("webhook-id", "1"), ("webhook-timestamp", "1"), ("webhook-signature", &signatures)];
        let value = |value: &str| value.parse().expect("a value");
        headers
            .map(|(name, text)| (name.parse().expect("a name"), value(text)))
            .into_iter()
            .collect()
    }

    fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
        let method = &Method::POST;
        Request { method, headers, query: None, body, slug: None, certificate: None, parsed: None }
    }

    #[test]
    fn what_is_much_work_is_known_before_it_is_done() {
        let forged = format!("v1a,{}", "A".repeat(86) + "==");
        for (secret, secrets, signatures, bytes, heavy) in [
            ("whsec_QUFB", 1, 1, 256 << 10, false),
            ("whsec_QUFB", 1, 100, 256 << 10, false),
            ("whsec_QUFB", 1, 1, (256 << 10) + 1, true),
            ("whsec_QUFB", 8, 1, 32 << 10, false),
            ("whsec_QUFB", 8, 1, 33 << 10, true),
            (PUBLIC, 1, 1, 130, false),
            (PUBLIC, 2, 2, 16 << 10, false),
            (PUBLIC, 8, 8, 130, true),
            (PUBLIC, 2, 2, 64 << 10, true),
        ] {
            let verifier = verifier_of("standard-webhooks", &vec![secret; secrets]);
            let (headers, body) = (signed(&forged, signatures), vec![b'x'; bytes]);
            let found = verifier.is_heavy(&request(&headers, &body));
            assert_eq!(found, heavy, "{secrets} of {secret}, {signatures} of {bytes} bytes");
        }
        // Whoever asks for a question in a body reads all of it.
        let slack = verifier_of("slack", &["s"]);
        assert!(slack.is_heavy(&request(&HeaderMap::new(), &vec![b' '; 300 << 10])));
    }

    #[test]
    fn of_a_large_body_no_more_signatures_are_tried_than_anybody_sends() {
        let forged = format!("v1a,{}", "A".repeat(86) + "==");
        let verifier = verifier_of("standard-webhooks", &[PUBLIC]);
        let most = 1 << 20;
        for (signatures, bytes, is_tried) in [
            (8, most / 8, true),
            (8, most / 8 + 1, false),
            (3, most / 3, true),
            (3, most / 3 + 1, false),
            (2, 5 << 20, true),
        ] {
            let (headers, body) = (signed(&forged, signatures), vec![b'x'; bytes]);
            let found = verifier.judge(&request(&headers, &body), &None, None);
            let refused = Fault::Heavy { signatures, bytes };
            assert_eq!(refused.reason(), "signatures_heavy");
            let wanted = if is_tried { Fault::Mismatch } else { refused };
            assert_eq!(found, Err(wanted), "{signatures} of {bytes} bytes");
        }
    }

    #[test]
    fn a_body_is_read_once_whoever_asks() {
        let headers = HeaderMap::new();
        let bytes = bytes::Bytes::from_static(br#"{"a":"x=1&y=2"}"#);
        let parsed = Parsed::of(&bytes);
        let request = Request { parsed: Some(&parsed), ..request(&headers, &bytes) };
        let read = |request: &Request<'_>| match request.document().expect("JSON") {
            std::borrow::Cow::Borrowed(document) => std::ptr::from_ref(document) as usize,
            std::borrow::Cow::Owned(_) => 0,
        };
        let first = read(&request);
        assert!(first != 0 && first == read(&request) && first == read(&Request { ..request }));
        let texts = request.json("/a").expect("JSON");
        assert!(matches!(texts[..], [std::borrow::Cow::Borrowed(b"x=1&y=2")]), "{texts:?}");
        let other = request.with_body(br#"{"a":"b"}"#);
        assert_eq!(other.json("/a").expect("JSON"), [&b"b"[..]], "and no other body");
    }
}
