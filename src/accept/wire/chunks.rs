//! The framing of a chunked body, as strict as the decoder behind it or stricter. In: bytes in any pieces. Out: how
//! many belong to the body, and whether it ended. Never the data itself.

/// Bytes of chunk extensions in one body.
const EXTENSIONS_MAX_BYTES: usize = 16 << 10;
/// Bytes of trailers.
const TRAILERS_MAX_BYTES: usize = 1 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    Size,
    /// Blanks behind a size.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty one that ends the body.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
}

/// How far a chunked body was read.
#[derive(Debug, Default)]
pub(super) struct ChunkScan {
    state: State,
    /// Bytes left of the present chunk.
    size: u64,
    extension_bytes: usize,
    trailer_bytes: usize,
}

/// What `bytes` were.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// All of the body, which goes on.
    Inside,
    /// So many bytes, then the body ended.
    Ended(usize),
    /// So many good bytes, then one that breaks the framing.
    Broken(usize),
}

impl ChunkScan {
    /// Reads on in `bytes`.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Piece {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Data {
                let here = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.size -= here as u64;
                at += here;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let last = self.state == State::LastLf;
            match self.step(bytes[at]) {
                Some(state) => self.state = state,
                None => return Piece::Broken(at),
            }
            at += 1;
            if last {
                return Piece::Ended(at);
            }
        }
        Piece::Inside
    }

    fn step(&mut self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Start | State::Size, _) if byte.is_ascii_hexdigit() => self.grow(byte),
            (State::Size | State::Blank, b' ' | b'\t') => Some(State::Blank),
            (State::Size | State::Blank, b';') => Some(State::Extension),
            (State::Size | State::Blank | State::Extension, b'\r') => Some(State::SizeLf),
            (State::Extension, _) if byte != b'\n' => {
                self.extension_bytes += 1;
                (self.extension_bytes < EXTENSIONS_MAX_BYTES).then_some(State::Extension)
            }
            (State::SizeLf, b'\n') if self.size == 0 => Some(State::Trailer),
            (State::SizeLf, b'\n') => Some(State::Data),
            (State::DataCr, b'\r') => Some(State::DataLf),
            (State::DataLf, b'\n') => {
                self.size = 0;
                Some(State::Start)
            }
            (State::Trailer, b'\r') => Some(State::LastLf),
            (State::TrailerLine, b'\r') => Some(State::TrailerLf),
            (State::Trailer | State::TrailerLine, _) if byte != b'\n' => {
                self.trailer_bytes += 1;
                (self.trailer_bytes <= TRAILERS_MAX_BYTES).then_some(State::TrailerLine)
            }
            (State::TrailerLf | State::LastLf, b'\n') => Some(State::Trailer),
            _ => None,
        }
    }

    fn grow(&mut self, digit: u8) -> Option<State> {
        let digit = char::from(digit).to_digit(16)?;
        self.size = self.size.checked_mul(16)?.checked_add(u64::from(digit))?;
        Some(State::Size)
    }
}
