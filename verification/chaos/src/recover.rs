//! What an application does when its producer has halted and it is not known whether some records are stored.

use crate::record::Record;
use crate::{Error, Result};
use durable_streams::{DurableStream, IdempotentProducer, Offset, ProducerBuilder, ProducerError};
use std::collections::{HashSet, VecDeque};

/// A new run: its producer, and the records of the one before that are not stored.
pub(crate) struct Recovered {
    pub(crate) producer: IdempotentProducer,
    pub(crate) run: u32,
    /// In order; they are to be appended before any other.
    pub(crate) missing: VecDeque<Record>,
    /// Of how many it was unknown whether they are stored.
    pub(crate) in_doubt: usize,
    /// And of how many of those it turned out that they are.
    pub(crate) stored: usize,
}

/// Continues after `halted`. Its records have their writer and number.
pub(crate) async fn recover(
    stream: &DurableStream,
    configured: impl Fn(u64) -> ProducerBuilder,
    halted: &IdempotentProducer,
    writer: u32,
    run: u32,
) -> Result<Recovered> {
    let unsent = halted.take_unacked();
    let from = halted.unacked_from().unwrap_or(Offset::Beginning);

    // First the mark of a new run, under a higher epoch. Once it is stored the server takes nothing of the run
    // before, not even what is still on its way somewhere: what is stored of it is stored before the mark.
    let (producer, run) = begin(&configured, halted.epoch() + 1, writer, run + 1).await?;

    // Now look.
    let records: Vec<Record> = stream.reader().offset(from).read_json().await?;
    let stored: HashSet<u64> =
        records.iter().filter(|record| record.writer == writer).map(|record| record.number).collect();

    // And keep what is not there.
    let mut recovered = Recovered { producer, run, missing: VecDeque::new(), in_doubt: 0, stored: 0 };
    for unsent in unsent {
        let record: Record = serde_json::from_slice(&unsent.data)?;
        let is_stored = stored.contains(&record.number);
        recovered.in_doubt += usize::from(unsent.may_be_stored);
        recovered.stored += usize::from(is_stored);
        if is_stored && !unsent.may_be_stored {
            return Err(format!("record {} was handed back as not stored, and is", record.number).into());
        }
        if !is_stored {
            recovered.missing.push_back(record);
        }
    }
    Ok(recovered)
}

/// Starts a run under this epoch or, where that halts too, a higher one: its mark is stored when this returns. Twice
/// perhaps, if the server forgets even that, which does no harm.
pub(crate) async fn begin(
    configured: impl Fn(u64) -> ProducerBuilder,
    mut epoch: u64,
    writer: u32,
    mut run: u32,
) -> Result<(IdempotentProducer, u32)> {
    loop {
        let producer = configured(epoch).build();
        match producer.append_json(&Record::mark(writer, run))?.await {
            Ok(_) => return Ok((producer, run)),
            Err(error) if is_recoverable(&error) => (epoch, run) = (producer.epoch() + 1, run + 1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a server that was killed, and its memory of producers, explain this.
pub(crate) fn is_recoverable(error: &ProducerError) -> bool {
    matches!(
        error,
        ProducerError::OutcomeUnknown { .. }
            | ProducerError::SequenceGap { .. }
            | ProducerError::StaleEpoch { .. }
    )
}

/// What cannot be recovered from ends the run.
pub(crate) fn unexplained(error: ProducerError) -> Error {
    format!("halted: {error}").into()
}
