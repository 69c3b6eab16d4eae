//! What the next requests must carry beside the offset.

use http::{HeaderMap, HeaderValue, header};

/// Headers that depend on what happened before.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Headers of the application's error handler. They hold until it gives others.
    handler_headers: HeaderMap,
    /// The entity tag that the reader was given. Only requests before the first response carry it.
    if_none_match: Option<HeaderValue>,
    /// The last response cannot have been the answer to its request. The next one must come from the origin, not from a cache.
    bypass_cache: bool,
}

impl Conditions {
    pub(super) fn new(if_none_match: Option<HeaderValue>) -> Self {
        Self { handler_headers: HeaderMap::new(), if_none_match, bypass_cache: false }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.handler_headers.clone();
        // Wins over the handler's header of that name: without it the same stale response would come back.
        if self.bypass_cache {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        headers
    }

    pub(super) fn if_none_match(&self) -> Option<&HeaderValue> {
        self.if_none_match.as_ref()
    }

    pub(super) fn set_handler_headers(&mut self, headers: HeaderMap) {
        self.handler_headers = headers;
    }

    /// The first response has arrived: later requests must not end with "not modified".
    pub(super) fn on_started(&mut self) {
        self.if_none_match = None;
    }

    /// A response cannot be the answer to its request, or has less than was read before. Returns whether caches were bypassed
    /// for it already.
    pub(super) fn on_misfit(&mut self) -> bool {
        std::mem::replace(&mut self.bypass_cache, true)
    }

    /// A response was the answer to its request. Caches are used again once one of them brings content.
    pub(super) fn on_response(&mut self, has_content: bool) {
        // An empty page at the tail does not show that the cache is right again.
        self.bypass_cache &= !has_content;
    }
}
