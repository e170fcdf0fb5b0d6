//! Who calls, told to a Kafka broker: SCRAM, which proves a password and shows it to nobody, else PLAIN. In: a user, a
//! password, what the broker says. Out: what to say next; or that the broker does not know the password. No I/O.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Most rounds that a broker may ask for: each costs time of ours.
const ROUNDS_MAX: u32 = 100_000;

/// How somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    ScramSha512,
    ScramSha256,
    Plain,
}

impl Mechanism {
    /// The best one first.
    pub(super) const ALL: [Self; 3] = [Self::ScramSha512, Self::ScramSha256, Self::Plain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }

    /// The best of those a broker offers.
    pub(super) fn best(offered: &[String]) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| offered.iter().any(|name| name == ours.name()))
    }

    fn hmac(self) -> hmac::Algorithm {
        if self == Self::ScramSha512 { hmac::HMAC_SHA512 } else { hmac::HMAC_SHA256 }
    }

    fn digest(self) -> &'static digest::Algorithm {
        if self == Self::ScramSha512 { &digest::SHA512 } else { &digest::SHA256 }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        if self == Self::ScramSha512 {
            pbkdf2::PBKDF2_HMAC_SHA512
        } else {
            pbkdf2::PBKDF2_HMAC_SHA256
        }
    }
}

/// All that PLAIN says.
pub(super) fn plain(user: &str, password: &str) -> Vec<u8> {
    format!("\0{user}\0{password}").into_bytes()
}

/// A conversation by SCRAM.
pub(super) struct Scram<'a> {
    mechanism: Mechanism,
    password: &'a str,
    nonce: String,
    /// The first message, without what stands before it.
    bare: String,
}

impl<'a> Scram<'a> {
    pub(super) fn new(
        mechanism: Mechanism,
        (user, password): (&str, &'a str),
        chance: [u8; 16],
    ) -> Self {
        let nonce = STANDARD.encode(chance);
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        Self { mechanism, password, nonce, bare }
    }

    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The last message, and what the broker must say to it; `None`: it said nothing that makes sense.
    pub(super) fn last(&self, said: &str) -> Option<(String, String)> {
        let field = |name: &str| said.split(',').find_map(|part| part.strip_prefix(name));
        let (nonce, salt, rounds) = (field("r=")?, field("s=")?, field("i=")?);
        let salt = STANDARD.decode(salt).ok()?;
        let rounds: NonZeroU32 = rounds.parse().ok()?;
        if !nonce.starts_with(&self.nonce) || rounds.get() > ROUNDS_MAX {
            return None;
        }
        let mut salted = vec![0; self.mechanism.digest().output_len()];
        let password = self.password.as_bytes();
        pbkdf2::derive(self.mechanism.pbkdf2(), rounds, &salt, password, &mut salted);
        let sign =
            |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(self.mechanism.hmac(), key), text);
        let client = sign(&salted, b"Client Key");
        let stored = digest::digest(self.mechanism.digest(), client.as_ref());
        let unsigned = format!("c=biws,r={nonce}");
        let all = format!("{},{said},{unsigned}", self.bare);
        let signature = sign(stored.as_ref(), all.as_bytes());
        let pairs = client.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = pairs.map(|(one, other)| one ^ other).collect();
        let server = sign(sign(&salted, b"Server Key").as_ref(), all.as_bytes());
        let expected = format!("v={}", STANDARD.encode(server.as_ref()));
        Some((format!("{unsigned},p={}", STANDARD.encode(proof)), expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_is_answered_as_it_says() {
        let scram = Scram {
            mechanism: Mechanism::ScramSha256,
            password: "pencil",
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
            bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(),
        };
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let said = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let (last, expected) = scram.last(&said).expect("an answer");
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(last, format!("c=biws,r={nonce},p={proof}"));
        assert_eq!(expected, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        for odd in [
            said.replace("rOpr", "rOpx"),
            said.replace("4096", "0"),
            said.replace("4096", "4294967295"),
            said.replace("W22Z", "!"),
            String::new(),
        ] {
            assert!(scram.last(&odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_name_is_written_so_that_it_ends_where_it_ends() {
        let scram = Scram::new(Mechanism::ScramSha512, ("a=b,c", "p"), [0; 16]);
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=AAAAAAAAAAAAAAAAAAAAAA==");
        let offered = ["GSSAPI".to_owned(), "PLAIN".to_owned(), "SCRAM-SHA-256".to_owned()];
        assert_eq!(Mechanism::best(&offered), Some(Mechanism::ScramSha256));
        assert_eq!(Mechanism::best(&offered[..1]), None);
        assert_eq!(plain("u", "p"), b"\0u\0p");
    }
}
