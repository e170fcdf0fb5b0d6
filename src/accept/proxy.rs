//! The PROXY protocol, version 2: a proxy's word on who connected, before the first byte of the connection proper. In:
//! its 16 bytes of head, then what these announce. Out: an address. Pure; never version 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the fixed part.
pub const HEAD_BYTES: usize = 16;
/// Bytes behind the fixed part, at most: addresses and a few extensions.
const REST_MAX_BYTES: usize = 520;
/// Version 2, and a proxy that speaks for itself.
const LOCAL: u8 = 0x20;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Another start than that of version 2.
    #[error("no PROXY protocol version 2")]
    Signature,
    /// A command other than LOCAL and PROXY.
    #[error("a command that is not known")]
    Command,
    /// More than 520 bytes.
    #[error("{bytes} bytes of addresses and extensions, at most 520")]
    TooLong { bytes: usize },
    /// Fewer bytes than the addresses of its family.
    #[error("{bytes} bytes are no addresses of that family")]
    TooShort { bytes: usize },
}

/// How many bytes follow.
///
/// # Errors
/// It is no head of version 2.
pub fn rest_bytes(head: &[u8; HEAD_BYTES]) -> Result<usize, ProxyError> {
    if head[..12] != *SIGNATURE || head[12] >> 4 != 2 {
        return Err(ProxyError::Signature);
    }
    if head[12] & 0x0f > 1 {
        return Err(ProxyError::Command);
    }
    let bytes = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if bytes > REST_MAX_BYTES { Err(ProxyError::TooLong { bytes }) } else { Ok(bytes) }
}

/// Who connected to the proxy; none when the proxy speaks for itself or of no IP address.
///
/// # Errors
/// The addresses are cut.
pub fn sender(head: &[u8; HEAD_BYTES], rest: &[u8]) -> Result<Option<IpAddr>, ProxyError> {
    if head[12] == LOCAL {
        return Ok(None);
    }
    let short = ProxyError::TooShort { bytes: rest.len() };
    match head[13] >> 4 {
        // Both addresses and both ports must be there, though only the first is of use.
        1 if rest.len() < 12 => Err(short),
        2 if rest.len() < 36 => Err(short),
        1 => Ok(rest.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into())),
        2 => {
            let address = rest.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes));
            Ok(address.map(|address| IpAddr::from(address).to_canonical()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(command: u8, family: u8, bytes: u16) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..12].copy_from_slice(SIGNATURE);
        (head[12], head[13]) = (command, family);
        head[14..].copy_from_slice(&bytes.to_be_bytes());
        head
    }

    #[test]
    fn heads_say_what_follows() {
        for (head, expected) in [
            (head(0x21, 0x11, 12), Ok(12)),
            (head(0x20, 0, 0), Ok(0)),
            (head(0x21, 0x21, 520), Ok(520)),
            (head(0x21, 0x21, 521), Err(ProxyError::TooLong { bytes: 521 })),
            (head(0x22, 0x11, 12), Err(ProxyError::Command)),
            (head(0x11, 0x11, 12), Err(ProxyError::Signature)),
            (*b"PROXY TCP4 1.1.1", Err(ProxyError::Signature)),
        ] {
            assert_eq!(rest_bytes(&head), expected);
        }
    }

    #[test]
    fn addresses_are_read() {
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 187];
        let mut mapped = [0; 36];
        (mapped[10], mapped[11], mapped[15]) = (255, 255, 1);
        let address = |text: &str| Ok(Some(text.parse::<IpAddr>().expect("an address")));
        for (head, rest, expected) in [
            (head(0x21, 0x11, 12), &four[..], address("1.2.3.4")),
            (head(0x21, 0x21, 36), &mapped, address("0.0.0.1")),
            (head(0x20, 0x11, 12), &four, Ok(None)),
            (head(0x21, 0x31, 216), &[0; 216], Ok(None)),
            (head(0x21, 0x11, 4), &four[..4], Err(ProxyError::TooShort { bytes: 4 })),
            (head(0x21, 0x21, 12), &four, Err(ProxyError::TooShort { bytes: 12 })),
        ] {
            assert_eq!(sender(&head, rest), expected);
        }
    }
}
