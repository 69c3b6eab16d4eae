//! What a proxy can do to a request and its response.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::headers::Headers;

/// What the proxy does with one request.
#[derive(Clone)]
#[non_exhaustive]
pub enum Action {
    /// It goes to the server, and the answer to the client.
    Pass,
    /// The proxy answers; the server never sees it. See [`Action::refuse`].
    RefuseStatus {
        /// The status code.
        status: u16,
        /// The header fields; `Content-Length` is added.
        headers: Headers,
        /// The body.
        body: Bytes,
    },
    /// The client's connection is reset; the server never sees the request.
    DropBefore,
    /// The server answers, but the client's connection is reset instead of passing that on.
    DropAfter,
    /// The proxy does nothing until the client disconnects. The server never gets the request.
    Hang,
    /// The server responds, but the proxy holds the response until the client disconnects.
    HangAfter,
    /// Only so many bytes of the response's body are passed on, while its head promises all of it. A shorter
    /// body passes whole. The same as [`Action::CutAfter`] with [`Cut::Bytes`].
    TruncateBody {
        /// How many bytes of the body the client gets.
        bytes: u64,
        /// What happens then.
        end: End,
    },
    /// The response's body is cut, also a live one.
    CutAfter {
        /// Where.
        cut: Cut,
        /// What happens then.
        end: End,
    },
    /// Only so many bytes of the response's head are passed on, at most all but the last.
    CutHead {
        /// How many bytes of the head the client gets.
        bytes: usize,
        /// What happens then.
        end: End,
    },
    /// The whole response is read, and passed on together with a second one that belongs to no request. It looks like the success of
    /// an append. Not for live responses.
    StrayResponse,
    /// The connection is closed after the response, which does not say so.
    CloseAfter,
    /// The response is preceded by an informational one.
    EarlyHints,
    /// The request is held so long, then passed on.
    Delay(Duration),
    /// The request is passed on, but the response is held so long.
    DelayResponse(Duration),
    /// The response's body is passed on in small pieces, each written (and, where the body is chunked,
    /// framed) by itself.
    Dribble {
        /// The size of a piece in bytes; 0 is taken as 1.
        chunk: usize,
        /// The pause after each.
        pause: Duration,
    },
    /// The proxy changes the response's head. The body is passed on as it comes, so this serves live
    /// responses too. See [`Action::edit_head`].
    EditHead(Arc<dyn Fn(&mut ResponseHead) + Send + Sync>),
    /// The whole response is read, changed, and passed on with a `Content-Length` that fits. Not for live
    /// responses, which have no end. See [`Action::edit_response`].
    EditResponse(Arc<EditResponse>),
    /// Several of these on one request, such as `Delay`, `Dribble` and `CutAfter`. Where two cannot both be
    /// had, the later one holds.
    All(Vec<Action>),
}

type EditResponse = dyn Fn(&mut ResponseHead, &mut Vec<u8>) + Send + Sync;

impl Action {
    /// [`Action::RefuseStatus`] from convenient types.
    #[must_use]
    pub fn refuse(status: u16, headers: impl Into<Headers>, body: impl AsRef<[u8]>) -> Self {
        Self::RefuseStatus { status, headers: headers.into(), body: Bytes::copy_from_slice(body.as_ref()) }
    }

    /// [`Action::EditHead`] from a closure.
    #[must_use]
    pub fn edit_head(edit: impl Fn(&mut ResponseHead) + Send + Sync + 'static) -> Self {
        Self::EditHead(Arc::new(edit))
    }

    /// [`Action::EditResponse`] from a closure.
    #[must_use]
    pub fn edit_response(edit: impl Fn(&mut ResponseHead, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self::EditResponse(Arc::new(edit))
    }

    /// [`Action::CutAfter`] the first occurrence of `text` in the body, which is passed on.
    #[must_use]
    pub fn cut_after_text(text: impl AsRef<[u8]>, end: End) -> Self {
        Self::CutAfter { cut: Cut::Text(Bytes::copy_from_slice(text.as_ref())), end }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::RefuseStatus { status, .. } => write!(f, "RefuseStatus({status})"),
            Self::DropBefore => f.write_str("DropBefore"),
            Self::DropAfter => f.write_str("DropAfter"),
            Self::Hang => f.write_str("Hang"),
            Self::HangAfter => f.write_str("HangAfter"),
            Self::TruncateBody { bytes, end } => write!(f, "TruncateBody({bytes}, {end:?})"),
            Self::CutAfter { cut, end } => write!(f, "CutAfter({cut:?}, {end:?})"),
            Self::CutHead { bytes, end } => write!(f, "CutHead({bytes}, {end:?})"),
            Self::StrayResponse => f.write_str("StrayResponse"),
            Self::CloseAfter => f.write_str("CloseAfter"),
            Self::EarlyHints => f.write_str("EarlyHints"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::DelayResponse(time) => write!(f, "DelayResponse({time:?})"),
            Self::Dribble { chunk, pause } => write!(f, "Dribble({chunk}, {pause:?})"),
            Self::EditHead(_) => f.write_str("EditHead"),
            Self::EditResponse(_) => f.write_str("EditResponse"),
            Self::All(actions) => f.debug_list().entries(actions).finish(),
        }
    }
}

/// Where a body is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// After this many bytes, at once, also within a live response.
    Bytes(u64),
    /// After the first occurrence of this, which is passed on: the way to end a live response between a data
    /// event and its control event.
    Text(Bytes),
    /// When so long has passed since the head was passed on.
    Time(Duration),
}

/// What happens to the client's connection where a body is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is closed, as by a server that ends in good order (FIN), without the end that the framing promises.
    Fin,
    /// It is reset. What the client had not yet received may be lost with it.
    Reset,
    /// It stays open, and nothing more comes.
    Hang,
}

/// A response's head, before it is sent to the client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// The header fields, without those that concern the connection.
    pub headers: Headers,
}
