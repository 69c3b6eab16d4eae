//! What is handed out: content, and where the consumer then stands.

use super::page::Taken;
#[cfg(feature = "json")]
use super::page::{Page, TakenItem};
use super::{Ask, DEFAULT_CONTENT_TYPE, Machine, Outcome, State, Unit};
use crate::reader::output::Chunk;
use bytes::Bytes;
#[cfg(feature = "json")]
use serde::de::DeserializeOwned;

impl Machine {
    /// The next chunk, as far as content has arrived.
    pub(in crate::reader) fn take_chunk(&mut self) -> Option<Chunk> {
        let page = self.page.as_mut()?;
        let divisible = page.divisible;
        let (data, over) = match page.take(&mut self.position, self.options.max_chunk_bytes) {
            Taken::Nothing => return None,
            Taken::Piece(data) => (Some(data), false),
            Taken::Last(data) => (data, true),
        };
        if data.is_some() {
            self.progress();
        }
        let told = (self.up_to_date, self.closed);
        if over {
            self.turn();
        } else {
            (self.up_to_date, self.closed) = (false, false);
        }
        if data.is_none() && told == (self.up_to_date, self.closed) {
            return None;
        }
        Some(Chunk {
            empty: data.is_none(),
            data: data.unwrap_or_else(|| self.nothing()),
            checkpoint: self.position.checkpoint(self.unit),
            next_offset: self.position.page_start().clone(),
            up_to_date: self.up_to_date,
            closed: self.closed,
            cursor: self.cursor.clone(),
            unit: self.unit,
            divisible,
        })
    }

    /// The next message of a JSON stream, as far as it has arrived. One that is no `T` is passed over, but the
    /// position that is told stays before it until the next that is.
    #[cfg(feature = "json")]
    #[inline]
    pub(in crate::reader) fn take_item<T: DeserializeOwned>(
        &mut self,
    ) -> Option<Result<T, serde_json::Error>> {
        let page = self.page.as_mut()?;
        match page.take_item::<T>(&mut self.position) {
            TakenItem::Nothing => None,
            TakenItem::Over => {
                self.turn();
                None
            }
            TakenItem::Item(item) => {
                let over = page.is_over();
                if item.is_ok() {
                    self.held = None;
                } else if self.held.is_none() {
                    self.held = Some(self.position.before(1).checkpoint(self.unit));
                }
                self.progress();
                if over {
                    self.turn();
                } else {
                    (self.up_to_date, self.closed) = (false, false);
                }
                Some(item)
            }
        }
    }

    /// Whether the last message that was taken may be the page's last: what arrives next tells.
    #[cfg(feature = "json")]
    #[inline]
    pub(in crate::reader) fn is_drained(&self) -> bool {
        self.page.as_ref().is_some_and(Page::is_drained)
    }

    /// Goes on to the next page, if all messages of this one were taken and its end has been seen by now.
    #[cfg(feature = "json")]
    pub(in crate::reader) fn settle(&mut self) {
        if self.page.as_mut().is_some_and(Page::is_over) {
            self.turn();
        }
    }

    /// What stands for no content.
    fn nothing(&self) -> Bytes {
        match self.unit {
            Unit::Bytes => Bytes::new(),
            Unit::Messages => Bytes::from_static(b"[]"),
        }
    }

    /// Something new was handed out: the whole retry budget is there again.
    #[inline]
    fn progress(&mut self) {
        self.content_type.get_or_insert_with(|| DEFAULT_CONTENT_TYPE.to_owned());
        self.backoff.reset();
        self.pace.reset();
        if let Some(session) = &mut self.session {
            session.news = true;
        }
    }

    /// The page at hand is over, and all of it was taken.
    fn turn(&mut self) {
        let Some(mut page) = self.page.take() else { return };
        self.position.start_page(page.boundary.next.clone());
        if let Some(cursor) = page.boundary.cursor.take() {
            self.cursor = Some(cursor);
        }
        let behind = self.position.to_skip() > 0;
        let boundary = &page.boundary;
        // An answer that brings nothing and moves nothing says so too.
        let still = page.empty && page.stuck && matches!(self.ask, Ask::Page | Ask::LongPoll);
        let at_tail = boundary.up_to_date || boundary.closed || still;
        self.up_to_date = at_tail && !behind;
        self.closed = boundary.closed && !behind;
        if page.from_event {
            if self.closed {
                self.state = State::Ended;
            }
            return;
        }
        let ended = matches!(self.state, State::Body { ended: true });
        let short = behind && page.empty && at_tail;
        let outcome = Outcome { up_to_date: self.up_to_date, closed: self.closed, short, page };
        self.state = State::Turned { ended, drain_until: None, outcome };
    }
}
