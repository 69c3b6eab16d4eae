//! What a client knows of servers and streams from earlier responses.

use crate::sync::lock;
use http::Uri;
use http::uri::{Authority, Scheme};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// So many streams, and so many origins, are remembered. One more forgets the others: they are learnt again.
const MAX_REMEMBERED: usize = 4096;

/// A connection is not cut at the same place so many times in a row.
const MAX_CUT_HEADS: u32 = 5;

/// The streams that responded, and the origins that they are at.
///
/// A later response that contradicts it may come from a cache, or from something between the client and the server.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Mutex<Seen>,
    /// How many heads in a row may have been cut.
    cut_heads: AtomicU32,
    /// `suspects` is not empty: read before the lock is taken, since it rarely is.
    has_suspects: AtomicBool,
}

#[derive(Debug, Default)]
struct Seen {
    /// Origins whose open connections may be the cause of a failure.
    suspects: HashSet<(Scheme, Authority)>,
    origins: HashSet<(Scheme, Authority)>,
    streams: HashSet<Uri>,
}

impl Memory {
    /// A head may have been cut. Returns whether it is taken for one that was: so many in a row are what the server sends.
    pub(super) fn believes_cut_head(&self) -> bool {
        self.cut_heads.fetch_add(1, Ordering::Relaxed) < MAX_CUT_HEADS
    }

    /// A success was whole.
    pub(super) fn on_whole_head(&self) {
        self.cut_heads.store(0, Ordering::Relaxed);
    }

    /// The stream at `uri` has responded, in the terms of the protocol.
    pub(super) fn remember(&self, uri: &Uri) {
        let mut seen = lock(&self.seen);
        if seen.streams.contains(uri) {
            return;
        }
        if seen.streams.len() >= MAX_REMEMBERED {
            seen.streams.clear();
        }
        seen.streams.insert(uri.clone());
        if let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) {
            if seen.origins.len() >= MAX_REMEMBERED {
                seen.origins.clear();
            }
            seen.origins.insert((scheme.clone(), authority.clone()));
        }
    }

    /// An attempt at the origin of `uri` has failed, and its connection may be the cause.
    pub(super) fn suspect_connections(&self, uri: &Uri) {
        if let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) {
            let mut seen = lock(&self.seen);
            if seen.suspects.len() >= MAX_REMEMBERED {
                seen.suspects.clear();
            }
            seen.suspects.insert((scheme.clone(), authority.clone()));
            self.has_suspects.store(true, Ordering::Release);
        }
    }

    /// Whether the next request to the origin of `uri` needs a new connection. That one request is enough: it discards the
    /// connections that were open before.
    pub(super) fn take_suspicion(&self, uri: &Uri) -> bool {
        if !self.has_suspects.load(Ordering::Acquire) {
            return false;
        }
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return false };
        let mut seen = lock(&self.seen);
        let is_suspect = seen.suspects.remove(&(scheme.clone(), authority.clone()));
        self.has_suspects.store(!seen.suspects.is_empty(), Ordering::Release);
        is_suspect
    }

    /// The stream at `uri` is not there any more.
    pub(super) fn forget(&self, uri: &Uri) {
        lock(&self.seen).streams.remove(uri);
    }

    /// Whether the stream at `uri` has responded.
    pub(super) fn knows_stream(&self, uri: &Uri) -> bool {
        lock(&self.seen).streams.contains(uri)
    }

    /// Whether a Durable Streams server has responded at the origin of `uri`.
    pub(super) fn knows_server(&self, uri: &Uri) -> bool {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                lock(&self.seen).origins.contains(&(scheme.clone(), authority.clone()))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgotten_stream_leaves_its_server_known() {
        let memory = Memory::default();
        let uri = |text: &'static str| Uri::from_static(text);
        assert!(!memory.knows_server(&uri("http://h:1/a")));
        memory.remember(&uri("http://h:1/a"));
        assert!(memory.knows_stream(&uri("http://h:1/a")) && !memory.knows_stream(&uri("http://h:1/b")));
        memory.forget(&uri("http://h:1/a"));
        assert!(!memory.knows_stream(&uri("http://h:1/a")) && memory.knows_server(&uri("http://h:1/b")));
        assert!(!memory.knows_server(&uri("https://h:1/a")) && !memory.knows_server(&uri("http://h:2/a")));
    }

    #[test]
    fn suspicion_is_taken_once_by_a_request_to_its_origin() {
        let memory = Memory::default();
        let uri = |text: &'static str| Uri::from_static(text);
        assert!(!memory.take_suspicion(&uri("http://h:1/a")));
        memory.suspect_connections(&uri("http://h:1/a"));
        assert!(!memory.take_suspicion(&uri("http://h:2/a")));
        assert!(memory.take_suspicion(&uri("http://h:1/b")) && !memory.take_suspicion(&uri("http://h:1/a")));
    }

    #[test]
    fn number_of_remembered_streams_is_bounded() {
        let memory = Memory::default();
        for index in 0..3 * MAX_REMEMBERED {
            memory.remember(&format!("http://h{index}/s").parse().unwrap());
        }
        let seen = lock(&memory.seen);
        assert!(seen.streams.len() <= MAX_REMEMBERED && seen.origins.len() <= MAX_REMEMBERED);
    }
}
