/// Whose ways a server has where the protocol leaves a choice, or where a server departs from it.
///
/// Found by running the same operations on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The Rust server, `durable-streams` 0.1.5.
    Rust,
    /// The reference server, `@durable-streams/server` 0.3.7.
    Node,
}

impl Dialect {
    fn rust(self) -> bool {
        self == Self::Rust
    }

    /// The response to a duplicate, a stale epoch and a lower `Stream-Seq` has the tail.
    pub(super) fn refusals_say_tail(self) -> bool {
        self.rust()
    }

    /// The response to an append has the tail at the time of the response: later appends may be before it.
    pub(crate) fn tells_late_tails(self) -> bool {
        self.rust()
    }

    /// What an append looks like is judged before whether its stream is there.
    pub(super) fn judges_append_first(self) -> bool {
        !self.rust()
    }

    /// JSON is validated before the stream's closure and duplicates are checked.
    pub(super) fn judges_json_first(self) -> bool {
        self.rust()
    }

    /// The repeat of a closing append is one only if it asks to close again.
    pub(super) fn repeat_must_close(self) -> bool {
        self.rust()
    }

    /// A closing append of another content type is refused for that, even if the stream is closed.
    pub(super) fn closing_judges_type_first(self) -> bool {
        self.rust()
    }

    /// `Stream-Closed: TRUE` closes the stream, as the protocol requires.
    pub(super) fn closes_in_any_case(self) -> bool {
        self.rust()
    }

    /// A HEAD has an `ETag`.
    pub(super) fn head_has_etag(self) -> bool {
        !self.rust()
    }

    /// A page's entity tag holds the offset as it was asked for, `-1` and `now` included.
    pub(super) fn etags_are_literal(self) -> bool {
        !self.rust()
    }

    /// A 304 has the offset of its page's end.
    pub(super) fn not_modified_says_end(self) -> bool {
        self.rust()
    }

    /// `If-None-Match` holds for a long-poll too.
    pub(super) fn long_poll_conditional(self) -> bool {
        !self.rust()
    }

    /// A `live` that is not known is a catch-up read, not a 400.
    pub(super) fn ignores_unknown_live(self) -> bool {
        !self.rust()
    }

    /// `-1` and `now` may be given as a fork's offset.
    pub(super) fn forks_at_sentinels(self) -> bool {
        self.rust()
    }

    /// A fork's sub-offset may reach beyond the append that follows its offset.
    pub(super) fn sub_offset_spans_appends(self) -> bool {
        self.rust()
    }

    /// A PUT's body and its fork's source are judged before whether the path is in use.
    pub(super) fn judges_content_first(self) -> bool {
        self.rust()
    }

    /// A fork of an empty stream may have no sub-offset, not even 0.
    pub(super) fn refuses_sub_offset_of_empty(self) -> bool {
        self.rust()
    }

    /// A PUT that repeats a fork's must name its offset in the same way, or again not at all.
    pub(super) fn repeats_forks_to_the_letter(self) -> bool {
        self.rust()
    }

    /// A PUT that repeats a fork's matches also without naming the content type that was inherited.
    pub(super) fn repeated_fork_inherits(self) -> bool {
        self.rust()
    }

    /// Each append is a data event of its own.
    pub(super) fn event_per_append(self) -> bool {
        !self.rust()
    }

    /// A control event repeats each time a long-poll would have ended.
    pub(super) fn events_beat(self) -> bool {
        !self.rust()
    }

    /// CRLF in a text becomes two line feeds.
    pub(super) fn doubles_crlf(self) -> bool {
        self.rust()
    }

    /// The last control event of a closed stream has `upToDate` too.
    pub(super) fn closed_says_up_to_date(self) -> bool {
        self.rust()
    }

    /// An empty long-poll answer about a closed stream has a cursor.
    pub(super) fn closed_has_cursor(self) -> bool {
        self.rust()
    }

    /// A read beyond the tail is answered with the offset that was asked for.
    pub(super) fn echoes_beyond_tail(self) -> bool {
        self.rust()
    }

    /// A long-poll from `-1` on an empty stream is answered at once, with an empty 200.
    pub(super) fn answers_empty_start(self) -> bool {
        !self.rust()
    }
}
