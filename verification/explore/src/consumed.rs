//! What a reader has consumed and saved.

use crate::sync::lock;
use std::sync::{Arc, Mutex, MutexGuard};

/// What a reader has consumed, on a disk that saves output and checkpoint together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) output: Vec<u8>,
    pub(crate) chunks: usize,
    /// The checkpoint's text, and the length of the output.
    pub(crate) saved: Option<(String, usize)>,
    /// The same after the last chunk, saved or not.
    pub(crate) last: Option<(String, usize)>,
    /// For a reader from `now`: the earliest and the latest position of the tail.
    pub(crate) begins: (usize, usize),
    pub(crate) closed: bool,
}

impl Consumed {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// All that was consumed; JSON messages are each followed by a comma.
    pub(crate) fn output(&self) -> Vec<u8> {
        self.state().output.clone()
    }

    /// Where a reader from `now` may have begun.
    pub(crate) fn begins(&self) -> (usize, usize) {
        self.state().begins
    }

    /// Whether it reached the end of the stream.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The checkpoint that a crash falls back to.
    pub(crate) fn saved(&self) -> Option<String> {
        self.state().saved.as_ref().map(|(text, _)| text.clone())
    }

    /// How much was consumed.
    pub(crate) fn length(&self) -> usize {
        self.state().output.len()
    }

    /// Saves this position: a crash falls back to it.
    pub(crate) fn save_at(&self, checkpoint: String, length: usize) {
        self.state().saved = Some((checkpoint, length));
    }

    /// Saves everything, at an orderly end.
    pub(crate) fn save(&self) {
        let mut state = self.state();
        state.saved = state.last.clone();
    }

    /// Falls back to the saved position, after a crash.
    pub(crate) fn roll_back(&self) {
        let mut state = self.state();
        let length = state.saved.as_ref().map_or(0, |(_, length)| *length);
        state.output.truncate(length);
        state.last = state.saved.clone();
        state.chunks = 0;
        state.closed = false;
    }
}
