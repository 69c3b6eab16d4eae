//! The server, and what is put on it before the clock starts.

use crate::content::{Record, bytes_at};
use crate::{Result, content};
use std::time::{SystemTime, UNIX_EPOCH};
use test_servers::{Durability, RustServer, direct};

/// The size of one request that fills a stream.
const FILL_BYTES: usize = 4_000_000;

pub(crate) const BINARY: &str = "application/octet-stream";
pub(crate) const JSON: &str = "application/json";

/// A server that was started here, or that runs somewhere.
pub(crate) struct Server {
    url: String,
    _own: Option<RustServer>,
}

impl Server {
    pub(crate) fn find(url: Option<&str>) -> Result<Self> {
        match url {
            Some(url) => Ok(Self { url: url.to_owned(), _own: None }),
            None => {
                let own = RustServer::builder()
                    .durability(Durability::Memory)
                    // As long as servers usually wait.
                    .long_poll_timeout(std::time::Duration::from_secs(30))
                    .start()?;
                Ok(Self { url: own.url().to_owned(), _own: Some(own) })
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// An empty stream under a name of its own.
    pub(crate) fn create(&self, content_type: &'static str) -> Result<Stream> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let url = format!("{}/load-{}-{time}", self.url, std::process::id());
        request("PUT", &url, content_type, b"")?;
        Ok(Stream { url })
    }

    pub(crate) fn filled(&self, count: u64, size: usize) -> Result<Stream> {
        let stream = self.create(BINARY)?;
        let mut left = count * size as u64;
        let mut position = 0;
        let mut body = Vec::with_capacity(FILL_BYTES);
        while left > 0 {
            body.clear();
            while left > 0 && body.len() < FILL_BYTES {
                let room = (FILL_BYTES - body.len()).min(content::MAX_SIZE);
                let piece = bytes_at(position, room.min(usize::try_from(left).unwrap_or(room)));
                body.extend_from_slice(piece);
                position += piece.len() as u64;
                left -= piece.len() as u64;
            }
            request("POST", &stream.url, BINARY, &body)?;
        }
        Ok(stream)
    }

    pub(crate) fn filled_json(&self, count: u64, size: usize) -> Result<Stream> {
        let stream = self.create(JSON)?;
        let mut index = 0;
        let mut body = Vec::with_capacity(FILL_BYTES + size);
        while index < count {
            body.clear();
            while index < count && body.len() < FILL_BYTES {
                body.push(if body.is_empty() { b'[' } else { b',' });
                serde_json::to_writer(&mut body, &Record::at(index, size))?;
                index += 1;
            }
            body.push(b']');
            request("POST", &stream.url, JSON, &body)?;
        }
        Ok(stream)
    }
}

/// A stream that is deleted at its end: rounds share a server.
pub(crate) struct Stream {
    url: String,
}

impl Stream {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// One request, whose body is what the content type makes of it.
    pub(crate) fn append(&self, content_type: &str, body: &[u8]) -> Result<()> {
        request("POST", &self.url, content_type, body)
    }

    /// All that the server holds.
    pub(crate) fn read(&self) -> Result<bytes::Bytes> {
        let answer = direct("GET", &format!("{}?offset=-1", self.url), (), "")?;
        match answer.status {
            200 if answer.header("stream-up-to-date") == Some("true") => Ok(answer.body),
            200 => Err("the server pages its answers, which this comparison does not follow".into()),
            status => Err(format!("GET {}: {status}: {}", self.url, answer.text()).into()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Err(error) = request("DELETE", &self.url, BINARY, b"") {
            eprintln!("load: a stream is left behind: {error}");
        }
    }
}

fn request(method: &str, url: &str, content_type: &str, body: &[u8]) -> Result<()> {
    let answer = direct(method, url, [("content-type", content_type)], body)?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(format!("{method} {url}: {status}: {}", answer.text()).into()),
    }
}
