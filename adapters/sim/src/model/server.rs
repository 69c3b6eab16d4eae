//! The server: which stream a request is for, and what removes one.

use super::moment::Moment;
use super::options::ServerOptions;
use super::pending::{Events, Wait};
use super::reply::{error, status};
use super::stream::{Stream, StreamView};
use crate::fault::Memory;
use crate::rng::Rng;
use bytes::Bytes;
use http::{Method, Request, Response};
use std::collections::BTreeMap;

/// The result of a request.
#[derive(Debug)]
pub enum Handled {
    /// A response.
    Answer(Response<Bytes>),
    /// A long-poll that waits for data.
    Wait(Wait),
    /// An event stream: the head, and the source of its events.
    Events(Response<()>, Events),
}

/// A Durable Streams server in memory: requests in, responses out.
///
/// It has no clock, no connections and no tasks: the caller passes the time. Its behaviour is compared with
/// the public servers' by running the same operations on both.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) options: ServerOptions,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) created: u64,
    pub(super) rng: Rng,
}

impl Model {
    /// A server without streams. `seed` is for the jitter of its cursors.
    #[must_use]
    pub fn new(options: ServerOptions, seed: u64) -> Self {
        Self { options, streams: BTreeMap::new(), created: 0, rng: Rng::new(seed) }
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// Its options, to change while it runs.
    pub fn options_mut(&mut self) -> &mut ServerOptions {
        &mut self.options
    }

    /// Handles one request.
    pub fn handle(&mut self, request: &Request<Bytes>, at: Moment) -> Handled {
        let path = request.uri().path();
        self.expire(path, at);
        // Checked by its declared length, before the stream.
        if request.body().len() > self.options.max_body {
            return Handled::Answer(error(413, "body too large"));
        }
        let answer = match *request.method() {
            Method::PUT => self.create(path, request, at),
            Method::POST => self.append(path, request, at),
            Method::GET => return self.read(path, request, at),
            Method::HEAD => self.head(path),
            Method::DELETE => self.delete(path),
            Method::OPTIONS => status(204),
            _ => error(405, "method not allowed"),
        };
        Handled::Answer(answer)
    }

    /// The stored stream at `path`, if there is one.
    #[must_use]
    pub fn stream(&self, path: &str) -> Option<StreamView> {
        self.streams.get(path).filter(|stream| !stream.deleted).map(|stream| stream.view(&self.options))
    }

    /// The tail of the stream at `path`, as an offset.
    #[must_use]
    pub fn tail(&self, path: &str) -> Option<String> {
        let stream = self.streams.get(path).filter(|stream| !stream.deleted)?;
        Some(self.options.offsets.encode(stream.tail() as u64))
    }

    /// The paths of all streams, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().filter(|(_, stream)| !stream.deleted).map(|(path, _)| path.as_str())
    }

    /// Restarts the server, with the given loss of memory.
    pub fn restart(&mut self, memory: Memory) {
        match memory {
            Memory::Kept => {}
            Memory::WithoutProducers => self.streams.values_mut().for_each(|s| s.producers.clear()),
            Memory::Lost => self.streams.clear(),
        }
    }

    /// Drops the older half of every stream, up to the end of an append or message: what was before is gone.
    pub fn drop_older_half(&mut self) {
        for stream in self.streams.values_mut() {
            let ends = if stream.json { &stream.messages } else { &stream.appends };
            let half = ends.partition_point(|end| *end <= stream.tail() / 2);
            stream.start = stream.start.max(half.checked_sub(1).map_or(0, |last| ends[last]));
        }
    }

    /// Deletes every stream, and creates it again without content.
    pub fn recreate_all(&mut self) {
        for path in self.paths().map(str::to_owned).collect::<Vec<_>>() {
            let Some(content_type) = self.streams.get(&path).map(|stream| stream.content_type.clone()) else {
                continue;
            };
            self.remove(&path);
            let stream = self.blank(&content_type);
            self.streams.entry(path).or_insert(stream);
        }
    }

    /// The options that hold for one page.
    pub(super) fn page_options(&mut self) -> ServerOptions {
        let mut options = self.options.clone();
        if options.page_varies {
            // Without a limit of its own, what a stream of some size is cut into.
            let most = options.page_bytes.min(1000) as u64;
            options.page_bytes = self.rng.between(1, most) as usize;
        }
        options
    }

    /// The stream at `path`, or the response that refuses the request.
    pub(super) fn find(&mut self, path: &str) -> Result<&mut Stream, Response<Bytes>> {
        match self.streams.get_mut(path) {
            None => Err(error(404, "stream not found")),
            Some(stream) if stream.deleted => Err(error(410, "stream is deleted")),
            Some(stream) => Ok(stream),
        }
    }

    pub(super) fn expire(&mut self, path: &str, at: Moment) {
        if self.streams.get(path).is_some_and(|stream| !stream.deleted && stream.expired(at)) {
            self.remove(path);
        }
    }

    pub(super) fn head(&mut self, path: &str) -> Response<Bytes> {
        let options = self.options.clone();
        match self.find(path) {
            Ok(stream) => stream.head(&options),
            Err(answer) => answer,
        }
    }

    pub(super) fn delete(&mut self, path: &str) -> Response<Bytes> {
        if let Err(answer) = self.find(path) {
            return answer;
        }
        self.remove(path);
        status(204)
    }

    /// Removes the stream, or hides it while forks still need its data; then the sources that were only
    /// kept for it.
    pub(super) fn remove(&mut self, path: &str) {
        let mut path = path.to_owned();
        while let Some(stream) = self.streams.get_mut(&path) {
            if stream.forks > 0 {
                stream.deleted = true;
                return;
            }
            let source = stream.fork.take().map(|fork| fork.source);
            self.streams.remove(&path);
            let Some(source) = source else { return };
            let Some(parent) = self.streams.get_mut(&source) else { return };
            parent.forks -= 1;
            if !parent.deleted || parent.forks > 0 {
                return;
            }
            path = source;
        }
    }
}
