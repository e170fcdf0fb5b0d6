//! One layer of content encoding undone, within bounds. In: a whole encoded body. Out: its decoded bytes. Pure; never
//! more output than asked for, never a second layer.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::BodyError;

/// Output per byte of input, at most: real text stays far below, bombs do not.
const GROWTH_MAX: u64 = 100;
/// Output that no bomb is made of: the growth is not looked at below it.
const GROWTH_FREE_BYTES: u64 = 16 << 10;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Identity,
    Gzip,
    Deflate,
    /// Two layers, or one that is not known.
    Other,
}

impl Encoding {
    /// What the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            let Ok(value) = value.to_str() else { return Self::Other };
            for name in value.split(',').map(str::trim) {
                let is = |known: &str| name.eq_ignore_ascii_case(known);
                if name.is_empty() || is("identity") {
                    continue;
                }
                if found != Self::Identity {
                    return Self::Other;
                }
                found = if is("gzip") || is("x-gzip") {
                    Self::Gzip
                } else if is("deflate") {
                    Self::Deflate
                } else {
                    return Self::Other;
                };
            }
        }
        found
    }

    /// The decoded body, at most `max_bytes` of it and 100 times the input.
    pub(super) fn decode(self, raw: &Bytes, max_bytes: u64) -> Result<Vec<u8>, BodyError> {
        if raw.is_empty() {
            return Ok(Vec::new());
        }
        let mut rest: &[u8] = raw;
        let decoded = match self {
            Self::Identity => return Ok(raw.to_vec()),
            Self::Other => return Err(BodyError::Encoding),
            Self::Gzip => inflate(GzDecoder::new(&mut rest), raw.len(), max_bytes)?,
            Self::Deflate if is_zlib(raw) => {
                inflate(ZlibDecoder::new(&mut rest), raw.len(), max_bytes)?
            }
            // Some senders take the name at its word and leave the wrapper of zlib out.
            Self::Deflate => inflate(DeflateDecoder::new(&mut rest), raw.len(), max_bytes)?,
        };
        if !rest.is_empty() {
            return Err(BodyError::Malformed(format!("{} bytes behind its end", rest.len())));
        }
        Ok(decoded)
    }
}

/// A body that came with these headers, decoded as it was then.
///
/// # Errors
/// [`BodyError`].
pub fn decode(headers: &HeaderMap, raw: &Bytes, max_bytes: u64) -> Result<Bytes, BodyError> {
    match Encoding::of(headers) {
        Encoding::Identity => Ok(raw.clone()),
        encoding => encoding.decode(raw, max_bytes).map(Bytes::from),
    }
}

/// Whether the first two bytes are a header of zlib (RFC 1950, 2.2).
fn is_zlib(raw: &[u8]) -> bool {
    raw.len() >= 2
        && raw[0] & 0x0f == 8
        && (u16::from(raw[0]) << 8 | u16::from(raw[1])).is_multiple_of(31)
}

fn inflate(decoder: impl Read, raw_bytes: usize, max_bytes: u64) -> Result<Vec<u8>, BodyError> {
    let growth = (raw_bytes as u64).saturating_mul(GROWTH_MAX).max(GROWTH_FREE_BYTES);
    let limit = max_bytes.min(growth);
    let mut output = Vec::with_capacity(raw_bytes.saturating_mul(4).min(limit as usize));
    decoder
        .take(limit.saturating_add(1))
        .read_to_end(&mut output)
        .map_err(|error| BodyError::Malformed(error.to_string()))?;
    if output.len() as u64 > limit {
        return Err(BodyError::TooLarge { max_bytes });
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory").into()
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        let pair = |value: &&'static str| (CONTENT_ENCODING, http::HeaderValue::from_static(value));
        values.iter().map(pair).collect()
    }

    #[test]
    fn one_layer_is_known() {
        for (values, expected) in [
            (&[][..], Encoding::Identity),
            (&["identity"], Encoding::Identity),
            (&["GZip"], Encoding::Gzip),
            (&["x-gzip"], Encoding::Gzip),
            (&["deflate"], Encoding::Deflate),
            (&["identity, gzip"], Encoding::Gzip),
            (&["gzip, gzip"], Encoding::Other),
            (&["gzip", "deflate"], Encoding::Other),
            (&["br"], Encoding::Other),
        ] {
            assert_eq!(Encoding::of(&headers(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let text = b"{\"a\": 1}".as_slice();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(text).expect("memory");
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(text).expect("memory");
        for (encoding, raw) in [
            (Encoding::Identity, Bytes::from_static(text)),
            (Encoding::Gzip, gzip(text)),
            (Encoding::Deflate, zlib.finish().expect("memory").into()),
            (Encoding::Deflate, bare.finish().expect("memory").into()),
        ] {
            assert_eq!(encoding.decode(&raw, 8).as_deref(), Ok(text));
            assert_eq!(
                encoding.decode(&raw, 7).is_err(),
                encoding != Encoding::Identity,
                "the reader counts what is not encoded"
            );
        }
    }

    #[test]
    fn bombs_cuts_and_junk_are_refused() {
        let zeros = gzip(&vec![0; 10 << 20]);
        let too_large = Err(BodyError::TooLarge { max_bytes: 5 << 20 });
        assert_eq!(Encoding::Gzip.decode(&zeros, 5 << 20), too_large);
        let small = gzip(&vec![0; 200 << 10]);
        assert_eq!(Encoding::Gzip.decode(&small, 5 << 20), too_large, "over 100 times its input");
        let whole = gzip(b"text");
        let malformed =
            |raw: &Bytes| matches!(Encoding::Gzip.decode(raw, 99), Err(BodyError::Malformed(_)));
        assert!(malformed(&whole.slice(..whole.len() - 1)));
        assert!(malformed(&[&whole[..], b"junk"].concat().into()));
        assert!(malformed(&Bytes::from_static(b"not gzip")));
        assert_eq!(Encoding::Other.decode(&whole, 99), Err(BodyError::Encoding));
    }
}
