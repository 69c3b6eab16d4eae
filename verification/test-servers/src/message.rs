//! HTTP/1.1 messages: just enough to read what clients and servers send.

use std::io::{self, BufRead, Read};

use crate::headers::Headers;

/// Heads above this are refused; far more than any test sends.
const MAX_HEAD: u64 = 4 << 20;

pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
    pub(crate) http_1_0: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct StatusHead {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

/// The next request's head, or `None` where the connection ends before it begins.
pub(crate) fn read_request_head(from: &mut impl BufRead) -> io::Result<Option<RequestHead>> {
    let Some((line, headers)) = read_head(from)? else { return Ok(None) };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed(&line));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(malformed(&line));
    }
    Ok(Some(RequestHead {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        http_1_0: version == "HTTP/1.0",
    }))
}

/// The next final response's head; interim ones (1xx) are skipped.
pub(crate) fn read_response_head(from: &mut impl BufRead) -> io::Result<StatusHead> {
    loop {
        let (line, headers) = read_head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        match status {
            Some(status) if !(100..200).contains(&status) => return Ok(StatusHead { status, headers }),
            Some(_) => {}
            None => return Err(malformed(&line)),
        }
    }
}

fn read_head(from: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let mut from = from.take(MAX_HEAD);
    let Some(first) = read_line(&mut from)? else { return Ok(None) };
    let mut headers = Headers::new();
    loop {
        let line = read_line(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some((String::from_utf8_lossy(&first).into_owned(), headers)));
        }
        let colon = line.iter().position(|&b| b == b':').ok_or_else(|| malformed(&line.escape_ascii()))?;
        headers.append(&String::from_utf8_lossy(&line[..colon]), line[colon + 1..].trim_ascii());
    }
}

/// A line without its end; `None` where there is nothing more.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

fn malformed(what: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1.1: {what}"))
}

/// How the end of a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is no body, whatever the headers say.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl BodyFraming {
    pub(crate) fn of_request(headers: &Headers) -> io::Result<Self> {
        Ok(match Self::declared(headers)? {
            Self::UntilClose => Self::None,
            framing => framing,
        })
    }

    pub(crate) fn of_response(method: &str, head: &StatusHead) -> io::Result<Self> {
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return Ok(Self::None);
        }
        Self::declared(&head.headers)
    }

    fn declared(headers: &Headers) -> io::Result<Self> {
        if headers.lists("transfer-encoding", "chunked") {
            return Ok(Self::Chunked);
        }
        match headers.get("content-length") {
            None => Ok(Self::UntilClose),
            Some(length) => length.parse().map(Self::Length).map_err(|_| malformed(&length)),
        }
    }
}

/// A body without its framing. Its end is reported (as 0 bytes) only where the framing says so; a body that
/// was cut short is an error of the kind `UnexpectedEof`.
pub(crate) struct BodyReader<R> {
    from: R,
    framing: BodyFraming,
    /// Bytes to come: of the body, or of the current chunk.
    left: u64,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> BodyReader<R> {
    pub(crate) fn new(from: R, framing: BodyFraming) -> Self {
        let left = if let BodyFraming::Length(length) = framing { length } else { 0 };
        Self { from, framing, left, begun: false, ended: false }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if self.begun {
            self.expect_empty_line()?;
        }
        self.begun = true;
        let line = read_line(&mut self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().and_then(|s| u64::from_str_radix(s, 16).ok());
        self.left = size.ok_or_else(|| malformed(&line.escape_ascii()))?;
        if self.left == 0 {
            // Trailers are not passed on.
            while !read_line(&mut self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?.is_empty() {}
            self.ended = true;
        }
        Ok(())
    }

    fn expect_empty_line(&mut self) -> io::Result<()> {
        let line = read_line(&mut self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() { Ok(()) } else { Err(malformed(&line.escape_ascii())) }
    }
}

impl<R: BufRead> Read for BodyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        match self.framing {
            BodyFraming::None => return Ok(0),
            BodyFraming::UntilClose => return self.from.read(buffer),
            BodyFraming::Length(_) => {}
            BodyFraming::Chunked if self.left == 0 => {
                self.next_chunk()?;
                if self.ended {
                    return Ok(0);
                }
            }
            BodyFraming::Chunked => {}
        }
        if self.left == 0 {
            return Ok(0);
        }
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A status and its phrase, as on a status line.
pub(crate) fn status_line(status: u16) -> String {
    let phrase = match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    };
    format!("HTTP/1.1 {status} {phrase}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8], framing: BodyFraming) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        BodyReader::new(bytes, framing).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn request_head_is_read_up_to_its_blank_line() {
        let mut bytes: &[u8] = b"PUT /a?b=c HTTP/1.1\r\nHost: x\r\nX-Raw: \xff \r\n\r\nbody";
        let head = read_request_head(&mut bytes).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str(), head.http_1_0), ("PUT", "/a?b=c", false));
        assert_eq!(head.headers.get_bytes("x-raw"), Some(b"\xff".as_slice()));
        assert_eq!(bytes, b"body");
        assert!(read_request_head(&mut b"".as_slice()).unwrap().is_none());
        assert!(read_request_head(&mut b"PUT / HTTP/1.1\r\nHos".as_slice()).is_err());
        assert!(read_request_head(&mut b"hello there\r\n\r\n".as_slice()).is_err());
    }

    #[test]
    fn interim_responses_are_skipped() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n";
        let head = read_response_head(&mut bytes.as_slice()).unwrap();
        assert_eq!((head.status, head.headers.get("retry-after")), (503, Some("1")));
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        assert_eq!(body(b"abcdef", BodyFraming::Length(4)).unwrap(), b"abcd");
        assert_eq!(
            body(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: v\r\n\r\nrest", BodyFraming::Chunked).unwrap(),
            b"abcde"
        );
        assert_eq!(body(b"abc", BodyFraming::UntilClose).unwrap(), b"abc");
        assert_eq!(body(b"abc", BodyFraming::None).unwrap(), b"");
    }

    #[test]
    fn truncated_body_is_an_error() {
        for (bytes, framing) in [
            (b"abc".as_slice(), BodyFraming::Length(4)),
            (b"3\r\nab", BodyFraming::Chunked),
            (b"3\r\nabc\r\n", BodyFraming::Chunked),
            (b"0\r\n", BodyFraming::Chunked),
        ] {
            assert_eq!(body(bytes, framing).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(body(b"zz\r\n", BodyFraming::Chunked).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
