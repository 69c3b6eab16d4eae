//! One request to a script, and the means to answer it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::{Connection, Farewell};
use crate::front::After;
use crate::headers::Headers;
use crate::message::status_line;
use crate::recorded::Recorded;

/// One request to a [`Script`](crate::Script), and the methods to respond to it. It has the request's parts:
/// `exchange.method`, `exchange.query("offset")` and the rest of [`Recorded`].
///
/// Writing to a client that has disconnected is not an error, because many tests disconnect it:
/// [`Exchange::client_is_gone`] checks for it. When the handler returns, the connection is kept for another request
/// if the answer was complete (and the request did not ask otherwise); else it is closed by a FIN, so an
/// answer that was begun and not finished is one that was cut short.
#[derive(Debug)]
pub struct Exchange {
    connection: Arc<Connection>,
    request: Recorded,
    nth: usize,
    answer: ResponseState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseState {
    /// No complete response: nothing, raw bytes, or a part.
    Incomplete,
    /// A head, with the framing that pieces have to be given.
    Begun {
        chunked: bool,
    },
    Complete,
    Reset,
}

impl Exchange {
    pub(crate) fn new(connection: Arc<Connection>, request: Recorded, nth: usize) -> Self {
        Self { connection, request, nth, answer: ResponseState::Incomplete }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Recorded {
        &self.request
    }

    /// Which request of all this is; the first is 0.
    #[must_use]
    pub fn nth(&self) -> usize {
        self.nth
    }

    /// Answers in full. `Content-Length` is added unless it is given, or the status (204, 304) allows none; the
    /// body is left out where the request was a HEAD.
    pub fn respond(&mut self, status: u16, headers: impl Into<Headers>, body: impl AsRef<[u8]>) {
        let (mut headers, body) = (headers.into(), body.as_ref());
        if headers.count("content-length") == 0 && !matches!(status, 204 | 304) {
            headers.set("content-length", body.len().to_string());
        }
        let mut bytes = status_line(status).into_bytes();
        headers.write_to(&mut bytes);
        if self.request.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.write(&bytes);
        self.answer = ResponseState::Complete;
    }

    /// Sends these bytes and nothing else: a status line, a head, anything. The connection is closed when the
    /// handler returns, unless [`Exchange::keep_open`] is called.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes.as_ref());
        self.answer = ResponseState::Incomplete;
    }

    /// Sends a head, for a body that follows piece by piece. The body is chunked unless the headers say
    /// otherwise by `Content-Length`, `Transfer-Encoding` or `Connection: close`.
    pub fn head(&mut self, status: u16, headers: impl Into<Headers>) {
        let mut headers = headers.into();
        let framed = headers.count("content-length") > 0
            || headers.count("transfer-encoding") > 0
            || headers.lists("connection", "close");
        if !framed {
            headers.set("transfer-encoding", "chunked");
        }
        let mut bytes = status_line(status).into_bytes();
        headers.write_to(&mut bytes);
        self.write(&bytes);
        self.answer = ResponseState::Begun { chunked: !framed };
    }

    /// Sends a piece of the body, at once. An empty one sends nothing (it would end a chunked body).
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return;
        }
        if self.answer == (ResponseState::Begun { chunked: true }) {
            let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
            framed.extend_from_slice(bytes);
            framed.extend_from_slice(b"\r\n");
            self.write(&framed);
        } else {
            self.write(bytes);
        }
    }

    /// Ends a body that [`Exchange::head`] began, in good order.
    pub fn finish(&mut self) {
        if self.answer == (ResponseState::Begun { chunked: true }) {
            self.write(b"0\r\n\r\n");
            self.answer = ResponseState::Complete;
        }
    }

    /// Sends the head of an event stream (200, `text/event-stream`), with more headers if need be, such as
    /// `Stream-SSE-Data-Encoding`.
    pub fn sse_head(&mut self, more: impl Into<Headers>) {
        let mut headers =
            Headers::from([("content-type", "text/event-stream"), ("cache-control", "no-cache")]);
        for (name, value) in more.into().iter() {
            headers.set(name, value);
        }
        self.head(200, headers);
    }

    /// Sends text of an event stream as one piece, sending the head first if there was none. Written out by
    /// hand, or by [`sse_data`](crate::sse_data) and [`sse_control`](crate::sse_control).
    pub fn sse(&mut self, text: impl AsRef<[u8]>) {
        if !matches!(self.answer, ResponseState::Begun { .. }) {
            self.sse_head(());
        }
        self.chunk(text);
    }

    /// Has the connection reset when the handler returns.
    pub fn reset(&mut self) {
        self.answer = ResponseState::Reset;
    }

    /// Has the connection closed by a FIN when the handler returns, also after a complete answer.
    pub fn close(&mut self) {
        self.answer = ResponseState::Incomplete;
    }

    /// Has the connection kept for another request when the handler returns: for [`Exchange::raw`] answers
    /// that are complete.
    pub fn keep_open(&mut self) {
        self.answer = ResponseState::Complete;
    }

    /// Waits, for a pause between two pieces. Returns whether the client is still connected; it does not wait
    /// longer than the client does.
    pub fn pause(&mut self, duration: Duration) -> bool {
        !self.connection.wait_over(duration)
    }

    /// Does nothing more until the client has gone. The connection then ends, whatever was sent.
    pub fn hang(&mut self) {
        self.connection.wait_over_forever();
        self.answer = ResponseState::Incomplete;
    }

    /// Whether the client has closed the connection by now.
    #[must_use]
    pub fn client_is_gone(&self) -> bool {
        self.connection.is_over()
    }

    /// Waits for at most `timeout` for the client to close the connection. Returns whether it did.
    #[must_use]
    pub fn client_closed(&self, timeout: Duration) -> bool {
        self.connection.wait_over(timeout)
    }

    fn write(&self, bytes: &[u8]) {
        // A client that has gone is noticed by the thread that reads from it.
        self.connection.send(bytes).unwrap_or_default();
    }

    pub(crate) fn after(&self) -> After {
        match self.answer {
            ResponseState::Complete => After::KeepAlive,
            ResponseState::Reset => After::End(Farewell::Reset),
            ResponseState::Incomplete | ResponseState::Begun { .. } => After::End(Farewell::Fin),
        }
    }
}

impl Deref for Exchange {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.request
    }
}
