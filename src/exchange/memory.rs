//! What a client knows of servers and streams from earlier responses.

use crate::sync::lock;
use http::Uri;
use http::uri::{Authority, Scheme};
use std::collections::HashSet;
use std::sync::Mutex;

/// So many streams, and so many origins, are remembered. One more forgets the others: they are learnt again.
const MAX_REMEMBERED: usize = 4096;

/// The streams that responded, and the origins that they are at.
///
/// A later response that contradicts it may come from a cache, or from something between the client and the server.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    origins: HashSet<(Scheme, Authority)>,
    streams: HashSet<Uri>,
}

impl Memory {
    /// The stream at `uri` has responded, in the terms of the protocol.
    pub(super) fn remember(&self, uri: &Uri) {
        let mut seen = lock(&self.0);
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

    /// The stream at `uri` is not there any more.
    pub(super) fn forget(&self, uri: &Uri) {
        lock(&self.0).streams.remove(uri);
    }

    /// Whether the stream at `uri` has responded.
    pub(super) fn knows_stream(&self, uri: &Uri) -> bool {
        lock(&self.0).streams.contains(uri)
    }

    /// Whether a Durable Streams server has responded at the origin of `uri`.
    pub(super) fn knows_server(&self, uri: &Uri) -> bool {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                lock(&self.0).origins.contains(&(scheme.clone(), authority.clone()))
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
    fn number_of_remembered_streams_is_bounded() {
        let memory = Memory::default();
        for index in 0..3 * MAX_REMEMBERED {
            memory.remember(&format!("http://h{index}/s").parse().unwrap());
        }
        let seen = lock(&memory.0);
        assert!(seen.streams.len() <= MAX_REMEMBERED && seen.origins.len() <= MAX_REMEMBERED);
    }
}
