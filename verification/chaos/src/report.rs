use crate::faults::Faults;
use crate::writer::Tally;
use std::fmt;
use std::sync::Arc;

/// The result of a run. Its text ends with a line PASS or FAIL.
#[derive(Debug)]
pub struct Report {
    pub(crate) faults: Arc<Faults>,
    pub(crate) written: Vec<Tally>,
    pub(crate) violations: Vec<String>,
    /// Records that the server stored twice under one number.
    pub(crate) repeated: u64,
}

/// So many violations are named one by one.
const NAMED: usize = 20;

impl Report {
    /// Whether every record is stored once, and those of each producer in order; but for what a server that forgets
    /// stored twice under one number, where the plan allows for that.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.violations.is_empty()
    }

    /// How often something was done to a request or the server.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.total()
    }

    /// How often the server was killed.
    #[must_use]
    pub fn kills(&self) -> u64 {
        self.faults.kills()
    }

    /// How many records were made.
    #[must_use]
    pub fn records(&self) -> u64 {
        Tally::sum(&self.written).made
    }

    /// How many batches the server already had when they were sent again.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        Tally::sum(&self.written).duplicates
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "what was done to them: {}", self.faults)?;
        let Tally { made, batches, requests, resent, duplicates, gaps, claims, .. } =
            Tally::sum(&self.written);
        writeln!(
            f,
            "what the producers did: {made} records in {batches} batches by {requests} appends, {resent} of them sent again, \
             {duplicates} found stored by the server, {gaps} too early, {claims} epochs claimed"
        )?;
        let Tally { recoveries, in_doubt, found_stored, .. } = Tally::sum(&self.written);
        writeln!(
            f,
            "what the applications did: {recoveries} recoveries after a halt, {in_doubt} records in doubt, {found_stored} of them found stored"
        )?;
        for violation in self.violations.iter().take(NAMED) {
            writeln!(f, "violation: {violation}")?;
        }
        match (self.violations.len(), self.repeated) {
            (0, 0) => write!(f, "PASS: {made} records, each stored once, in order per producer"),
            (0, repeated) => write!(
                f,
                "PASS: {made} records, each sent under one number and stored in order per producer; {repeated} of them \
                 twice, by a server that had forgotten their number"
            ),
            (count, _) => write!(f, "FAIL: {count} violations"),
        }
    }
}
