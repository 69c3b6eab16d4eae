//! The mutations.

/// A fault to put into the source.
pub(crate) struct Mutation {
    /// What it does, in words.
    pub(crate) name: &'static str,
    /// Files, in each of them a text that is there once, and what takes its place.
    pub(crate) edits: &'static [(&'static str, &'static str, &'static str)],
    /// A seed that found it, when it was last looked for.
    pub(crate) seed: u64,
}

const MACHINE: &str = "src/producer/machine/mod.rs";
const RECOVER: &str = "src/producer/machine/recover.rs";
const QUEUE: &str = "src/producer/queue.rs";
const READER: &str = "src/reader/machine/mod.rs";
const EVENTS: &str = "src/reader/machine/events.rs";
const SESSION: &str = "src/reader/machine/session.rs";
const POSITION: &str = "src/reader/machine/position.rs";
const RETRY: &str = "src/retry.rs";

pub(crate) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "producer: a claim does not renumber",
        edits: &[(RECOVER, "self.renumber(0);", "self.next_seq = self.entries.len() as u64;")],
        seed: 185,
    },
    Mutation {
        name: "producer: a retry takes a new number",
        edits: &[(
            MACHINE,
            "entry.again_at = Some(now + wait);",
            "entry.again_at = Some(now + wait);\n entry.seq += 1;",
        )],
        seed: 2,
    },
    Mutation {
        name: "producer: any duplicate is success",
        edits: &[
            (MACHINE, "if suspicious && first_time {", "if false {"),
            (MACHINE, "let suspicious = duplicate &&", "let suspicious = false && duplicate &&"),
        ],
        seed: 6,
    },
    Mutation {
        name: "producer: an unanswered attempt did nothing",
        edits: &[(MACHINE, "entry.maybe_applied |= fate == Fate::Unknown;", "")],
        seed: 52,
    },
    Mutation {
        name: "producer: an epoch begins with many at once",
        edits: &[(
            MACHINE,
            "if self.established { self.window.size() } else { 1 }",
            "self.settings.max_in_flight",
        )],
        seed: 22,
    },
    Mutation {
        name: "producer: claims the epoch that the server has",
        edits: &[(RECOVER, "let above = server_epoch.saturating_add(1);", "let above = server_epoch;")],
        seed: 6,
    },
    Mutation {
        name: "producer: claims while attempts are under way",
        edits: &[(RECOVER, "while self.in_flight() == 0 {", "while self.in_flight() < 2 {")],
        seed: 482,
    },
    Mutation {
        name: "producer: goes on sending when it halts",
        edits: &[(
            MACHINE,
            "        if !matches!(self.phase, Phase::Running) {\n            return None;",
            "        if matches!(self.phase, Phase::Claiming { .. }) {\n            return None;",
        )],
        seed: 1,
    },
    Mutation {
        name: "producer: the tail is not compared",
        edits: &[(RECOVER, "self.compares_tails() && tail.is_some()", "false && tail.is_some()")],
        seed: 10,
    },
    Mutation {
        name: "producer: an acknowledgement speaks for the next",
        edits: &[(
            RECOVER,
            "self.stored_to.is_some_and(|to| seq <= to)",
            "self.stored_to.is_some_and(|to| seq <= to + 1)",
        )],
        seed: 1,
    },
    Mutation {
        name: "producer: the halves of a batch change places",
        edits: &[(
            RECOVER,
            "[(self.next_key, tail), (self.next_key + 1, head)]",
            "[(self.next_key, head), (self.next_key + 1, tail)]",
        )],
        seed: 531,
    },
    Mutation {
        name: "producer: what failed is said not to be stored",
        edits: &[(RECOVER, "outcome, may_be_stored: entry.maybe_applied", "outcome, may_be_stored: false")],
        seed: 52,
    },
    Mutation {
        name: "producer: one batch too many travels",
        edits: &[
            (MACHINE, "self.entries.len() < self.allowed()", "self.entries.len() <= self.allowed()"),
            (MACHINE, "_ if !first && (in_flight >= allowed", "_ if !first && (in_flight > allowed"),
        ],
        seed: 1,
    },
    Mutation {
        name: "producer: a batch is overtaken by the next",
        edits: &[(
            MACHINE,
            "let index = self.entries.iter().position(|entry| !entry.in_flight)?;",
            "let index = self.entries.iter().rposition(|entry| !entry.in_flight)?;",
        )],
        seed: 18,
    },
    Mutation {
        name: "producer: its queue takes more than it may",
        edits: &[(QUEUE, "|| self.records >= self.limits.buffered_records", "")],
        seed: 2,
    },
    Mutation {
        name: "producer: what is settled stays in its account",
        edits: &[(QUEUE, "        self.bytes -= cost;\n", "")],
        seed: 0,
    },
    Mutation {
        name: "reader: the offset is taken with the head",
        edits: &[(
            EVENTS,
            "        let base = self.position.base().clone();\n        let page = match status {",
            "        let base = self.position.base().clone();\n        self.position.turn(next.clone());\n        let page = match status {",
        )],
        seed: 16,
    },
    Mutation {
        name: "reader: a checkpoint is one short",
        edits: &[(
            POSITION,
            "unit.skip(self.passed.max(self.target))",
            "unit.skip(self.passed.max(self.target).saturating_sub(1))",
        )],
        seed: 16,
    },
    Mutation {
        name: "reader: a broken page is handed out again",
        edits: &[(POSITION, "self.target = self.target.max(self.passed);", "self.target = 0;")],
        seed: 30,
    },
    Mutation {
        name: "reader: skipping ends with the page",
        edits: &[(POSITION, "self.target = self.behind();", "self.target = 0;")],
        seed: 134,
    },
    Mutation {
        name: "reader: what an event stream held outlives it",
        edits: &[
            (
                READER,
                "        let (lived, news) = self.judge_session(now);\n        self.session = None;",
                "        let (lived, news) = self.judge_session(now);",
            ),
            (EVENTS, "self.session = Some(Session::new(", "self.session.get_or_insert(Session::new("),
        ],
        seed: 30,
    },
    Mutation {
        name: "reader: one data event for each control event",
        edits: &[(
            SESSION,
            "data: std::mem::take(&mut self.held),",
            "data: std::mem::take(&mut self.held).into_iter().take(1).collect(),",
        )],
        seed: 15,
    },
    Mutation {
        name: "reader: a cut body is a whole one",
        edits: &[(EVENTS, "page.cut(error.into());", "drop(error);\n page.finish();")],
        seed: 30,
    },
    Mutation {
        name: "reader: events do not move the offset",
        edits: &[(
            READER,
            "        let Some(mut page) = self.page.take() else { return };\n        self.position.turn(page.boundary.next.clone());",
            "        let Some(mut page) = self.page.take() else { return };\n        let next = if page.from_event { self.position.base() } else { &page.boundary.next };\n        self.position.turn(next.clone());",
        )],
        seed: 6,
    },
    Mutation {
        name: "reader: the end of a stream of events is missed",
        edits: &[(
            READER,
            "            if self.closed {\n                self.state = State::Ended;\n            }\n            return;",
            "            return;",
        )],
        seed: 6,
    },
    Mutation {
        name: "reader: a chunk is as large as it comes",
        edits: &[(
            READER,
            "page.take(&mut self.position, self.options.max_chunk_bytes)",
            "page.take(&mut self.position, usize::MAX)",
        )],
        seed: 1,
    },
    Mutation {
        name: "both: what a server asks to wait is not waited",
        edits: &[(RETRY, ".max(retry_after.unwrap_or_default())", "")],
        seed: 7,
    },
    Mutation {
        name: "both: retries do not wait",
        edits: &[(
            RETRY,
            "Duration::from_secs_f64(ceiling * fraction).max(retry_after.unwrap_or_default())",
            "Duration::ZERO",
        )],
        seed: 4,
    },
    Mutation {
        name: "both: the pauses between retries do not grow",
        edits: &[(RETRY, ".powi(exponent)", ".powi(0 * exponent)")],
        seed: 18,
    },
];
