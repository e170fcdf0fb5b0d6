//! One request head of HTTP/1, line by line, stricter than the parser behind it. In: the bytes from the head's first,
//! more of them at each call. Out: its length and the framing of its body, or why it is refused. Never a copy.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::telemetry::accept::Reason;

/// Bounds of one head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the request line, without its line end.
    pub line_max_bytes: usize,
    /// Bytes of the whole head.
    pub head_max_bytes: usize,
    /// Header lines.
    pub headers_max: usize,
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
}

/// How far a head was read.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Where the present line begins.
    line: usize,
    /// Bytes that hold no further line end.
    searched: usize,
    /// The request line was read.
    begun: bool,
    /// HTTP/1.0.
    old: bool,
    /// The authority of a target in absolute form.
    authority: Option<Range<usize>>,
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
    headers: usize,
}

impl HeadScan {
    /// Reads on in `bytes`, which begin where the head does and hold all that earlier calls saw.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<(usize, Framing)>, Reason> {
        while let Some(at) = memchr(b'\n', &bytes[self.searched..]) {
            let (start, end) = (self.line, self.searched + at);
            (self.line, self.searched) = (end + 1, end + 1);
            if end == start || bytes[end - 1] != b'\r' {
                return Err(Reason::BareLf);
            }
            let line = start..end - 1;
            if !self.begun {
                // One empty line before a request is forgiven, as RFC 9112 asks.
                if line.is_empty() && start == 0 {
                    continue;
                }
                if line.len() > limits.line_max_bytes {
                    return Err(Reason::TargetTooLong);
                }
                self.read_request_line(bytes, line)?;
            } else if self.line > limits.head_max_bytes {
                return Err(Reason::HeadTooLarge);
            } else if line.is_empty() {
                return self.finish(bytes).map(|framing| Some((self.line, framing)));
            } else {
                self.headers += 1;
                if self.headers > limits.headers_max {
                    return Err(Reason::HeadTooLarge);
                }
                self.read_header(bytes, line)?;
            }
        }
        self.searched = bytes.len();
        self.check_rest(bytes, limits).map(|()| None)
    }

    /// Refuses what no further byte could heal.
    fn check_rest(&self, bytes: &[u8], limits: &HeadLimits) -> Result<(), Reason> {
        let rest = &bytes[self.line..];
        if !self.begun {
            if rest.first().is_some_and(|first| *first != b'\r' && !is_token(*first)) {
                return Err(Reason::RequestLine);
            }
            // A carriage return may be the last of them.
            if rest.len() > limits.line_max_bytes + 1 {
                return Err(Reason::TargetTooLong);
            }
        } else if bytes.len() > limits.head_max_bytes {
            return Err(Reason::HeadTooLarge);
        }
        Ok(())
    }

    fn read_request_line(&mut self, bytes: &[u8], range: Range<usize>) -> Result<(), Reason> {
        let line = &bytes[range.clone()];
        let first = memchr(b' ', line).ok_or(Reason::RequestLine)?;
        let last = memrchr(b' ', line).ok_or(Reason::RequestLine)?;
        let method = &line[..first];
        let target = line.get(first + 1..last).ok_or(Reason::RequestLine)?;
        if !is_name(method) || target.is_empty() || memchr(b' ', target).is_some() {
            return Err(Reason::RequestLine);
        }
        self.old = match &line[last + 1..] {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Reason::RequestLine),
        };
        self.begun = true;
        // Fragments stay with clients; everything else that is not printable is sent encoded.
        if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(Reason::Target);
        }
        if target[0] == b'/' || method == b"CONNECT" || (target == b"*" && method == b"OPTIONS") {
            return Ok(());
        }
        let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let scheme = scheme.ok_or(Reason::Target)?.len();
        let end = target[scheme..].iter().position(|byte| matches!(byte, b'/' | b'?'));
        let start = range.start + first + 1;
        let end = end.map_or(target.len(), |end| scheme + end);
        self.authority = Some(start + scheme..start + end);
        Ok(())
    }

    fn read_header(&mut self, bytes: &[u8], range: Range<usize>) -> Result<(), Reason> {
        let line = &bytes[range.clone()];
        let colon = memchr(b':', line).ok_or(Reason::Header)?;
        let name = &line[..colon];
        // A folded line begins with a blank, which no name does.
        if !is_name(name) {
            return Err(Reason::Header);
        }
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let value = line[colon + 1..].trim_ascii();
        match colon {
            4 if is(b"host") => {
                if self.host.is_some() || !is_authority(value) {
                    return Err(Reason::Host);
                }
                let blank = line.len() - line[colon + 1..].trim_ascii_start().len();
                let start = range.start + blank;
                self.host = Some(start..start + value.len());
            }
            6 if is(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Reason::Expectation);
            }
            14 if is(b"content-length") => {
                if self.length.is_some() || self.chunked {
                    return Err(Reason::ContentLength);
                }
                self.length = Some(read_length(value).ok_or(Reason::ContentLength)?);
            }
            17 if is(b"transfer-encoding") => {
                let once = value.eq_ignore_ascii_case(b"chunked") && !self.chunked;
                if !once || self.old || self.length.is_some() {
                    return Err(Reason::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, bytes: &[u8]) -> Result<Framing, Reason> {
        let host = self.host.clone().map(|host| &bytes[host]);
        if host.is_none() && !self.old {
            return Err(Reason::Host);
        }
        if let (Some(authority), Some(host)) = (self.authority.clone(), host) {
            let authority = without_default_port(&bytes[authority]);
            if !authority.eq_ignore_ascii_case(without_default_port(host)) {
                return Err(Reason::Target);
            }
        }
        Ok(if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) })
    }
}

/// A character of method and header names (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_token(*byte))
}

/// Digits alone; the two highest numbers mean something else to the parser behind.
fn read_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length < u64::MAX - 1).then_some(length)
}

/// Whether `value` is `host` or `host:port`, the host a name, an IPv4 or a bracketed IPv6 address.
pub(in crate::accept) fn is_authority(value: &[u8]) -> bool {
    let (host, rest) = if value.first() == Some(&b'[') {
        let Some(end) = memchr(b']', value) else { return false };
        let inside = std::str::from_utf8(&value[1..end]).ok();
        if inside.is_none_or(|text| text.parse::<std::net::Ipv6Addr>().is_err()) {
            return false;
        }
        value.split_at(end + 1)
    } else {
        value.split_at(memchr(b':', value).unwrap_or(value.len()))
    };
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte) || host[0] == b'['
    };
    let port = rest.strip_prefix(b":");
    !host.is_empty()
        && host.iter().all(plain)
        && (rest.is_empty() || port.is_some())
        && port.is_none_or(|port| port.len() <= 5 && port.iter().all(u8::is_ascii_digit))
}

fn without_default_port(authority: &[u8]) -> &[u8] {
    authority.strip_suffix(b":80").or_else(|| authority.strip_suffix(b":443")).unwrap_or(authority)
}
