//! The headers of a response.

use crate::error::{StreamError, truncate_for_display};
use crate::offset::Offset;
use crate::protocol::sse::is_usable_cursor;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// The headers of one response that the protocol defines. A field is `None` if the server did not send its header.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) next_offset: Option<Offset>,
    pub(crate) cursor: Option<String>,
    pub(crate) up_to_date: bool,
    pub(crate) closed: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) producer_epoch: Option<u64>,
    pub(crate) producer_seq: Option<u64>,
    pub(crate) expected_seq: Option<u64>,
    pub(crate) received_seq: Option<u64>,
    pub(crate) data_encoding: DataEncoding,
}

/// How the data events of an event stream encode the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DataEncoding {
    /// Not encoded.
    #[default]
    Plain,
    Base64,
    /// An encoding that this client does not know, with its name.
    Unknown(String),
}

impl Head {
    /// Parses all headers.
    ///
    /// # Errors
    ///
    /// [`StreamError::Protocol`] for a header whose value is not valid, with the value.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, StreamError> {
        let fields = Fields::find(headers);
        let expires_at = match fields.expires_at.text()? {
            None => None,
            Some(value) => Some(
                DateTime::parse_from_rfc3339(value)
                    .map_err(|e| {
                        let value = truncate_for_display(value);
                        StreamError::protocol(format!(
                            "Stream-Expires-At {value:?} is not an RFC 3339 time: {e}"
                        ))
                    })?
                    .to_utc(),
            ),
        };
        Ok(Self {
            ttl: fields.ttl.number()?.map(Duration::from_secs),
            expires_at,
            producer_epoch: fields.producer_epoch.number()?,
            producer_seq: fields.producer_seq.number()?,
            expected_seq: fields.expected_seq.number()?,
            received_seq: fields.received_seq.number()?,
            ..fields.for_read()?
        })
    }

    /// Parses the headers that reading needs. The others are ignored: an expiry that is not valid must not prevent
    /// reading.
    ///
    /// # Errors
    ///
    /// [`StreamError::Protocol`] for a header that reading needs and whose value is not valid, with the value.
    pub(crate) fn for_read(headers: &HeaderMap) -> Result<Self, StreamError> {
        Fields::find(headers).for_read()
    }

    /// Parses the headers of a response that is not a success. A header whose value is not valid is ignored, so that it
    /// does not hide the others.
    pub(crate) fn for_refusal(headers: &HeaderMap) -> Self {
        let fields = Fields::find(headers);
        Self {
            next_offset: fields.next_offset().ok().flatten(),
            closed: fields.closed.flag(),
            producer_epoch: fields.producer_epoch.number().ok().flatten(),
            producer_seq: fields.producer_seq.number().ok().flatten(),
            expected_seq: fields.expected_seq.number().ok().flatten(),
            received_seq: fields.received_seq.number().ok().flatten(),
            ..Self::default()
        }
    }

    /// The offset, which a response to this operation must have.
    pub(crate) fn require_offset(&self, operation: &str) -> Result<Offset, StreamError> {
        self.next_offset.clone().ok_or_else(|| {
            StreamError::protocol(format!(
                "the response to {operation} has no Stream-Next-Offset; check that the URL is of a Durable Streams server, and that no \
                 proxy removes its headers"
            ))
        })
    }
}

macro_rules! fields {
    ($($field:ident = $name:literal),+ $(,)?) => {
        /// The header fields of one response that the protocol defines.
        #[derive(Default)]
        struct Fields<'h> { $($field: Field<'h>),+ }

        impl<'h> Fields<'h> {
            /// One pass over the response: it has fewer fields than there are names to look up.
            fn find(headers: &'h HeaderMap) -> Self {
                let mut fields = Self::default();
                for (name, value) in headers {
                    let field = match name.as_str() {
                        $($name => &mut fields.$field,)+
                        _ => continue,
                    };
                    field.add(name, value);
                }
                fields
            }
        }
    };
}

fields! {
    content_type = "content-type",
    etag = "etag",
    next_offset = "stream-next-offset",
    cursor = "stream-cursor",
    up_to_date = "stream-up-to-date",
    closed = "stream-closed",
    ttl = "stream-ttl",
    expires_at = "stream-expires-at",
    sse_data_encoding = "stream-sse-data-encoding",
    producer_epoch = "producer-epoch",
    producer_seq = "producer-seq",
    expected_seq = "producer-expected-seq",
    received_seq = "producer-received-seq",
}

impl Fields<'_> {
    fn for_read(&self) -> Result<Head, StreamError> {
        // Only caches use these two, and they are sent back unchanged. A value that is not text could not be, so it is
        // dropped: the page is worth more.
        let (cursor, etag) = (self.cursor.text().ok().flatten(), self.etag.text().ok().flatten());
        Ok(Head {
            next_offset: self.next_offset()?,
            cursor: cursor.filter(|cursor| is_usable_cursor(cursor)).map(str::to_owned),
            up_to_date: self.up_to_date.flag(),
            closed: self.closed.flag(),
            content_type: self.content_type.text()?.map(str::to_owned),
            etag: etag.map(str::to_owned),
            data_encoding: match self.sse_data_encoding.text()?.map(str::trim) {
                None | Some("") => DataEncoding::Plain,
                Some(name) if name.eq_ignore_ascii_case("identity") => DataEncoding::Plain,
                Some(name) if name.eq_ignore_ascii_case("base64") => DataEncoding::Base64,
                Some(name) => DataEncoding::Unknown(name.to_owned()),
            },
            ..Head::default()
        })
    }

    fn next_offset(&self) -> Result<Option<Offset>, StreamError> {
        let Some(token) = self.next_offset.text()? else { return Ok(None) };
        // To choose one of two offsets could skip or repeat the data between them.
        if let Some(other) = self.next_offset.other {
            let (token, other) = (truncate_for_display(token), String::from_utf8_lossy(other.as_bytes()));
            return Err(StreamError::protocol(format!(
                "the server sent Stream-Next-Offset twice, {token:?} and {:?}",
                truncate_for_display(&other)
            )));
        }
        let offset = Offset::from_server(token).map_err(|reason| {
            let token = truncate_for_display(token);
            StreamError::protocol(format!("the server sent Stream-Next-Offset {token:?}: {reason}"))
        })?;
        Ok(Some(offset))
    }
}

/// One header field, if the response has it.
#[derive(Clone, Copy, Default)]
struct Field<'h> {
    first: Option<(&'h HeaderName, &'h HeaderValue)>,
    /// A later value that differs from the first.
    other: Option<&'h HeaderValue>,
}

impl<'h> Field<'h> {
    fn add(&mut self, name: &'h HeaderName, value: &'h HeaderValue) {
        let (_, first) = *self.first.get_or_insert((name, value));
        // Two equal values are a repetition, which proxies produce. Only another value is a contradiction.
        if first != value {
            self.other = Some(value);
        }
    }

    fn text(self) -> Result<Option<&'h str>, StreamError> {
        let Some((name, value)) = self.first else { return Ok(None) };
        std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| {
            let value = String::from_utf8_lossy(value.as_bytes());
            StreamError::protocol(format!(
                "the header {name} is not valid UTF-8: {:?}",
                truncate_for_display(&value)
            ))
        })
    }

    /// Whether the value is `true`, in any case. A proxy may have joined two equal fields to a list.
    fn flag(self) -> bool {
        let is_true = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(b"true");
        self.first.is_some_and(|(_, value)| value.as_bytes().split(|byte| *byte == b',').all(is_true))
    }

    fn number(self) -> Result<Option<u64>, StreamError> {
        let (Some(value), Some((name, _))) = (self.text()?, self.first) else { return Ok(None) };
        // `u64::from_str` accepts a leading plus sign, which the protocol does not.
        let digits = value.trim();
        digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).map(Some).ok_or_else(
            || {
                StreamError::protocol(format!(
                    "the header {name} is not a number: {:?}",
                    truncate_for_display(value)
                ))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_are_parsed_into_fields() {
        let head = Head::parse(&headers(&[
            ("stream-next-offset", "0_7"),
            ("stream-up-to-date", "TRUE"),
            ("stream-closed", "yes"),
            ("stream-ttl", "60"),
            ("stream-expires-at", "2030-01-02T03:04:05Z"),
        ]))
        .unwrap();
        assert_eq!(head.next_offset, Some(Offset::parse("0_7")));
        assert!(head.up_to_date && !head.closed);
        let closed = |value| Head::for_read(&headers(&[("stream-closed", value)])).unwrap().closed;
        assert!(closed("true, True") && !closed("true, false") && !closed("true,") && !closed(""));
        assert_eq!(head.ttl, Some(Duration::from_secs(60)));
        assert_eq!(head.expires_at.unwrap().to_rfc3339(), "2030-01-02T03:04:05+00:00");
    }

    #[test]
    fn invalid_value_is_an_error_that_shows_it() {
        for (name, value) in [
            ("stream-next-offset", "-1"),
            ("stream-next-offset", "now"),
            ("stream-next-offset", "a,b"),
            ("stream-next-offset", ""),
            ("stream-ttl", "+5"),
            ("stream-ttl", "soon"),
            ("stream-expires-at", "tomorrow"),
            ("producer-epoch", "1.5"),
        ] {
            let error = Head::parse(&headers(&[(name, value)])).unwrap_err();
            assert!(error.to_string().contains(value), "{name}: {error}");
        }
    }

    #[test]
    fn headers_that_reading_does_not_need_are_ignored() {
        let mut sent = headers(&[
            ("stream-next-offset", "a5"),
            ("stream-ttl", "soon"),
            ("stream-expires-at", "never"),
            ("producer-epoch", "x"),
        ]);
        sent.insert("etag", HeaderValue::from_bytes(b"\"caf\xE9\"").unwrap());
        sent.insert("stream-cursor", HeaderValue::from_bytes(b"\xE9").unwrap());
        let head = Head::for_read(&sent).unwrap();
        assert_eq!((head.next_offset, head.etag, head.cursor), (Some(Offset::parse("a5")), None, None));
        assert!(Head::parse(&sent).is_err());
        // A repeated offset is accepted. Two different ones are refused.
        sent.append("stream-next-offset", HeaderValue::from_static("a5"));
        assert!(Head::for_read(&sent).is_ok());
        sent.append("stream-next-offset", HeaderValue::from_static("a9"));
        let error = Head::for_read(&sent).unwrap_err().to_string();
        assert!(error.contains("a5") && error.contains("a9"), "{error}");
        assert_eq!(Head::for_refusal(&sent).next_offset, None);
    }

    #[test]
    fn data_encoding_is_known_by_its_name() {
        for (name, expected) in [
            ("", DataEncoding::Plain),
            ("Identity", DataEncoding::Plain),
            (" BASE64 ", DataEncoding::Base64),
            ("hex", DataEncoding::Unknown("hex".into())),
        ] {
            let head = Head::for_read(&headers(&[("stream-sse-data-encoding", name)])).unwrap();
            assert_eq!(head.data_encoding, expected);
        }
        assert_eq!(Head::for_read(&headers(&[])).unwrap().data_encoding, DataEncoding::Plain);
    }

    #[test]
    fn invalid_header_of_a_refusal_does_not_hide_the_others() {
        let head = Head::for_refusal(&headers(&[
            ("content-encoding", "gzip"),
            ("stream-ttl", "soon"),
            ("stream-next-offset", "0_7"),
            ("stream-closed", "true"),
            ("producer-epoch", "5"),
            ("producer-expected-seq", "3"),
            ("producer-received-seq", "x"),
        ]));
        assert_eq!((head.producer_epoch, head.expected_seq, head.received_seq), (Some(5), Some(3), None));
        assert!(head.closed);
        assert_eq!(head.next_offset, Some(Offset::parse("0_7")));
    }

    #[test]
    fn many_headers_and_long_values_are_parsed_in_bounded_texts() {
        let mut many = HeaderMap::new();
        for n in 0..10_000 {
            many.append(HeaderName::try_from(format!("x-{n}")).unwrap(), HeaderValue::from_static("1"));
            many.append("stream-next-offset", HeaderValue::from_static("0_1"));
        }
        assert_eq!(Head::parse(&many).unwrap().next_offset, Some(Offset::parse("0_1")));
        let long = HeaderValue::from_str(&"a".repeat(1 << 20)).unwrap();
        for name in ["stream-next-offset", "stream-ttl", "stream-expires-at", "producer-epoch"] {
            let error = Head::parse(&HeaderMap::from_iter([(HeaderName::from_static(name), long.clone())]));
            assert!(error.unwrap_err().to_string().len() < 500, "{name}");
        }
        // A reader continues without a cursor that would not fit into a URL.
        let cursor = |length| HeaderValue::from_str(&"1".repeat(length)).unwrap();
        let parsed = |length| {
            let name = HeaderName::from_static("stream-cursor");
            Head::for_read(&HeaderMap::from_iter([(name, cursor(length))])).unwrap().cursor
        };
        assert_eq!((parsed(4096).map(|cursor| cursor.len()), parsed(4097)), (Some(4096), None));
    }
}
