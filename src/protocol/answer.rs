//! What an answer's head says, in the protocol's terms.

use crate::Offset;
use crate::error::{Context, Error, StreamError, shown};
use chrono::{DateTime, NaiveDateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::time::{Duration, SystemTime};

/// The protocol's headers of one answer. Absent where the server did not send them.
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

/// How server-sent data events carry content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DataEncoding {
    /// As it is.
    #[default]
    Plain,
    Base64,
    /// In a way that this client does not know, by this name.
    Unknown(String),
}

impl Head {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// [`StreamError::Protocol`] for a header that is there and makes no sense, with its value.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, StreamError> {
        let fields = Fields::find(headers);
        let expires_at = match fields.expires_at.text()? {
            None => None,
            Some(value) => Some(
                DateTime::parse_from_rfc3339(value)
                    .map_err(|e| {
                        let value = shown(value);
                        StreamError::protocol(format!("Stream-Expires-At {value:?} is no RFC 3339 time: {e}"))
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
            ..fields.of_read()?
        })
    }

    /// Reads what the headers of an answer to a reader say. What they say beside that is not asked for: a wrong
    /// expiry must not keep anybody from reading.
    ///
    /// # Errors
    ///
    /// [`StreamError::Protocol`] for a header that reading depends on and that makes no sense, with its value.
    pub(crate) fn of_read(headers: &HeaderMap) -> Result<Self, StreamError> {
        Fields::find(headers).of_read()
    }

    /// What the headers of a refusal say, as far as they make sense: one that makes none must not hide what the others
    /// say, and the body is not the stream's.
    pub(crate) fn of_refusal(headers: &HeaderMap) -> Self {
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

    /// The offset that this answer must have.
    pub(crate) fn require_offset(&self, operation: &str) -> Result<Offset, StreamError> {
        self.next_offset.clone().ok_or_else(|| {
            StreamError::protocol(format!(
                "the answer to {operation} has no Stream-Next-Offset: this is not a Durable Streams server, or something between strips its headers"
            ))
        })
    }
}

macro_rules! fields {
    ($($field:ident = $name:literal),+ $(,)?) => {
        /// The fields of one answer that the protocol knows, each with its first value.
        #[derive(Default)]
        struct Fields<'h> { $($field: Field<'h>),+ }

        impl<'h> Fields<'h> {
            /// One pass over what is there: an answer has fewer fields than there are names to look up.
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
    fn of_read(&self) -> Result<Head, StreamError> {
        // These two are for caches alone: what cannot be sent back is not.
        let (cursor, etag) = (self.cursor.text().ok().flatten(), self.etag.text().ok().flatten());
        Ok(Head {
            next_offset: self.next_offset()?,
            cursor: cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned),
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
        // To choose one would be to skip, or to repeat, what lies between them.
        if let Some(other) = self.next_offset.other {
            let (token, other) = (shown(token), String::from_utf8_lossy(other.as_bytes()));
            return Err(StreamError::protocol(format!(
                "the server sent Stream-Next-Offset twice, {token:?} and {:?}",
                shown(&other)
            )));
        }
        let offset = Offset::from_server(token).map_err(|reason| {
            let token = shown(token);
            StreamError::protocol(format!("the server sent Stream-Next-Offset {token:?}: {reason}"))
        })?;
        Ok(Some(offset))
    }
}

/// A header field, if it is there.
#[derive(Clone, Copy, Default)]
struct Field<'h> {
    first: Option<(&'h HeaderName, &'h HeaderValue)>,
    /// A value that it has besides, and that is another.
    other: Option<&'h HeaderValue>,
}

impl<'h> Field<'h> {
    fn add(&mut self, name: &'h HeaderName, value: &'h HeaderValue) {
        let (_, first) = *self.first.get_or_insert((name, value));
        if first != value {
            self.other = Some(value);
        }
    }

    fn text(self) -> Result<Option<&'h str>, StreamError> {
        let Some((name, value)) = self.first else { return Ok(None) };
        std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| {
            let value = String::from_utf8_lossy(value.as_bytes());
            StreamError::protocol(format!("the header {name} is not valid UTF-8: {:?}", shown(&value)))
        })
    }

    /// Set only when its value is `true`, in any case; also where it was sent twice, and put into one list.
    fn flag(self) -> bool {
        let is_true = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(b"true");
        self.first.is_some_and(|(_, value)| value.as_bytes().split(|byte| *byte == b',').all(is_true))
    }

    fn number(self) -> Result<Option<u64>, StreamError> {
        let (Some(value), Some((name, _))) = (self.text()?, self.first) else { return Ok(None) };
        let digits = value.trim();
        digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).map(Some).ok_or_else(
            || StreamError::protocol(format!("the header {name} is no number: {:?}", shown(value))),
        )
    }
}

/// Refuses an answer whose body would come out as other bytes than were stored.
///
/// # Errors
///
/// [`StreamError::UnexpectedEncoding`] with the encoding's name; [`StreamError::Protocol`] where it is one of the
/// transfer, which no client of HTTP undoes unasked.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), StreamError> {
    if let Some(encoding) = beyond(headers, &header::CONTENT_ENCODING, "identity") {
        return Err(StreamError::UnexpectedEncoding { encoding });
    }
    if let Some(coding) = beyond(headers, &header::TRANSFER_ENCODING, "chunked") {
        let message = format!("the server sent Transfer-Encoding {coding}, which was not asked for");
        return Err(StreamError::protocol(message));
    }
    Ok(())
}

/// The first of the header's lists that has more in it than `usual`.
fn beyond(headers: &HeaderMap, name: &HeaderName, usual: &str) -> Option<String> {
    let is_usual = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        ["", "identity", usual].iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    };
    let mut lists = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let list = lists.find(|list| !list.split(|byte| *byte == b',').all(is_usual))?;
    Some(shown(&String::from_utf8_lossy(list.trim_ascii())).into_owned())
}

/// `Retry-After`, in seconds or as a date; a date in the past is zero. Nonsense is ignored. `now` is for servers that do
/// not say what time it is with them.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // HTTP knows no parts of a second, but some that speak it do.
    if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Duration::try_from_secs_f64(value.parse().ok()?).ok();
    }
    let date = http_date(value)?;
    let now = headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?.trim())).unwrap_or(now);
    Some(date.duration_since(now).unwrap_or_default())
}

/// A date in any of the three forms that HTTP has had.
fn http_date(text: &str) -> Option<SystemTime> {
    let in_form = |form| NaiveDateTime::parse_from_str(text, form).map(|date| date.and_utc());
    let date = DateTime::parse_from_rfc2822(text)
        .map(|date| date.to_utc())
        .or_else(|_| in_form("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|_| in_form("%a %b %e %H:%M:%S %Y"));
    Some(date.ok()?.into())
}

/// What was asked of the server, as far as judging the answer needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Append,
    Close,
    Head,
    Delete,
    Read,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Close => "close",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }
}

/// An answer whose status is no success.
pub(crate) struct Refused<'a> {
    pub(crate) operation: Operation,
    pub(crate) url: &'a str,
    /// The offset asked for.
    pub(crate) offset: Option<&'a Offset>,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// The start of the body.
    pub(crate) message: &'a [u8],
    /// The size of the body that was sent.
    pub(crate) size: usize,
}

impl Refused<'_> {
    /// The error behind it. `now` is the wall clock, to which a date in `Retry-After` is compared.
    pub(crate) fn into_error(self, now: SystemTime) -> Error {
        // What is in some encoding has no words to show.
        let message = check_encoding(self.headers).ok().and_then(|()| describe(self.message));
        let retry_after = retry_after(self.headers, now);
        let is_append = matches!(self.operation, Operation::Append | Operation::Close);
        let server_epoch = match self.status {
            StatusCode::FORBIDDEN if is_append => Head::of_refusal(self.headers).producer_epoch,
            _ => None,
        };
        let kind = self.kind(message.as_deref(), retry_after);
        Error::with_context(
            kind,
            Context {
                operation: Some(self.operation.name()),
                url: Some(self.url.to_owned()),
                status: Some(self.status),
                server_message: message,
                offset: self.offset.cloned(),
                retry_after,
                server_epoch,
                ..Context::default()
            },
        )
    }

    fn kind(&self, message: Option<&str>, retry_after: Option<Duration>) -> StreamError {
        let url = || self.url.to_owned();
        let said = || message.or(self.status.canonical_reason()).unwrap_or("no reason given").to_owned();
        match self.status.as_u16() {
            304 => StreamError::NotModified,
            300..=399 => {
                StreamError::Redirect { reason: format!("{} is none that a client follows", self.status) }
            }
            401 => StreamError::Unauthorized,
            403 => StreamError::Forbidden,
            404 => StreamError::NotFound { url: url() },
            405 | 501 => StreamError::NotSupported,
            409 if self.operation == Operation::Create => StreamError::Conflict,
            409 => match Head::of_refusal(self.headers) {
                Head { closed: true, next_offset, .. } => {
                    StreamError::StreamClosed { final_offset: next_offset }
                }
                Head { expected_seq: Some(expected), received_seq: received, .. } => {
                    let received = received.map(|seq| format!(", and got {seq}")).unwrap_or_default();
                    StreamError::SeqConflict(format!(
                        "the server waits for the producer's seq {expected}{received}"
                    ))
                }
                _ => StreamError::SeqConflict(said()),
            },
            410 => match self.offset {
                Some(offset) => StreamError::OffsetGone { offset: offset.to_string() },
                None => StreamError::Gone { url: url() },
            },
            413 => StreamError::PayloadTooLarge { size: self.size },
            429 => StreamError::RateLimited { retry_after },
            408 | 425 | 500.. => StreamError::ServerError { status: self.status.as_u16(), message: said() },
            200..=299 => {
                let operation = self.operation.name();
                StreamError::protocol(format!(
                    "the answer to {operation} has the unexpected status {}",
                    self.status
                ))
            }
            _ => StreamError::BadRequest { message: said() },
        }
    }
}

/// The server's words on one line, or nothing where there are none worth showing.
fn describe(message: &[u8]) -> Option<String> {
    let message = &message[..message.len().min(Context::MAX_MESSAGE)];
    let text = String::from_utf8_lossy(message);
    // What steers a terminal does not belong into a log.
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn reads_what_is_there() {
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
        let closed = |value| Head::of_read(&headers(&[("stream-closed", value)])).unwrap().closed;
        assert!(closed("true, True") && !closed("true, false") && !closed("true,") && !closed(""));
        assert_eq!(head.ttl, Some(Duration::from_secs(60)));
        assert_eq!(head.expires_at.unwrap().to_rfc3339(), "2030-01-02T03:04:05+00:00");
    }

    #[test]
    fn nonsense_is_an_error_with_its_value() {
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
    fn an_encoding_that_was_not_asked_for_is_refused_by_name() {
        let check = |value| check_encoding(&headers(&[("content-encoding", value)]));
        assert!(check("").is_ok() && check(" Identity").is_ok() && check_encoding(&headers(&[])).is_ok());
        assert!(check("gzip, br").unwrap_err().to_string().contains("gzip, br"));
        assert!(check("identity, GZIP").unwrap_err().to_string().contains("GZIP"));
        // Nor is one that comes second, or that is one of the transfer.
        let mut twice = headers(&[("content-encoding", "identity")]);
        twice.append("content-encoding", HeaderValue::from_static("gzip"));
        assert!(check_encoding(&twice).unwrap_err().to_string().contains("gzip"));
        let transfer = |value| check_encoding(&headers(&[("transfer-encoding", value)]));
        assert!(transfer("chunked").is_ok() && transfer("identity, Chunked").is_ok());
        assert!(transfer("gzip, chunked").unwrap_err().to_string().contains("gzip, chunked"));
    }

    #[test]
    fn a_reader_asks_for_what_it_needs_and_no_more() {
        let mut sent = headers(&[
            ("stream-next-offset", "a5"),
            ("stream-ttl", "soon"),
            ("stream-expires-at", "never"),
            ("producer-epoch", "x"),
        ]);
        sent.insert("etag", HeaderValue::from_bytes(b"\"caf\xE9\"").unwrap());
        sent.insert("stream-cursor", HeaderValue::from_bytes(b"\xE9").unwrap());
        let head = Head::of_read(&sent).unwrap();
        assert_eq!((head.next_offset, head.etag, head.cursor), (Some(Offset::parse("a5")), None, None));
        assert!(Head::parse(&sent).is_err());
        // The same offset twice is one; two of them are none.
        sent.append("stream-next-offset", HeaderValue::from_static("a5"));
        assert!(Head::of_read(&sent).is_ok());
        sent.append("stream-next-offset", HeaderValue::from_static("a9"));
        let error = Head::of_read(&sent).unwrap_err().to_string();
        assert!(error.contains("a5") && error.contains("a9"), "{error}");
        assert_eq!(Head::of_refusal(&sent).next_offset, None);
    }

    #[test]
    fn how_events_carry_data_is_told_by_name() {
        for (name, expected) in [
            ("", DataEncoding::Plain),
            ("Identity", DataEncoding::Plain),
            (" BASE64 ", DataEncoding::Base64),
            ("hex", DataEncoding::Unknown("hex".into())),
        ] {
            let head = Head::of_read(&headers(&[("stream-sse-data-encoding", name)])).unwrap();
            assert_eq!(head.data_encoding, expected);
        }
        assert_eq!(Head::of_read(&headers(&[])).unwrap().data_encoding, DataEncoding::Plain);
    }

    #[test]
    fn messages_are_bounded_and_show_no_more_than_words() {
        let long = "é".repeat(100_000);
        let of = |name| Head::parse(&HeaderMap::from_iter([(name, HeaderValue::from_str(&long).unwrap())]));
        for name in ["stream-next-offset", "stream-ttl", "stream-expires-at"] {
            let error = of(HeaderName::from_static(name)).unwrap_err().to_string();
            assert!(error.len() < 500 && error.contains("(200000 bytes)"), "{error}");
        }
        let refused = |headers: &HeaderMap, message: &[u8]| {
            let (operation, status) = (Operation::Read, StatusCode::BAD_GATEWAY);
            Refused { operation, url: "http://h/s", offset: None, status, headers, message, size: 0 }
                .into_error(SystemTime::UNIX_EPOCH)
                .to_string()
        };
        let error = refused(&HeaderMap::new(), b"\x1b[31mno\0\r\n\tway\x07");
        assert!(error.contains("[31mno way;") || error.ends_with("[31mno way"), "{error:?}");
        assert!(!error.contains(char::is_control), "{error:?}");
        let error = refused(&headers(&[("content-encoding", "gzip")]), b"\x1f\x8b\x08garbage");
        assert!(!error.contains("garbage"), "{error:?}");
    }

    #[test]
    fn retry_after_in_seconds_or_as_a_date() {
        let date: SystemTime = DateTime::parse_from_rfc3339("2030-01-02T03:04:05Z").unwrap().into();
        let at = |value: &'static str| retry_after(&headers(&[("retry-after", value)]), date);
        assert_eq!(at("7"), Some(Duration::from_secs(7)));
        assert_eq!((at("1.5"), at("1.5.5"), at(".")), (Some(Duration::from_millis(1500)), None, None));
        assert_eq!(at("Wed, 02 Jan 2030 03:04:15 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(at("Wed, 02 Jan 2030 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("whenever"), None);
        // What servers of old wrote.
        assert_eq!(at("Wednesday, 02-Jan-30 03:04:15 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(at("Wed Jan  2 03:04:15 2030"), Some(Duration::from_secs(10)));
        // Nor is a negative number one, or one beyond all numbers.
        assert_eq!((at("-5"), at("1e9"), at("99999999999999999999")), (None, None, None));
    }

    #[test]
    fn a_date_is_compared_to_the_clock_that_it_comes_from() {
        let headers = headers(&[
            ("retry-after", "Wed, 02 Jan 2030 03:04:15 GMT"),
            ("date", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ]);
        let hour = Duration::from_secs(3600);
        let date: SystemTime = DateTime::parse_from_rfc3339("2030-01-02T03:04:05Z").unwrap().into();
        for ours in [date - hour, date, date + hour] {
            assert_eq!(retry_after(&headers, ours), Some(Duration::from_secs(10)));
        }
    }

    #[test]
    fn one_wrong_header_of_a_refusal_takes_nothing_from_the_others() {
        let head = Head::of_refusal(&headers(&[
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
}
