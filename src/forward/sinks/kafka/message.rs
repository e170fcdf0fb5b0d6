//! The words of Kafka's protocol, as far as producing needs them. In: numbers and texts. Out: a request with its head
//! and length; and an answer's numbers and texts, none beyond its end. No I/O.

use std::ops::RangeInclusive;

use crate::forward::sinks::Fault;
use crate::telemetry::forward::Outcome;

/// What brokers know us by in their logs.
const CLIENT: &str = "hookgate";

/// One kind of request, in the one version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) version: i16,
}

pub(super) const PRODUCE: Api = Api { key: 0, version: 7 };
pub(super) const METADATA: Api = Api { key: 3, version: 5 };
pub(super) const HANDSHAKE: Api = Api { key: 17, version: 1 };
pub(super) const VERSIONS: Api = Api { key: 18, version: 0 };
pub(super) const PRODUCER: Api = Api { key: 22, version: 1 };
pub(super) const AUTHENTICATE: Api = Api { key: 36, version: 0 };
/// All that a broker must know once somebody is logged in.
pub(super) const NEEDED: [Api; 3] = [PRODUCE, METADATA, PRODUCER];

/// A request.
#[derive(Debug)]
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(api: Api, number: i32) -> Self {
        let mut request = Self(vec![0; 4]);
        request.i16(api.key).i16(api.version).i32(number).text(CLIENT);
        request
    }

    pub(super) fn i8(&mut self, value: i8) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i16(&mut self, value: i16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// No text.
    pub(super) fn none(&mut self) -> &mut Self {
        self.i16(-1)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.i32(int(bytes.len()));
        self.0.extend_from_slice(bytes);
        self
    }

    /// The whole of it, its length in front.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = int(self.0.len() - 4);
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// A length or a count; what is written here is far shorter than numbers reach.
pub(super) fn int(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// What is left of an answer.
#[derive(Debug)]
pub(super) struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let taken = self.0.split_at_checked(length);
        let (taken, rest) = taken.ok_or_else(|| {
            Fault::lasting(Outcome::Unexpected, "an answer that no Kafka broker gives")
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Fault> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text, empty when there is none.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        self.take(length).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.take(length).map(<[u8]>::to_vec)
    }

    /// How many follow: each has a byte at least, so never more than there are bytes.
    pub(super) fn count(&mut self) -> Result<usize, Fault> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        Ok(count.min(self.0.len()))
    }

    /// Numbers that say nothing here.
    pub(super) fn skip_numbers(&mut self) -> Result<(), Fault> {
        for _ in 0..self.count()? {
            self.i32()?;
        }
        Ok(())
    }
}

/// Whether a broker speaks the versions that are needed; it has told which it does.
pub(super) fn check_versions(answer: &mut Answer<'_>) -> Result<(), Fault> {
    let error = answer.i16()?;
    let mut spoken: Vec<(i16, RangeInclusive<i16>)> = Vec::new();
    for _ in 0..answer.count()? {
        let (key, least, most) = (answer.i16()?, answer.i16()?, answer.i16()?);
        spoken.push((key, least..=most));
    }
    let speaks = |api: &Api| {
        spoken.iter().any(|(key, versions)| *key == api.key && versions.contains(&api.version))
    };
    match NEEDED.iter().find(|api| !speaks(api)) {
        Some(Api { key, version }) => {
            let what = format!(
                "the Kafka broker does not speak version {version} of request {key} (it said \
                 {error}): brokers from 1.1 on do"
            );
            Err(Fault::lasting(Outcome::Unexpected, what))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_head_and_length() {
        let mut request = Request::new(METADATA, 7);
        request.i32(1).text("ab").i8(0);
        let expected = b"\0\0\0\x1b\0\x03\0\x05\0\0\0\x07\0\x08hookgate\0\0\0\x01\0\x02ab\0";
        assert_eq!(request.finish(), expected);
    }

    #[test]
    fn an_answer_ends_where_it_ends() {
        let mut answer = Answer::new(b"\0\x02ab\xff\xff\0\0\0\x02xy\x7f\xff\xff\xff");
        assert_eq!(answer.text().expect("a text"), "ab");
        assert_eq!(answer.text().expect("none"), "");
        assert_eq!(answer.bytes().expect("bytes"), b"xy");
        assert_eq!(answer.count().expect("a count"), 0, "no more than there is room for");
        assert!(answer.i8().is_err());
        assert!(Answer::new(b"\0\x05ab").text().is_err());
        assert!(Answer::new(b"\x7f\0\0\0ab").bytes().is_err());
    }

    #[test]
    fn versions_are_compared() {
        let told = |produce: (i16, i16)| {
            let mut bytes = vec![0, 0, 0, 0, 0, 3];
            for (key, (least, most)) in [(0, produce), (3, (0, 12)), (22, (0, 5))] {
                for number in [key, least, most] {
                    bytes.extend_from_slice(&i16::to_be_bytes(number));
                }
            }
            check_versions(&mut Answer::new(&bytes))
        };
        assert!(told((3, 11)).is_ok() && told((0, 7)).is_ok());
        assert!(told((0, 6)).expect_err("too old").what.contains("version 7 of request 0"));
        assert!(told((8, 20)).is_err(), "too new");
    }
}
