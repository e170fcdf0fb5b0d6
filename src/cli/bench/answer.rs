//! An answer of HTTP/1.1, read as cheaply as it can be: status and length, no more. In: bytes as they came. Out: where
//! the answer ends. Never a chunked body: none of the servers sends one.

use std::io;

use memchr::memmem;

/// Bytes of a whole answer; none of the servers sends more.
pub(super) const ANSWER_MAX_BYTES: usize = 8 << 10;

/// What there is to know of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Head and body.
    pub(super) bytes: usize,
}

/// Reads the head of an answer; `None` while it is not complete.
///
/// # Errors
/// When it is no answer of HTTP/1.1, or too large.
pub(super) fn read(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() < ANSWER_MAX_BYTES { Ok(None) } else { Err(fault("its head")) };
    };
    let head = &bytes[..end];
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| number(rest.get(..3)?));
    let status = status.and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or_else(|| fault("its first line"))?;
    let length = if status == 204 { 0 } else { length(head)? };
    let bytes = length.saturating_add(end + 4);
    if bytes > ANSWER_MAX_BYTES {
        return Err(fault("its length"));
    }
    Ok(Some(Answer { status, bytes }))
}

/// The body's length; an answer without one has none.
fn length(head: &[u8]) -> io::Result<usize> {
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            return number(value).ok_or_else(|| fault("its length"));
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(fault("its coding"));
        }
    }
    Ok(0)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn fault(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an answer cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_it_says() {
        let whole =
            b"HTTP/1.1 503 Service Unavailable\r\ndate: x\r\nContent-Length: 5\r\n\r\nhello";
        for length in 0..whole.len() - 5 {
            assert_eq!(read(&whole[..length]).expect("no fault"), None, "{length}");
        }
        let answer = read(whole).expect("no fault").expect("an answer");
        assert_eq!((answer.status, answer.bytes), (503, whole.len()));
        let empty = b"HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n";
        let answer = read(empty).expect("no fault").expect("an answer");
        assert_eq!((answer.status, answer.bytes), (204, empty.len()));
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        let long = [b'x'; ANSWER_MAX_BYTES];
        let odd: [&[u8]; 5] = [
            b"HTTP/2 204\r\n\r\n",
            b"HTTP/1.1 xx\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            &long,
        ];
        for bytes in odd {
            assert!(read(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
