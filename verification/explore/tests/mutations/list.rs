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

const BODY_SIZE: &str = "src/producer/machine/body_size.rs";
const STATE: &str = "src/producer/machine/state.rs";
const RESULTS: &str = "src/producer/machine/results.rs";
const DUPLICATE: &str = "src/producer/machine/duplicate.rs";
const EPOCH: &str = "src/producer/machine/epoch.rs";
const ENTRY: &str = "src/producer/machine/entry.rs";
const CLAIMS: &str = "src/producer/machine/claims.rs";
const SPLIT: &str = "src/producer/machine/split.rs";
const RECOVERY: &str = "src/producer/machine/recovery.rs";
const QUEUE: &str = "src/producer/queue/buffer.rs";
const DRIVER: &str = "src/producer/driver/task.rs";
const DRIVER_BATCHES: &str = "src/producer/driver/batches.rs";
const BATCH: &str = "src/producer/queue/batch.rs";
const SHARED: &str = "src/producer/shared.rs";
const READER: &str = "src/reader/machine/machine_core.rs";
const NEXT_ACTION: &str = "src/reader/machine/next_action.rs";
const RESPONSES: &str = "src/reader/machine/responses.rs";
const INPUTS: &str = "src/reader/machine/inputs.rs";
const SSE_CONNECTION: &str = "src/reader/machine/sse_connection.rs";
const POSITION: &str = "src/reader/position.rs";
const TAKE: &str = "src/reader/machine/take.rs";
const REQUESTS: &str = "src/reader/machine/request_choice.rs";
const PACE: &str = "src/reader/machine/pacing.rs";
const PREFETCH: &str = "src/reader/prefetch.rs";
const SSE: &str = "src/protocol/sse/parser.rs";
const SSE_DATA: &str = "src/protocol/sse/data.rs";
const SPLITTER: &str = "src/protocol/json/splitter.rs";
const RETRY: &str = "src/retry.rs";
const RETRY_LOOP: &str = "src/exchange/retry_loop.rs";
const HTTP_CLIENT: &str = "src/exchange/http_client.rs";

pub(crate) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "producer: a claim does not renumber",
        edits: &[(RECOVERY, "self.renumber(0);", "self.epoch.next_seq = self.entries.len() as u64;")],
        seed: 9,
    },
    Mutation {
        name: "producer: a retry takes a new number",
        edits: &[(
            RESULTS,
            "entry.retry_at = Some(now + wait);",
            "entry.retry_at = Some(now + wait);\n entry.seq += 1;",
        )],
        seed: 2,
    },
    Mutation {
        name: "producer: any duplicate is success",
        edits: &[(DUPLICATE, "if !duplicate || success.accept_duplicates {", "if true {")],
        seed: 41,
    },
    Mutation {
        name: "producer: an unanswered attempt did nothing",
        edits: &[(
            RESULTS,
            "        entry.record_fate(fate);",
            "        entry.record_fate(fate.min(Fate::Refused));",
        )],
        seed: 6,
    },
    Mutation {
        name: "producer: an epoch begins with many at once",
        edits: &[(
            STATE,
            "if self.epoch.is_established() { self.window.size() } else { 1 }",
            "self.settings.max_in_flight",
        )],
        seed: 9,
    },
    Mutation {
        name: "producer: claims the epoch that the server has",
        edits: &[(RECOVERY, "let above = server_epoch.saturating_add(1);", "let above = server_epoch;")],
        seed: 32,
    },
    Mutation {
        name: "producer: claims while attempts are under way",
        edits: &[(RECOVERY, "while self.in_flight() == 0 {", "while self.in_flight() < 2 {")],
        seed: 9,
    },
    Mutation {
        name: "producer: goes on sending when it halts",
        edits: &[(
            STATE,
            "        if !matches!(self.phase, Phase::Running) {\n            return None;",
            "        if matches!(self.phase, Phase::Claiming { .. }) {\n            return None;",
        )],
        seed: 410,
    },
    Mutation {
        name: "producer: the tail is not compared",
        edits: &[(EPOCH, "self.compares_tails() && tail.is_some()", "false && tail.is_some()")],
        seed: 312,
    },
    Mutation {
        name: "producer: an acknowledgement speaks for the next",
        edits: &[(
            EPOCH,
            "self.stored_to.is_some_and(|to| seq <= to)",
            "self.stored_to.is_some_and(|to| seq <= to + 1)",
        )],
        seed: 4,
    },
    Mutation {
        name: "producer: the halves of a batch change places",
        edits: &[(SPLIT, "parts.into_iter().enumerate().rev()", "parts.into_iter().enumerate()")],
        seed: 91,
    },
    Mutation {
        name: "producer: what failed is said not to be stored",
        edits: &[(
            RECOVERY,
            "result, may_be_stored });\n        }\n        self.phase",
            "result, may_be_stored: false });\n        }\n        self.phase",
        )],
        seed: 6,
    },
    Mutation {
        name: "producer: one batch too many travels",
        edits: &[
            (
                STATE,
                "self.entries.len() < self.allowed_in_flight()",
                "self.entries.len() <= self.allowed_in_flight()",
            ),
            (STATE, "_ if !is_oldest && (in_flight >= allowed", "_ if !is_oldest && (in_flight > allowed"),
        ],
        seed: 2,
    },
    Mutation {
        name: "producer: a batch is overtaken by the next",
        edits: &[(
            STATE,
            "let index = self.entries.iter().position(|entry| entry.in_flight.is_none())?;",
            "let index = self.entries.iter().rposition(|entry| entry.in_flight.is_none())?;",
        )],
        seed: 11,
    },
    Mutation {
        name: "producer: its queue takes more than it may",
        edits: &[(QUEUE, "|| self.records >= self.limits.buffered_records", "")],
        seed: 1,
    },
    Mutation {
        name: "producer: what is settled stays in its account",
        edits: &[(QUEUE, "        self.bytes -= cost;\n", "")],
        seed: 2,
    },
    Mutation {
        name: "reader: the offset is taken with the head",
        edits: &[(
            RESPONSES,
            "        let page = match status {",
            "        self.position.start_page(next.clone());\n        let page = match status {",
        )],
        seed: 1,
    },
    Mutation {
        name: "reader: a checkpoint is one short",
        edits: &[(
            POSITION,
            "unit.skip(self.arrived.max(self.delivered))",
            "unit.skip(self.arrived.max(self.delivered).saturating_sub(1))",
        )],
        seed: 1,
    },
    Mutation {
        name: "reader: a broken page is handed out again",
        edits: &[(POSITION, "self.delivered = self.delivered.max(self.arrived);", "self.delivered = 0;")],
        seed: 11,
    },
    Mutation {
        name: "reader: skipping ends with the page",
        edits: &[(POSITION, "self.delivered = self.to_skip();", "self.delivered = 0;")],
        seed: 84,
    },
    Mutation {
        name: "reader: what an event stream held outlives it",
        edits: &[
            (
                READER,
                "    pub(super) silent_since: Instant,\n",
                "    pub(super) silent_since: Instant,\n    pub(super) kept: Option<super::sse_connection::SseConnection>,\n",
            ),
            (
                READER,
                "            silent_since: now,\n",
                "            silent_since: now,\n            kept: None,\n",
            ),
            (
                NEXT_ACTION,
                "        self.state = State::Waiting { until: now + delay };\n    }\n\n    /// What follows",
                "        self.state = State::Waiting { until: now + delay };\n        self.kept = Some(response.connection);\n    }\n\n    /// What follows",
            ),
            (
                RESPONSES,
                "let connection = SseConnection::new(is_base64, self.options.max_event_bytes);",
                "let limit = self.options.max_event_bytes;\n            let connection = self.kept.take().unwrap_or_else(|| SseConnection::new(is_base64, limit));",
            ),
        ],
        seed: 103,
    },
    Mutation {
        name: "reader: one data event for each control event",
        edits: &[(
            SSE_CONNECTION,
            "data: std::mem::take(&mut self.pending),",
            "data: std::mem::take(&mut self.pending).into_iter().take(1).collect(),",
        )],
        seed: 5,
    },
    Mutation {
        name: "reader: a cut body is a whole one",
        edits: &[(INPUTS, "page.on_body_broken(error.into());", "drop(error);\n page.on_body_end();")],
        seed: 103,
    },
    Mutation {
        name: "reader: events do not move the offset",
        edits: &[(
            TAKE,
            "        self.position.start_page(boundary.next.clone());",
            "        let next = if is_read { &boundary.next } else { self.position.page_start() };\n        self.position.start_page(next.clone());",
        )],
        seed: 13,
    },
    Mutation {
        name: "reader: the end of a stream of events is missed",
        edits: &[(
            TAKE,
            "                if !self.reported.closed {\n                    self.state = State::ReadingSse(response);\n                }",
            "                self.state = State::ReadingSse(response);",
        )],
        seed: 12,
    },
    Mutation {
        name: "reader: a chunk is as large as it comes",
        edits: &[(
            TAKE,
            "page.take(&mut self.position, self.options.max_chunk_bytes)",
            "page.take(&mut self.position, usize::MAX)",
        )],
        seed: 0,
    },
    Mutation {
        name: "producer: a claim keeps what the last epoch had stored",
        edits: &[(
            RECOVERY,
            "        self.epoch = Epoch::new(epoch);",
            "        self.epoch = Epoch { stored_to: self.epoch.stored_to, ..Epoch::new(epoch) };",
        )],
        seed: 215,
    },
    Mutation {
        name: "producer: each repetition is the first attempt",
        edits: &[(ENTRY, "self.worst_fate >= Some(Fate::Refused)", "false")],
        seed: 0,
    },
    Mutation {
        name: "producer: what is in doubt goes out again in a new epoch",
        edits: &[(
            RECOVERY,
            "if oldest.stored_after.as_ref() == tail =>",
            "if oldest.stored_after.is_some() || tail.is_some() =>",
        )],
        seed: 19,
    },
    Mutation {
        name: "producer: a server forgets only once",
        edits: &[(
            RECOVERY,
            "        self.epoch.is_after_state_loss = true;",
            "        self.epoch.is_after_state_loss = false;",
        )],
        seed: 134,
    },
    Mutation {
        name: "producer: the unsent are looked for too far on",
        edits: &[(
            RECOVERY,
            "earliest.unwrap_or(&self.tail_seen).clone()",
            "earliest.map_or(&self.tail_seen, |_| &self.tail_seen).clone()",
        )],
        seed: 615,
    },
    Mutation {
        name: "producer: a closed stream leaves no doubt",
        edits: &[(
            RECOVERY,
            "let result = if was_closed && may_be_stored {",
            "let result = if false && was_closed && may_be_stored {",
        )],
        seed: 17,
    },
    Mutation {
        name: "producer: a batch in doubt is split as if it were not",
        edits: &[(SPLIT, "        if oldest.is_in_doubt() {", "        if false && oldest.is_in_doubt() {")],
        seed: 84,
    },
    Mutation {
        name: "producer: claims for ever",
        edits: &[(CLAIMS, "        self.count <= MAX_CLAIMS", "        true")],
        seed: 9,
    },
    Mutation {
        name: "producer: what it gives up was never sent",
        edits: &[(
            RESULTS,
            "            if entry.in_flight.take().is_some() {\n                entry.record_fate(Fate::Unknown);\n            }",
            "            entry.in_flight = None;",
        )],
        seed: 486,
    },
    Mutation {
        name: "producer: a tail that was told too late is proof",
        edits: &[(
            STATE,
            "            entry.stored_after = self.tail_seen.clone();\n        }",
            "        }\n        entry.stored_after = self.tail_seen.clone();",
        )],
        seed: 615,
    },
    Mutation {
        name: "producer: a split does not renumber",
        edits: &[(
            SPLIT,
            "                self.renumber(seq);\n            }\n            if let Some",
            "                let _ = seq;\n            }\n            if let Some",
        )],
        seed: 232,
    },
    Mutation {
        name: "producer: nothing wakes it for what lingers",
        edits: &[(
            DRIVER,
            "            deadlines[2] = self.shared.lock().queue.due_at();",
            "            deadlines[2] = None;",
        )],
        seed: 22,
    },
    Mutation {
        name: "producer: a flush is done one batch too soon",
        edits: &[(
            QUEUE,
            "        self.first_unsettled >= target",
            "        self.first_unsettled + 1 >= target",
        )],
        seed: 0,
    },
    Mutation {
        name: "producer: the halves of a batch share their receipts",
        edits: &[(BATCH, "first: self.first + head_records as u32", "first: self.first")],
        seed: 91,
    },
    Mutation {
        name: "producer: what was queued does not come back",
        edits: &[(SHARED, "        self.unacked.push(Unacked::Sealed(sealed));", "        drop(sealed);")],
        seed: 11,
    },
    Mutation {
        name: "producer: draining has no end",
        edits: &[(
            DRIVER_BATCHES,
            "state.is_detached && self.drain_until.is_none()",
            "false && self.drain_until.is_none()",
        )],
        seed: 65,
    },
    Mutation {
        name: "producer: records are framed before the type is known",
        edits: &[(
            QUEUE,
            "            if self.open.records() > 0 {\n                self.seal(false);\n            }\n            self.framing",
            "            self.framing",
        )],
        seed: 26,
    },
    Mutation {
        name: "reader: a second break forgets the first",
        edits: &[(
            POSITION,
            "self.delivered = self.delivered.max(self.arrived);",
            "self.delivered = self.arrived;",
        )],
        seed: 84,
    },
    Mutation {
        name: "reader: a broken connection is no break",
        edits: &[(READER, "        self.position.restart_page();\n    }", "    }")],
        seed: 103,
    },
    Mutation {
        name: "reader: a closed stream does not end it",
        edits: &[(NEXT_ACTION, "if outcome.closed || (self.options", "if (self.options")],
        seed: 0,
    },
    Mutation {
        name: "reader: silence is waited for",
        edits: &[
            (
                INPUTS,
                "                self.silent_since.checked_add(self.max_silence())\n            }",
                "                None\n            }",
            ),
            (
                INPUTS,
                "let silence = self.silent_since.checked_add(self.max_silence());",
                "let silence = None;",
            ),
        ],
        seed: 11,
    },
    Mutation {
        name: "reader: reading ahead counts as handed out",
        edits: &[(
            PREFETCH,
            "            self.checkpoint = chunk.checkpoint.clone();",
            "            let queue = lock(&self.queue);\n            let last = queue.chunks.back().and_then(|last| last.as_ref().ok());\n            self.checkpoint = last.unwrap_or(chunk).checkpoint.clone();\n            drop(queue);",
        )],
        seed: 418,
    },
    Mutation {
        name: "reader: the lines of an event lose what was between them",
        edits: &[(SSE_DATA, "            self.joined.extend(b\"\\n\", limit);", "")],
        seed: 13,
    },
    Mutation {
        name: "reader: CRLF ends two lines",
        edits: &[(
            SSE,
            "                if after_cr { None } else { self.dispatch() }",
            "                self.dispatch()",
        )],
        seed: 25,
    },
    Mutation {
        name: "reader: a message is sought in the wrong buffer",
        edits: &[(
            SPLITTER,
            "                if self.input.next_buffer() {\n                    self.scanner.discard_block();",
            "                if self.input.next_buffer() {",
        )],
        seed: 26,
    },
    Mutation {
        name: "reader: the cursor is not sent back",
        edits: &[(
            REQUESTS,
            "cursor: self.stream.cursor.as_ref().filter(|_| is_live).cloned(),",
            "cursor: None,",
        )],
        seed: 6,
    },
    Mutation {
        name: "reader: answers without news are asked for at once",
        edits: &[(
            PACE,
            "        let doublings = (self.consecutive - 2).min(16);",
            "        if self.consecutive < 1000 {\n            return Duration::ZERO;\n        }\n        let doublings = (self.consecutive - 2).min(16);",
        )],
        seed: 103,
    },
    Mutation {
        name: "reader: a failure is progress",
        edits: &[(
            READER,
            "        let error = self.name_oversized_event(",
            "        self.pacing.on_long_poll_response();\n        let error = self.name_oversized_event(",
        )],
        seed: 23,
    },
    Mutation {
        name: "reader: a page whose body was dropped is empty",
        edits: &[
            (
                RESPONSES,
                "if status == StatusCode::OK && length == BodyLength::Known(0) && must_have_content {",
                "if false {",
            ),
            (INPUTS, "response.page.invalidate(Invalid::NoContent);", ""),
        ],
        seed: 0,
    },
    Mutation {
        name: "producer: a batch in doubt is never split",
        edits: &[(SPLIT, "            && !self.epoch.is_stored(entry.seq)", "            && false")],
        seed: 0,
    },
    Mutation {
        name: "both: what was not processed is in doubt",
        edits: &[(RETRY_LOOP, " | StatusCode::MISDIRECTED_REQUEST | StatusCode::TOO_EARLY", "")],
        seed: 0,
    },
    Mutation {
        name: "both: the page of a portal is the server's",
        edits: &[(
            HTTP_CLIENT,
            "if !is_in_terms(call.operation, &head.headers) && self.is_intercepted(call, &head.headers) {",
            "if false {",
        )],
        seed: 0,
    },
    Mutation {
        name: "both: the redirect of a portal is the server's",
        edits: &[(
            HTTP_CLIENT,
            "match is_foreign && self.is_intercepted(call, &head.headers) {",
            "match false {",
        )],
        seed: 1097,
    },
    Mutation {
        name: "both: a server may ask for any wait",
        edits: &[(RETRY, ".min(self.config.max_retry_after))", ")")],
        seed: 0,
    },
    Mutation {
        name: "both: a cache that denies a stream is believed",
        edits: &[(
            HTTP_CLIENT,
            "if self.contradicts_memory(call, head.status) && !bypass_cache {",
            "if false {",
        )],
        seed: 0,
    },
    Mutation {
        name: "both: a connection that times out is used again",
        edits: &[(
            HTTP_CLIENT,
            "            error.is_retryable()\n                && !matches!(error.kind(), TransportErrorKind::Dns | TransportErrorKind::Connect)",
            "            false && error.is_retryable()",
        )],
        seed: 0,
    },
    Mutation {
        name: "both: a retry uses the connection that failed",
        edits: &[(
            HTTP_CLIENT,
            "            response.status.is_server_error() || response.status == StatusCode::MISDIRECTED_REQUEST",
            "            false",
        )],
        seed: 2,
    },
    Mutation {
        name: "both: what a server asks to wait is not waited",
        edits: &[(RETRY, ".max(retry_after.unwrap_or_default().min(self.config.max_retry_after))", "")],
        seed: 77,
    },
    Mutation {
        name: "both: retries do not wait",
        edits: &[(
            RETRY,
            "Duration::from_secs_f64(ceiling * fraction(random))\n            .max(retry_after.unwrap_or_default().min(self.config.max_retry_after))",
            "Duration::ZERO",
        )],
        seed: 23,
    },
    Mutation {
        name: "both: the pauses between retries do not grow",
        edits: &[(RETRY, ".powi(exponent)", ".powi(0 * exponent)")],
        seed: 23,
    },
    Mutation {
        name: "producer: a size that was too large is forgotten",
        edits: &[(BODY_SIZE, "self.limit = self.limit.min(limit.max(1));", "")],
        seed: 135,
    },
    Mutation {
        name: "producer: a batch that is slow to upload gets no more time",
        edits: &[(SPLIT, "entry.patience = (entry.patience * 4).min(most);", "")],
        seed: 214,
    },
    Mutation {
        name: "both: an upload that goes on is given up",
        edits: &[(
            HTTP_CLIENT,
            "if result.is_some() || !upload.as_mut().is_some_and(Upload::has_gone_on) {",
            "if true {",
        )],
        seed: 6,
    },
];
