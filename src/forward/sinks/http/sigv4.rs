//! Requests signed as AWS wants it, version 4. In: a request's method, path, headers and the digest of its body, a key
//! and the moment. Out: the value of `Authorization`. No I/O.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use crate::clock::Time;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";

/// Who signs, and where.
pub(super) struct Signer<'a> {
    pub(super) key: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
}

impl Signer<'_> {
    /// The signature of a request without a query; its headers in the order of their names, in lower case.
    pub(super) fn authorize(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body_digest: &str,
        moment: &str,
    ) -> String {
        let day = moment.get(..8).unwrap_or_default();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{method}\n{path}\n\n");
        for (name, value) in headers {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{body_digest}");
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{}", hex_digest(canonical.as_bytes()));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, self.region, SERVICE, "aws4_request"] {
            key = sign(&key, part).as_ref().to_vec();
        }
        let (id, signature) = (self.key, hex(sign(&key, &text).as_ref()));
        format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

/// A moment as signatures have it: `20130524T000000Z`.
pub(super) fn moment(now: Time) -> String {
    let text = now.to_string();
    let second = text.trim_end_matches('Z').split('.').next().unwrap_or_default();
    let mut moment: String = second.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    moment.push('Z');
    moment
}

pub(super) fn hex_digest(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_has_its_signature() {
        let signer = Signer {
            key: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
        };
        let moment = moment(Time::parse("2013-05-24T00:00:00.000001Z").expect("a moment"));
        assert_eq!(moment, "20130524T000000Z");
        let body = hex_digest(b"Welcome to Amazon S3.");
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", &body),
            ("x-amz-date", &moment),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let value = signer.authorize(("PUT", "/test%24file.text"), &headers, &body, &moment);
        assert_eq!(
            value,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }
}
