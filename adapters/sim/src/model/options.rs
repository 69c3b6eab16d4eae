//! How the server behaves where servers may differ.

use super::dialect::Dialect;
use super::offset::OffsetStyle;
use std::time::Duration;

/// How a [`Model`](super::Model) behaves where servers may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Which public server it follows where the protocol leaves a choice. Default: [`Dialect::Rust`].
    pub dialect: Dialect,
    /// What its offsets look like. Default: [`OffsetStyle::Padded`].
    pub offsets: OffsetStyle,
    /// Most bytes of a page; one message may be larger. Default: no limit.
    pub page_bytes: usize,
    /// Whether a page may be smaller at random, as if several servers had the same name. Default: false.
    pub page_varies: bool,
    /// Most JSON messages of a page. Default: no limit.
    pub page_messages: usize,
    /// Whether the last page has `Stream-Up-To-Date`. Default: true.
    pub last_page_up_to_date: bool,
    /// How long a long-poll waits. Default: 2 s.
    pub long_poll: Duration,
    /// After how long server-sent events are cut. Default: 60 s.
    pub events_lifetime: Duration,
    /// How the lines of server-sent events end: `"\n"`, `"\r\n"` or `"\r"`. Default: `"\n"`.
    pub events_line_end: &'static str,
    /// A body above this many bytes is answered 413. Default: 8 MiB.
    pub max_body: usize,
    /// As if several servers had the same name: a read is answered by one that has all appends but those of a time before now, which
    /// is drawn for each read up to this. Appends and HEAD have no lag. Default: zero.
    pub lag: Duration,
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
            lag: Duration::ZERO,
            refuse_events: false,
        }
    }
}
