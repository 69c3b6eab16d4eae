//! Taking content, and the position that the consumer reaches with it.

use super::machine_core::Machine;
use super::page::{Page, Taken};
#[cfg(feature = "json")]
use super::page_json::TakenItem;
use super::request::RequestKind;
use super::state::{Draining, PageOutcome, State};
use crate::reader::output::Chunk;
use crate::reader::position::Unit;
use bytes::Bytes;
#[cfg(feature = "json")]
use serde::de::DeserializeOwned;

impl Machine {
    /// The next chunk of what has arrived.
    ///
    /// A chunk without content is returned only if it changes what the consumer knows: whether it is up to date, or the
    /// stream is closed.
    pub(in crate::reader) fn take_chunk(&mut self) -> Option<Chunk> {
        let page = self.state.page_mut()?;
        let divisible = page.divisible;
        let (data, at_end) = match page.take(&mut self.position, self.options.max_chunk_bytes) {
            Taken::Pending => return None,
            Taken::Piece(data) => (Some(data), false),
            Taken::End(data) => (data, true),
        };
        // Before `end_page`, which leaves the state of the event stream that delivered the data.
        if data.is_some() {
            self.on_delivery();
        }
        let before = (self.reported.up_to_date, self.reported.closed);
        if at_end {
            self.end_page();
        } else {
            self.report_inside_page();
        }
        // The page ended without content and without a change: the consumer has nothing to act on.
        if data.is_none() && before == (self.reported.up_to_date, self.reported.closed) {
            return None;
        }
        Some(Chunk {
            empty: data.is_none(),
            data: data.unwrap_or_else(|| self.empty_data()),
            checkpoint: self.position.checkpoint(self.stream.unit()),
            next_offset: self.position.page_start().clone(),
            up_to_date: self.reported.up_to_date,
            closed: self.reported.closed,
            cursor: self.stream.cursor.clone(),
            unit: self.stream.unit(),
            divisible,
        })
    }

    /// The next message of a JSON stream. One that cannot be deserialized as `T` is skipped, but the checkpoint stays
    /// before it until the next that can.
    #[cfg(feature = "json")]
    #[inline]
    pub(in crate::reader) fn take_item<T: DeserializeOwned>(
        &mut self,
    ) -> Option<Result<T, serde_json::Error>> {
        let page = self.state.page_mut()?;
        match page.take_item::<T>(&mut self.position) {
            TakenItem::Pending => None,
            TakenItem::End => {
                self.end_page();
                None
            }
            TakenItem::Item(item) => {
                // Asked before the item is returned, so that the last item carries the next page's start as its checkpoint.
                let at_end = page.find_end();
                if item.is_ok() {
                    self.reported.before_failed_items = None;
                // Of several failed items in a row the first counts.
                } else if self.reported.before_failed_items.is_none() {
                    let before = self.position.before(1).checkpoint(self.stream.unit());
                    self.reported.before_failed_items = Some(before);
                }
                self.on_delivery();
                if at_end {
                    self.end_page();
                } else {
                    self.report_inside_page();
                }
                Some(item)
            }
        }
    }

    /// Whether all that has arrived was taken, and more has to come: what arrives next may be the page's end.
    #[cfg(feature = "json")]
    #[inline]
    pub(in crate::reader) fn is_input_consumed(&mut self) -> bool {
        self.state.page_mut().is_some_and(|page| page.is_input_consumed())
    }

    /// Goes on to the next page, if all messages of this one were taken and its end has been seen by now.
    #[cfg(feature = "json")]
    pub(in crate::reader) fn end_consumed_page(&mut self) {
        if self.state.page_mut().is_some_and(Page::find_end) {
            self.end_page();
        }
    }

    /// The data of a chunk without content.
    fn empty_data(&self) -> Bytes {
        match self.stream.unit() {
            Unit::Bytes => Bytes::new(),
            Unit::Messages => Bytes::from_static(b"[]"),
        }
    }

    /// New content goes to the consumer.
    #[inline]
    fn on_delivery(&mut self) {
        self.stream.settle_type();
        self.pacing.on_delivery();
        let arrived_at = self.silent_since;
        self.outage.on_success(|| arrived_at);
        if let State::ReadingSse(response) = &mut self.state {
            response.connection.delivered_data = true;
        }
    }

    /// The server described the end of the page, which was not reached.
    #[inline]
    fn report_inside_page(&mut self) {
        (self.reported.up_to_date, self.reported.closed) = (false, false);
    }

    /// All of the page was taken.
    fn end_page(&mut self) {
        // `Ended` remains only after the last group of a closed stream.
        match std::mem::replace(&mut self.state, State::Ended) {
            // The body may have more bytes. They must not be content: see `on_bytes`.
            State::ReadingPage(mut response) => {
                let is_read = matches!(response.request.kind, RequestKind::Page | RequestKind::LongPoll);
                let outcome = self.leave_page(&mut response.page, is_read);
                self.state = State::Draining(Draining { response, outcome, drain_until: None });
            }
            // The connection stays open, for the next group.
            State::ReadingSse(mut response) => {
                if let Some(mut page) = response.group.take() {
                    self.leave_page(&mut page, false);
                }
                if !self.reported.closed {
                    self.state = State::ReadingSse(response);
                }
            }
            state => self.state = state,
        }
    }

    /// Moves the position and the report to the end of the page. `is_read`: it is the response to a page or long-poll.
    fn leave_page(&mut self, page: &mut Page, is_read: bool) -> PageOutcome {
        let arrived_at = self.silent_since;
        self.outage.on_success(|| arrived_at);
        let boundary = &mut page.boundary;
        // The only place, but for `offset=now`, at which the position takes an offset of the server's.
        self.position.start_page(boundary.next.clone());
        // Moved, not cloned: this runs for each group of events, which is often a single record.
        if let Some(cursor) = boundary.cursor.take() {
            self.stream.cursor = Some(cursor);
        }
        // A response without content that stays where it is has reached the tail, even if the server does not say so.
        let is_still = is_read && !page.has_content && page.no_advance && !boundary.more_follows;
        let at_tail = boundary.up_to_date || boundary.closed || is_still;
        // What the server says of the page's end does not hold while a part that was delivered before is still missing.
        // That part may reach into later pages: a checkpoint may count from a page that has grown shorter since.
        let is_behind = self.position.to_skip() > 0;
        self.reported.up_to_date = at_tail && !is_behind;
        self.reported.closed = boundary.closed && !is_behind;
        PageOutcome {
            up_to_date: self.reported.up_to_date,
            closed: self.reported.closed,
            is_short: is_behind && !page.has_content && at_tail,
        }
    }
}
