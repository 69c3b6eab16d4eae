//! Which request comes next.

use super::machine_core::Machine;
use super::request::{Request, RequestKind, SentRequest};
use super::state::State;
use crate::offset::Offset;
use crate::reader::options::LiveMode;
use std::time::Instant;

impl Machine {
    /// Starts the request that is due.
    pub(super) fn start_request(&mut self, now: Instant) -> Request {
        let kind = self.next_kind(now);
        self.state = State::Requesting(SentRequest { kind, at: now });
        self.request(kind)
    }

    /// A request of this kind, at the position reached.
    pub(super) fn request(&self, kind: RequestKind) -> Request {
        // Plain pages are cached by URL, one entry for all readers. A cursor would give each reader its own.
        let is_live = matches!(kind, RequestKind::LongPoll | RequestKind::Sse);
        Request {
            kind,
            offset: self.position.page_start().clone(),
            cursor: self.stream.cursor.as_ref().filter(|_| is_live).cloned(),
            if_none_match: self.conditions.if_none_match().filter(|_| kind == RequestKind::Page).cloned(),
            headers: self.conditions.headers(),
        }
    }

    fn next_kind(&self, now: Instant) -> RequestKind {
        // Everything else needs an offset of the server's: a page that is read from `now` again would be another one.
        if *self.position.page_start() == Offset::Now {
            return RequestKind::Tail;
        }
        // An event stream begins at the offset, not inside the page after it; and an event that was too large once is too
        // large again.
        let must_read_page = self.position.to_skip() > 0 || self.catch_up.precedes_sse();
        match self.options.live {
            LiveMode::Off => RequestKind::Page,
            LiveMode::Sse if must_read_page => RequestKind::Page,
            // The head of an event stream does not name the type of the content.
            LiveMode::Sse if self.stream.expected_type().is_none() => match self.head_unsupported {
                true => RequestKind::Page,
                false => RequestKind::Head,
            },
            LiveMode::Sse => RequestKind::Sse,
            LiveMode::LongPoll | LiveMode::Auto if must_read_page || !self.catch_up.is_done() => {
                RequestKind::Page
            }
            // Caught up, and nothing to skip: the tail is waited for.
            LiveMode::LongPoll => RequestKind::LongPoll,
            LiveMode::Auto => {
                // While the type is unknown, so is whether events are exact.
                let is_exact = self.stream.is_exact_in_events() == Some(true);
                if is_exact && !self.sse_health.is_cooling_down(now) {
                    RequestKind::Sse
                } else {
                    RequestKind::LongPoll
                }
            }
        }
    }
}
