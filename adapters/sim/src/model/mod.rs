//! A Durable Streams server in memory, without I/O and without a clock of its own.

#![expect(clippy::result_large_err, reason = "a refusal is an answer like any other, headers and all")]

mod append;
mod create;
mod dialect;
mod live;
mod offset;
mod read;
mod reply;
mod stream;

pub use dialect::Dialect;
pub use live::{Events, Step, Wait};
pub use offset::OffsetStyle;
pub use stream::StreamView;

use crate::{Memory, Rng};
use bytes::Bytes;
use http::{Method, Request, Response};
use reply::error;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use stream::Stream;

/// How a [`Model`] behaves where servers may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Whose ways it has where the protocol leaves a choice. Default: [`Dialect::Rust`].
    pub dialect: Dialect,
    /// What its offsets look like. Default: [`OffsetStyle::Padded`].
    pub offsets: OffsetStyle,
    /// Most bytes of a page; one message may be larger. Default: no limit.
    pub page_bytes: usize,
    /// Whether a page may also be smaller, by chance: behind the server's name are several. Default: false.
    pub page_varies: bool,
    /// Most JSON messages of a page. Default: no limit.
    pub page_messages: usize,
    /// Whether the last page says that it is the last. Default: true.
    pub last_page_up_to_date: bool,
    /// How long a long-poll waits. Default: 2 s.
    pub long_poll: Duration,
    /// After how long server-sent events are cut. Default: 60 s.
    pub events_lifetime: Duration,
    /// How the lines of server-sent events end: `"\n"`, `"\r\n"` or `"\r"`. Default: `"\n"`.
    pub events_line_end: &'static str,
    /// A body above this many bytes is answered 413. Default: 8 MiB.
    pub max_body: usize,
    /// Whether server-sent events are refused, with 400. Default: false.
    pub refuse_events: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            dialect: Dialect::Rust,
            offsets: OffsetStyle::Padded,
            page_bytes: usize::MAX,
            page_varies: false,
            page_messages: usize::MAX,
            last_page_up_to_date: true,
            long_poll: Duration::from_secs(2),
            events_lifetime: Duration::from_secs(60),
            events_line_end: "\n",
            max_body: 8 << 20,
            refuse_events: false,
        }
    }
}

/// The time at which a request is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time since any fixed beginning.
    pub elapsed: Duration,
    /// The server's wall clock, for `Stream-Expires-At` and cursors.
    pub wall: SystemTime,
}

/// What comes of a request.
#[derive(Debug)]
pub enum Handled {
    /// An answer.
    Answer(Response<Bytes>),
    /// A long-poll that has nothing to say yet.
    Wait(Wait),
    /// Server-sent events: the head, and where the rest comes from.
    Events(Response<()>, Events),
}

/// A Durable Streams server in memory: requests in, answers out.
///
/// It holds no clock, no connections and no tasks: who drives it says what time it is. It is compared with
/// the public servers by running the same operations on both.
#[derive(Clone, Debug)]
pub struct Model {
    options: ServerOptions,
    streams: BTreeMap<String, Stream>,
    created: u64,
    rng: Rng,
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
        // Judged by its declared length, before anybody looks at the stream.
        if request.body().len() > self.options.max_body {
            return Handled::Answer(error(413, "body too large"));
        }
        let answer = match *request.method() {
            Method::PUT => self.create(path, request, at),
            Method::POST => self.append(path, request, at),
            Method::GET => return self.read(path, request, at),
            Method::HEAD => self.head(path),
            Method::DELETE => self.delete(path),
            Method::OPTIONS => reply::status(204),
            _ => error(405, "method not allowed"),
        };
        Handled::Answer(answer)
    }

    /// What is stored at `path`, if anything is.
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

    /// The paths at which a stream is, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().filter(|(_, stream)| !stream.deleted).map(|(path, _)| path.as_str())
    }

    /// What a restart does to it.
    pub fn restart(&mut self, memory: Memory) {
        match memory {
            Memory::Kept => {}
            Memory::WithoutProducers => self.streams.values_mut().for_each(|s| s.producers.clear()),
            Memory::Lost => self.streams.clear(),
        }
    }

    /// The options that hold for one page.
    fn page_options(&mut self) -> ServerOptions {
        let mut options = self.options.clone();
        if options.page_varies {
            // Without a limit of its own, what a stream of some size is cut into.
            let most = options.page_bytes.min(1000) as u64;
            options.page_bytes = self.rng.between(1, most) as usize;
        }
        options
    }

    /// The stream at `path`, or the answer that says why not.
    fn find(&mut self, path: &str) -> Result<&mut Stream, Response<Bytes>> {
        match self.streams.get_mut(path) {
            None => Err(error(404, "stream not found")),
            Some(stream) if stream.deleted => Err(error(410, "stream is deleted")),
            Some(stream) => Ok(stream),
        }
    }

    fn expire(&mut self, path: &str, at: Moment) {
        if self.streams.get(path).is_some_and(|stream| !stream.deleted && stream.expired(at)) {
            self.remove(path);
        }
    }

    fn head(&mut self, path: &str) -> Response<Bytes> {
        let options = self.options.clone();
        match self.find(path) {
            Ok(stream) => stream.head(&options),
            Err(answer) => answer,
        }
    }

    fn delete(&mut self, path: &str) -> Response<Bytes> {
        if let Err(answer) = self.find(path) {
            return answer;
        }
        self.remove(path);
        reply::status(204)
    }

    /// Removes the stream, or hides it while forks still need its data; then the sources that were only
    /// kept for it.
    fn remove(&mut self, path: &str) {
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
