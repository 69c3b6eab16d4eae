//! Headers and bodies of a Durable Streams server, for scripts.

use std::fmt::Write;

use crate::headers::Headers;

/// The flags of a successful response besides its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag<'a> {
    /// `Stream-Up-To-Date: true`.
    UpToDate,
    /// `Stream-Closed: true`.
    Closed,
    /// `Stream-Cursor`, for live reads.
    Cursor(&'a str),
    /// `Content-Type`. Without it, `application/octet-stream`.
    ContentType(&'a str),
    /// `ETag`, quotes included.
    ETag(&'a str),
}

/// The headers of a successful response: `Stream-Next-Offset`, a content type, and the flags.
#[must_use]
pub fn stream_headers(offset: &str, flags: &[Flag<'_>]) -> Headers {
    let mut headers =
        Headers::from([("content-type", "application/octet-stream"), ("stream-next-offset", offset)]);
    for flag in flags {
        match flag {
            Flag::UpToDate => headers.set("stream-up-to-date", "true"),
            Flag::Closed => headers.set("stream-closed", "true"),
            Flag::Cursor(cursor) => headers.set("stream-cursor", cursor),
            Flag::ContentType(content_type) => headers.set("content-type", content_type),
            Flag::ETag(etag) => headers.set("etag", etag),
        }
    }
    headers
}

/// A data event of an event stream: a `data` line for each line of `text`, and the blank line.
#[must_use]
pub fn sse_data(text: &str) -> String {
    let mut event = String::from("event: data\n");
    for line in text.split('\n') {
        event += "data: ";
        event += line;
        event.push('\n');
    }
    event.push('\n');
    event
}

/// A control event of an event stream. Flags that are headers only are left out. The texts must need no
/// escaping in JSON.
#[must_use]
pub fn sse_control(offset: &str, flags: &[Flag<'_>]) -> String {
    let mut event = format!("event: control\ndata: {{\"streamNextOffset\":\"{offset}\"");
    for flag in flags {
        match flag {
            Flag::UpToDate => event += ",\"upToDate\":true",
            Flag::Closed => event += ",\"streamClosed\":true",
            // Writing to a string cannot fail.
            Flag::Cursor(cursor) => write!(event, ",\"streamCursor\":\"{cursor}\"").unwrap_or_default(),
            Flag::ContentType(_) | Flag::ETag(_) => {}
        }
    }
    event += "}\n\n";
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_headers_and_fields() {
        let flags = [Flag::UpToDate, Flag::Cursor("7"), Flag::ContentType("text/plain")];
        let headers = stream_headers("0_9", &flags);
        assert_eq!(headers.get("stream-next-offset"), Some("0_9"));
        assert_eq!(headers.get("stream-up-to-date"), Some("true"));
        assert_eq!((headers.get("content-type"), headers.count("content-type")), (Some("text/plain"), 1));
        assert_eq!(
            sse_control("0_9", &flags),
            "event: control\ndata: {\"streamNextOffset\":\"0_9\",\"upToDate\":true,\"streamCursor\":\"7\"}\n\n"
        );
        assert_eq!(sse_data("a\nb"), "event: data\ndata: a\ndata: b\n\n");
    }
}
