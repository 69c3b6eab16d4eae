//! The request that is due.

use super::{Ask, Machine, Request, State};
use crate::offset::Offset;
use crate::protocol::content_type;
use crate::reader::options::LiveMode;
use http::{HeaderValue, header};
use std::time::Instant;

impl Machine {
    /// The request that is due.
    pub(super) fn plan(&mut self, now: Instant) -> Request {
        let ask = self.choose(now);
        self.ask = ask;
        self.sent = now;
        self.quiet_since = now;
        self.state = State::Sent;
        let mut headers = self.headers.clone();
        if self.past_caches {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let if_none_match = self.compares().then(|| self.options.if_none_match.clone()).flatten();
        Request {
            ask,
            offset: self.position.page_start().clone(),
            cursor: matches!(ask, Ask::LongPoll | Ask::Events).then(|| self.cursor.clone()).flatten(),
            if_none_match,
            headers,
        }
    }

    /// Whether the request asks for what differs from an entity tag.
    pub(super) fn compares(&self) -> bool {
        self.ask == Ask::Page && !self.ready && self.options.if_none_match.is_some()
    }

    fn choose(&self, now: Instant) -> Ask {
        if self.gone.is_some() {
            return Ask::Metadata;
        }
        if *self.position.page_start() == Offset::Now {
            return Ask::Tail;
        }
        // Events cannot be read from inside a page, nor what they are too large for.
        let plain = self.position.to_skip() > 0 || (self.outgrown && !self.caught_up);
        match self.options.live {
            LiveMode::Off => Ask::Page,
            LiveMode::Sse if plain => Ask::Page,
            LiveMode::Sse if self.content_type.is_none() && self.assumed_type.is_none() => {
                if self.headless {
                    Ask::Page
                } else {
                    Ask::Metadata
                }
            }
            LiveMode::Sse => Ask::Events,
            LiveMode::LongPoll | LiveMode::Auto if plain || !self.caught_up => Ask::Page,
            LiveMode::LongPoll => Ask::LongPoll,
            LiveMode::Auto => {
                let exact = self.content_type.as_deref().is_some_and(|kind| !content_type::is_text(kind));
                if exact && !self.trust.is_blocked(now) { Ask::Events } else { Ask::LongPoll }
            }
        }
    }
}
