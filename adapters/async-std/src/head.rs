//! Reading a response's head: what it says, and how its body is framed.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A head beyond this is refused.
pub(crate) const MAX_HEAD: usize = 256 * 1024;
const MAX_HEADERS: usize = 256;

/// What a response says before its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the server leaves the connection open.
    pub(crate) keep_alive: bool,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug)]
pub(crate) enum Parsed {
    Partial,
    /// A 1xx response, which another one follows; and its length.
    Early(usize),
    /// The response's head, and its length.
    Final(Head, usize),
}

/// Reads the head at the start of `bytes`. `bodiless`: the request was a HEAD.
pub(crate) fn parse(bytes: &[u8], bodiless: bool) -> Result<Parsed, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(Parsed::Partial),
        Ok(httparse::Status::Partial) => return Err("the head is above 256 KB"),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has more than 256 fields"),
        Err(_) => return Err("the head is not HTTP/1"),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("no valid status")?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Parsed::Early(length));
    }
    let mut map = HeaderMap::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        let name =
            HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| "a header's name is not valid")?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| "a header's value is not valid")?;
        map.append(name, value);
    }
    let empty = bodiless || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = if empty { Framing::Length(0) } else { framing(&map)? };
    let close = tokens(&map, "connection").any(|token| token.eq_ignore_ascii_case("close"));
    let keep_alive = response.version == Some(1) && !close && framing != Framing::UntilClose;
    Ok(Parsed::Final(Head { status, headers: map, framing, keep_alive }, length))
}

fn framing(headers: &HeaderMap) -> Result<Framing, &'static str> {
    let chunked = tokens(headers, "transfer-encoding").last();
    let mut lengths = tokens(headers, "content-length");
    match (chunked, lengths.next()) {
        // Two answers to where the body ends are how responses are smuggled.
        (Some(_), Some(_)) => Err("both a length and a transfer encoding"),
        (Some(last), None) if last.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (None, Some(length)) if lengths.all(|other| other == length) => {
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            let length = if digits { length.parse().ok() } else { None };
            length.map(Framing::Length).ok_or("the length is no number")
        }
        (None, Some(_)) => Err("two lengths"),
        _ => Ok(Framing::UntilClose),
    }
}

/// The comma-separated tokens of a header; those that are not ASCII count as one that is never valid.
fn tokens<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(|value| value.to_str().unwrap_or("?").split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing_of(head: &str) -> Result<Framing, &'static str> {
        match parse(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes(), false)? {
            Parsed::Final(head, _) => Ok(head.framing),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_says_where_the_body_ends() {
        assert_eq!(framing_of("content-length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing_of("content-length: 5, 5\r\ncontent-length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing_of("transfer-encoding: gzip, Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing_of(""), Ok(Framing::UntilClose));
        for ambiguous in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: \u{e9}\r\n",
        ] {
            assert!(framing_of(ambiguous).is_err(), "{ambiguous:?}");
        }
    }

    #[test]
    fn it_waits_for_the_whole_head_and_no_longer() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n";
        for cut in 0..whole.len() {
            assert!(matches!(parse(&whole[..cut], false), Ok(Parsed::Partial)), "{cut}");
        }
        assert!(matches!(
            parse(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", false),
            Ok(Parsed::Final(_, 38))
        ));
        assert!(
            parse(&[b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; MAX_HEAD]].concat(), false).is_err()
        );
    }

    #[test]
    fn a_connection_that_will_be_closed_is_not_kept() {
        let keep = |head: &[u8]| matches!(parse(head, false), Ok(Parsed::Final(head, _)) if head.keep_alive);
        assert!(keep(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keep(b"HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keep(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keep(b"HTTP/1.1 200 OK\r\n\r\n"));
    }
}
