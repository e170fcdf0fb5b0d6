//! Points of Ed25519 that are nobody's key. In: a public key as bytes. Out: whether it is one of them. They have a
//! small order: whoever likes makes a signature that fits such a key, of some message or of all, without a secret.

use super::material::to_hex;

/// All of them as they are written, their sign left out: those of order 1, 2, 4 and 8, and what would be read as one of
/// them though its number is larger than the field.
const SMALL: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];
/// The highest bit of a point, its sign.
const SIGN: u8 = 0x80;

/// Whether a public key is a point of small order.
pub(super) fn is_small(key: &[u8]) -> bool {
    let mut key = key.to_vec();
    if let Some(last) = key.last_mut() {
        *last &= !SIGN;
    }
    SMALL.contains(&to_hex(&key).as_str())
}

#[cfg(test)]
mod tests {
    use super::super::material::hex;
    use super::*;

    #[test]
    fn a_point_of_small_order_is_known_by_either_sign_and_a_key_is_none() {
        for written in SMALL {
            let mut point = hex(written.as_bytes()).expect("hex");
            assert!(is_small(&point), "{written}");
            point[31] |= SIGN;
            assert!(is_small(&point), "{written}");
            point[15] ^= 1;
            assert!(!is_small(&point), "{written}");
        }
        assert!(!is_small(&[]) && !is_small(&[0; 31]) && !is_small(&[0; 33]));
    }
}
