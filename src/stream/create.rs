//! The options of a create.

use super::values::content_type_value;
use crate::error::{Error, StreamError};
use crate::exchange::call::Call;
use crate::exchange::headers::{header, header_value};
use crate::offset::Offset;
use crate::protocol::content_type::DEFAULT_CONTENT_TYPE;
use crate::protocol::headers;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderName, HeaderValue, header as http_header};
use std::time::Duration;

/// The options of a create (protocol §5.1). The default is an open, empty stream of `application/octet-stream` that does
/// not expire.
///
/// ```
/// use durable_streams::CreateOptions;
/// use std::time::Duration;
///
/// let options = CreateOptions::new()
///     .content_type("application/json")
///     .ttl(Duration::from_secs(3600))
///     .data(r#"[{"hello":"world"}]"#);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CreateOptions {
    content_type: Option<String>,
    ttl: Option<Duration>,
    expires_at: Option<DateTime<Utc>>,
    data: Bytes,
    closed: bool,
    fork: Option<Fork>,
    headers: Vec<(String, String)>,
}

impl CreateOptions {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The stream's content type. Default: `application/octet-stream`; for a fork, that of its source.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The stream expires after this time without a read or a write. Whole seconds. Default: never.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The stream expires at this time. Not together with [`ttl`](Self::ttl). Default: never.
    pub fn expires_at(mut self, expires_at: DateTime<Utc>) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// The stream's first content. For a JSON stream, an array of messages or one message. Default: none.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// Whether the stream is created closed, with [`data`](Self::data) as its only content. Default: false.
    pub fn closed(mut self, closed: bool) -> Self {
        self.closed = closed;
        self
    }

    /// Creates the stream as a fork of another stream on the same server (protocol §4.2). Default: none.
    pub fn fork(mut self, fork: Fork) -> Self {
        self.fork = Some(fork);
        self
    }

    /// A header for this request. Headers that the protocol defines win over it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Writes the options into `call`. Returns the content type that it sends.
    pub(super) fn apply(self, call: &mut Call) -> Result<Option<String>, Error> {
        let mut set = |name: HeaderName, value: HeaderValue| call.headers.insert(name, value);
        // The server gives a fork the type of its source.
        // To send the default type for a fork could contradict its source.
        let content_type = match (self.content_type, &self.fork) {
            (None, Some(_)) => None,
            (content_type, _) => Some(content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
        };
        if let Some(content_type) = &content_type {
            set(http_header::CONTENT_TYPE, content_type_value(content_type)?);
        }
        if let Some(ttl) = self.ttl {
            if self.expires_at.is_some() {
                let reason = "a stream has a ttl or an expires_at, not both; remove one";
                return Err(StreamError::config("ttl", format!("{ttl:?}"), reason).into());
            }
            if ttl.subsec_nanos() != 0 {
                let reason = "it must be whole seconds";
                return Err(StreamError::config("ttl", format!("{ttl:?}"), reason).into());
            }
            set(headers::STREAM_TTL, HeaderValue::from(ttl.as_secs()));
        }
        if let Some(expires_at) = self.expires_at {
            let text = expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            set(headers::STREAM_EXPIRES_AT, header_value("expires_at", &text)?);
        }
        if self.closed {
            set(headers::STREAM_CLOSED, HeaderValue::from_static("true"));
        }
        if let Some(fork) = self.fork {
            // The protocol wants a path on the same server.
            set(headers::STREAM_FORKED_FROM, header_value("fork", &fork.path()?)?);
            if let Some(offset) = fork.offset {
                offset.validate()?;
                set(headers::STREAM_FORK_OFFSET, header_value("fork offset", offset.to_query_value())?);
            }
            // Zero is the default. Some servers refuse the header without an offset.
            if fork.sub_offset != 0 {
                set(headers::STREAM_FORK_SUB_OFFSET, HeaderValue::from(fork.sub_offset));
            }
        }
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            call.extra_headers.insert(name, value);
        }
        call.body = self.data;
        Ok(content_type)
    }
}

/// The source of a fork, and the position up to which the fork has the same content.
///
/// ```
/// use durable_streams::{CreateOptions, Fork, Offset};
///
/// let options = CreateOptions::new().fork(Fork::of("/v1/stream/chat").at(Offset::parse("0001_0042")).sub_offset(3));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Fork {
    source: String,
    offset: Option<Offset>,
    sub_offset: u64,
}

impl Fork {
    /// A fork of the stream at `source`: the path of its URL, or the whole URL, on the same server.
    pub fn of(source: impl Into<String>) -> Self {
        Self { source: source.into(), offset: None, sub_offset: 0 }
    }

    /// The fork has the content before this offset of the source. Default: all of it up to the tail.
    pub fn at(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The fork also has this much content after the offset: JSON messages, or bytes for any other type. Default: 0.
    pub fn sub_offset(mut self, sub_offset: u64) -> Self {
        self.sub_offset = sub_offset;
        self
    }

    fn path(&self) -> Result<String, Error> {
        let path = match url::Url::parse(&self.source) {
            Ok(url) => url.path().to_owned(),
            Err(_) => self.source.clone(),
        };
        if path.is_empty() || path.trim() != path {
            let reason = "the source of a fork must be the path of a stream's URL";
            return Err(StreamError::config("fork", format!("{:?}", self.source), reason).into());
        }
        Ok(path)
    }
}
