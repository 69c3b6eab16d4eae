use serde::{Deserialize, Serialize};

/// What the applications append. Each record names its writer and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Who made it.
    pub(crate) writer: u32,
    /// In which run; a run is what a producer does before it halts.
    pub(crate) run: u32,
    /// Which of this writer's records it is, from 1 on; 0 marks the beginning of a run.
    pub(crate) number: u64,
}

impl Record {
    pub(crate) fn mark(writer: u32, run: u32) -> Self {
        Self { writer, run, number: 0 }
    }
}
