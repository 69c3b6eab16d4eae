//! Single requests without the client under test.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use crate::headers::Headers;
use crate::message::{BodyFraming, BodyReader, read_response_head};

/// Longer than any answer that is not live takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a server answered to [`direct`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DirectResponse {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, without its transfer coding.
    pub body: Bytes,
}

impl DirectResponse {
    /// The body as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// Sends one request on a connection of its own and reads the whole answer. For a test that must know what a
/// server holds whatever the client thinks, and for its preparations.
///
/// `url` is `http://HOST:PORT/PATH?QUERY`, sent as it is: nothing is encoded and no redirect followed.
/// `Content-Length` is added where there is a body or the method is PUT or POST. An answer that takes more
/// than a minute is an error, so live reads that stay open cannot be made this way.
///
/// # Errors
///
/// When the server cannot be reached, closes early, or answers with something that is not HTTP/1.1.
///
/// # Example
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let server = test_servers::RustServer::start()?;
/// let url = format!("{}/greetings", server.url());
/// test_servers::direct("PUT", &url, [("content-type", "text/plain")], "hello")?;
/// assert_eq!(test_servers::direct("GET", &url, (), "")?.text(), "hello");
/// # Ok(())
/// # }
/// ```
pub fn direct(
    method: &str,
    url: &str,
    headers: impl Into<Headers>,
    body: impl AsRef<[u8]>,
) -> io::Result<DirectResponse> {
    let (authority, target) = split_url(url)?;
    let body = body.as_ref();
    let mut headers = headers.into();
    headers.set("host", authority);
    headers.set("connection", "close");
    if !body.is_empty() || matches!(method, "PUT" | "POST") {
        headers.set("content-length", body.len().to_string());
    }
    let stream = TcpStream::connect(authority)
        .map_err(|e| io::Error::new(e.kind(), format!("cannot connect to {authority}: {e}")))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;

    let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    headers.write_to(&mut request);
    request.extend_from_slice(body);
    (&stream).write_all(&request)?;

    let mut from = BufReader::new(&stream);
    let head = read_response_head(&mut from)?;
    let framing = BodyFraming::of_response(method, &head)?;
    let mut body = Vec::new();
    BodyReader::new(from, framing).read_to_end(&mut body)?;
    Ok(DirectResponse { status: head.status, headers: head.headers, body: body.into() })
}

/// `host:port` and the request's target.
pub(crate) fn split_url(url: &str) -> io::Result<(&str, &str)> {
    let invalid = || {
        let message = format!("{url:?} is not of the form http://HOST:PORT/PATH");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let rest = url.strip_prefix("http://").ok_or_else(invalid)?;
    let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !authority.contains(':') {
        return Err(invalid());
    }
    Ok((authority, if target.is_empty() { "/" } else { target }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        assert_eq!(split_url("http://127.0.0.1:80/a?b").unwrap(), ("127.0.0.1:80", "/a?b"));
        assert_eq!(split_url("http://127.0.0.1:80").unwrap(), ("127.0.0.1:80", "/"));
        assert!(split_url("https://127.0.0.1:80/").is_err());
        assert!(split_url("http://localhost/").is_err());
    }
}
