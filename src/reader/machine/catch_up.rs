//! How far plain requests have come, and when they lead nowhere.

use crate::error::StreamError;

/// Responses in a row without data that may leave the reader before the tail. One more ends it.
///
/// Catch-up pages, long-polls and the resolution of `offset=now` count alike. Data, or a response at the tail, resets the
/// count; a failed request leaves it as it is.
pub(super) const MAX_EMPTY_PAGES: u32 = 100;

/// How far plain requests have come.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// The last plain request, or a live one after it, reached the tail, and no response was interrupted since.
    is_done: bool,
    /// See [`MAX_EMPTY_PAGES`].
    empty_pages: u32,
    /// The last response was a 204 whose next offset is beyond the one asked for.
    early_204: bool,
    oversized_event: OversizedEvent,
}

/// Whether an event was larger than the reader's limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OversizedEvent {
    #[default]
    Never,
    /// Its data is being fetched by plain requests. If these are refused, the event's size is the error.
    Fetching,
    /// Its data was fetched. Others like it are likely, so that plain requests catch up from now on.
    Fetched,
}

impl CatchUp {
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// A response was interrupted. Only a plain request shows, at once, whether there is more data.
    pub(super) fn restart(&mut self) {
        self.is_done = false;
    }

    /// Whether plain requests come before an event stream, also where the application asked for events alone.
    pub(super) fn precedes_sse(&self) -> bool {
        self.oversized_event != OversizedEvent::Never && !self.is_done
    }

    pub(super) fn is_fetching_oversized_event(&self) -> bool {
        self.oversized_event == OversizedEvent::Fetching
    }

    /// An event, or the events before one control event, exceeded the limit.
    pub(super) fn on_oversized_event(&mut self) {
        self.oversized_event = OversizedEvent::Fetching;
    }

    /// A response other than 204 has begun.
    pub(super) fn on_response(&mut self) {
        self.early_204 = false;
    }

    /// A 204 has arrived. Returns whether it can be accepted.
    ///
    /// One 204 before the tail is a race with an append: the server looked before it, and named the offset after it. A
    /// second one in a row cannot be, for a request that is answered `at_once`.
    pub(super) fn accept_204(&mut self, at_tail: bool, at_once: bool) -> bool {
        // A long-poll may well see the tail move while it is held: for it the early 204 is ordinary. It still counts as the
        // first of two, since the plain request after it is answered at once.
        let accepted = at_tail || !at_once || !self.early_204;
        self.early_204 = !at_tail;
        accepted
    }

    /// A page was taken as a whole.
    pub(super) fn on_page_end(&mut self, has_content: bool, up_to_date: bool) -> Result<(), StreamError> {
        self.is_done = up_to_date;
        // At the tail, the data of the oversized event was fetched: refusals from now on have other causes.
        if up_to_date && self.oversized_event == OversizedEvent::Fetching {
            self.oversized_event = OversizedEvent::Fetched;
        }
        // At the tail, empty responses are the normal state of a live reader.
        if has_content || up_to_date {
            self.empty_pages = 0;
            return Ok(());
        }
        // Each empty page before the tail has moved the offset, or could have: a server that goes on like this would keep
        // the reader busy without an end.
        self.empty_pages += 1;
        if self.empty_pages > MAX_EMPTY_PAGES {
            return Err(StreamError::protocol(format!(
                "more than {MAX_EMPTY_PAGES} responses in a row brought neither data nor the stream's tail"
            )));
        }
        Ok(())
    }
}
