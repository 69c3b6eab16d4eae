//! What must hold when a bad day is over.

use crate::ledger::{Fate, Ledger, Look, RecordId, parse};
use crate::plan::{Content, Finish, Mishap, Plan, Way};
use crate::reading::Consumed;
use crate::wire;
use durable_streams_sim::model::{ServerOptions, StreamView};
use durable_streams_sim::{Event, Fault, Memory, RequestRecord, SimServer};
use http::Method;
use std::collections::{BTreeMap, HashMap};

/// Checks a world that has come to its end; the first thing that is wrong.
pub(crate) fn check(
    plan: &Plan,
    server: &SimServer,
    ledger: &Ledger,
    readers: &[Consumed],
    requests: &[RequestRecord],
) -> Result<(), String> {
    if let Some(violation) = ledger.violations().into_iter().next() {
        return Err(violation);
    }
    wire::check(plan, requests)?;
    if plan.forgets() == Memory::Lost {
        // Nothing is left that could be wrong but what came to no end.
        return Ok(());
    }
    let fates = ledger.fates();
    for (number, content) in plan.streams.iter().enumerate() {
        let stored = server.stream(&Plan::path(number)).ok_or("the stream is gone")?;
        let ids = parse(*content, &stored.data)?;
        let ids = ids.strip_prefix(plan.first_records(number).as_slice());
        let ids = ids.ok_or("what was there at the beginning is not there any more")?;
        records(plan, number, ids, &fates, requests)?;
        looks(plan, number, *content, &positions(*content, &stored), &ledger.looks(), &fates)?;
        for (reader, consumed) in
            readers.iter().enumerate().filter(|(i, _)| plan.readers[*i].stream == number)
        {
            output(plan, *content, reader, consumed, &stored)?;
        }
    }
    Ok(())
}

/// Records: each acknowledged one once, none twice, none that failed, and in order.
fn records(
    plan: &Plan,
    stream: usize,
    ids: &[RecordId],
    fates: &BTreeMap<RecordId, Fate>,
    requests: &[RequestRecord],
) -> Result<(), String> {
    let forgetful = plan.forgets() != Memory::Kept;
    let mut times: HashMap<RecordId, usize> = HashMap::new();
    for id in ids {
        *times.entry(*id).or_default() += 1;
        if !fates.contains_key(id) {
            return Err(format!("record {id} is stored and was never appended"));
        }
    }
    for (id, fate) in fates.iter().filter(|(id, _)| plan.writers[id.writer].stream == stream) {
        let stored = times.get(id).copied().unwrap_or(0);
        if stored > 1 && (!forgetful || knows_what_was_forgotten(plan, *id, fate)) {
            return Err(format!("record {id} is stored {stored} times ({fate:?})"));
        }
        if let Fate::Failed { error, alone, .. } = fate
            && !has_reason(plan, requests, *id, error, *alone)
        {
            return Err(format!("record {id} failed without a reason: {error}"));
        }
        match fate {
            Fate::Acked { .. } if stored == 0 && !is_indistinct(plan, requests, *id, fate) => {
                return Err(format!("record {id} was acknowledged and is not stored"));
            }
            Fate::Failed { error, .. } if stored > 0 && is_definite(error) => {
                return Err(format!("record {id} is stored, and its receipt said: {error}"));
            }
            Fate::Failed { error, may_be_stored: false, .. } if stored > 0 => {
                return Err(format!(
                    "record {id} is stored, and the application was told it is not: {error}"
                ));
            }
            _ => {}
        }
    }
    if forgetful {
        return Ok(());
    }
    order(plan, ids)?;
    holes(plan, stream, &times, fates, requests)
}

/// What a halt left in doubt is not stored before the place from where the application was told to look for it.
fn looks(
    plan: &Plan,
    stream: usize,
    content: Content,
    stored: &[u8],
    looks: &[Look],
    fates: &BTreeMap<RecordId, Fate>,
) -> Result<(), String> {
    for Look { writer, run, from } in looks.iter().filter(|look| plan.writers[look.writer].stream == stream) {
        let position = plan.server.offsets.decode(from).map(|position| position as usize);
        let Some(before) = position.and_then(|position| stored.get(..position)) else {
            return Err(format!("writer {writer}.{run} was told to look from {from}, which is no place"));
        };
        let passed_over = parse(content, before)?.into_iter().find(|id| {
            (id.writer, id.run) == (*writer, *run)
                && matches!(fates.get(id), Some(Fate::Failed { alone: false, .. }))
        });
        if let Some(id) = passed_over {
            return Err(format!("record {id} is stored before {from}, from where it was to be looked for"));
        }
    }
    Ok(())
}

/// Whether a producer whose server forgets it has to notice that before it sends this record again. It cannot where
/// the record is in the first batch of all, or of an epoch that was raised to split a batch: to a server that knows nothing
/// that is as good as new.
fn knows_what_was_forgotten(plan: &Plan, id: RecordId, fate: &Fate) -> bool {
    let claims = matches!(plan.writers[id.writer].way, Way::Producer { auto_claim: true, .. });
    let is_first = match fate {
        Fate::Acked { first, epoch, .. } => *first && *epoch == 0,
        Fate::Failed { .. } | Fate::Unknown => true,
    };
    let splits = plan.server.max_body < ServerOptions::default().max_body;
    claims && plan.is_punctual() && !is_first && !splits
}

/// An error that leaves no doubt: a stream that is closed takes nothing.
fn is_definite(error: &str) -> bool {
    error.contains("stream is closed") && !error.starts_with("outcome unknown")
}

/// Whether the day was bad enough for a record to fail: what passes by itself is no reason.
fn has_reason(plan: &Plan, requests: &[RequestRecord], id: RecordId, error: &str, alone: bool) -> bool {
    let writer = &plan.writers[id.writer];
    let Way::Producer { auto_claim, retries, .. } = &writer.way else { return true };
    let excused = retries.is_some() || plan.is_misled() || plan.forgets() != Memory::Kept;
    let has_rival = plan.zombie(id.writer).is_some();
    let replaced = has_rival && error.starts_with("stale epoch");
    // Too large for the server: it fails alone, or, where an attempt went unanswered before, with all others.
    let refused = plan.server.max_body < ServerOptions::default().max_body
        && (alone || error.starts_with("outcome unknown"));
    let ends = |finish| matches!(finish, Finish::CloseStream(_));
    let closed = error.contains("closed")
        && plan.writers.iter().any(|other| other.stream == writer.stream && ends(other.finish));
    let given_up =
        matches!(writer.finish, Finish::Drop | Finish::Detach) && error.contains("not yet acknowledged");
    // A fence after an attempt that went unanswered.
    let claimed = *auto_claim && (id.run > 0 || has_rival);
    let unknown = error.starts_with("outcome unknown") && (repeats(plan) || claimed);
    // A network that repeats requests looks like another run under the same epoch.
    let used = error.starts_with("unexpected duplicate") && (repeats(plan) || is_shared(plan, requests, id));
    excused || replaced || refused || closed || given_up || unknown || used
}

fn repeats(plan: &Plan) -> bool {
    plan.mishaps.iter().any(|mishap| matches!(mishap, Mishap::World(Event::Request(_, Fault::Twice { .. }))))
}

/// Whether nobody could tell this record from the first of an earlier run; see [`is_shared`].
fn is_indistinct(plan: &Plan, requests: &[RequestRecord], id: RecordId, fate: &Fate) -> bool {
    // Of a crashed run later batches may arrive too.
    let any = plan.zombie(id.writer).is_some() || arrives_late(requests, id);
    match fate {
        Fate::Acked { duplicate, first, .. } if !duplicate || !(*first || any) => false,
        _ => is_shared(plan, requests, id),
    }
}

/// Whether this record's epoch may have been used by another run, and nobody can tell: the id was used before from
/// epoch 0 on, and others write to the stream, or a late request of that run does, so that its tail tells nothing; or
/// something between refuses to tell it. Where two processes live at once under one id and epoch, that is so for any
/// record.
fn is_shared(plan: &Plan, requests: &[RequestRecord], id: RecordId) -> bool {
    let writer = &plan.writers[id.writer];
    let rival = plan.zombie(id.writer).is_some();
    if id.run == 0 && !rival || !matches!(writer.way, Way::Producer { auto_claim: true, .. }) {
        return false;
    }
    let others = plan.writers.iter().filter(|other| other.stream == writer.stream).count() > 1;
    others || rival || plan.is_misled() || arrives_late(requests, id)
}

/// Whether a batch of an earlier run may have arrived when that had crashed.
fn arrives_late(requests: &[RequestRecord], id: RecordId) -> bool {
    let earlier: Vec<String> = (0..id.run).map(|run| format!("writer{}-{run}", id.writer)).collect();
    requests.iter().any(|request| {
        let host = request.uri.host().unwrap_or_default();
        request.method == Method::POST && request.status.is_none() && earlier.iter().any(|e| e == host)
    })
}

/// A producer's records are stored in the order in which it appended them, over all its runs. A single append
/// that nobody waits for any more may come late.
fn order(plan: &Plan, ids: &[RecordId]) -> Result<(), String> {
    let mut last: HashMap<(usize, usize), RecordId> = HashMap::new();
    for id in ids.iter().filter(|id| !matches!(plan.writers[id.writer].way, Way::Single)) {
        // Two that live at once and claim the epoch from each other take turns.
        let claims = matches!(plan.writers[id.writer].way, Way::Producer { auto_claim: true, .. });
        let run = if claims && plan.zombie(id.writer).is_some() { id.run } else { 0 };
        if let Some(last) = last.insert((id.writer, run), *id)
            && last >= *id
        {
            return Err(format!("record {id} is stored after {last}"));
        }
    }
    Ok(())
}

/// A producer never goes on after a record that is not stored, unless that one failed by itself.
fn holes(
    plan: &Plan,
    stream: usize,
    times: &HashMap<RecordId, usize>,
    fates: &BTreeMap<RecordId, Fate>,
    requests: &[RequestRecord],
) -> Result<(), String> {
    // Where the server may refuse a record for its size, a crash may hide that it did.
    let refuses = plan.server.max_body < ServerOptions::default().max_body || plan.is_misled();
    let mut missing: Option<RecordId> = None;
    for (id, fate) in fates.iter() {
        let alone = match fate {
            // Where its number was somebody else's, the next batch, sent beside it, may be stored.
            Fate::Failed { alone, error, .. } => {
                *alone || error.starts_with("unexpected duplicate") && is_shared(plan, requests, *id)
            }
            Fate::Unknown => refuses || is_indistinct(plan, requests, *id, fate),
            Fate::Acked { .. } => is_indistinct(plan, requests, *id, fate),
        };
        let writer = &plan.writers[id.writer];
        if writer.stream != stream || matches!(writer.way, Way::Single) {
            continue;
        }
        if missing.is_some_and(|missing| (missing.writer, missing.run) != (id.writer, id.run)) {
            missing = None;
        }
        match (times.contains_key(id), missing) {
            (true, Some(missing)) => {
                return Err(format!("record {id} is stored, and {missing} before it is not"));
            }
            (false, None) if !alone => missing = Some(*id),
            _ => {}
        }
    }
    Ok(())
}

/// A stream as its offsets count it: a message of a JSON stream is followed by a comma.
fn positions(content: Content, stored: &StreamView) -> Vec<u8> {
    match content {
        Content::Json => stored.messages.iter().flat_map(|message| [message, &b","[..]].concat()).collect(),
        _ => stored.data.to_vec(),
    }
}

/// A reader's output is the stream, from its beginning or from where the tail once was.
fn output(
    plan: &Plan,
    content: Content,
    number: usize,
    consumed: &Consumed,
    stored: &StreamView,
) -> Result<(), String> {
    let stored = positions(content, stored);
    let output = consumed.output();
    let whole = consumed.is_closed();
    let matches = match plan.readers[number].from_now {
        false if whole => output == stored,
        false => stored.starts_with(&output),
        true if whole => {
            let (earliest, latest) = consumed.begins();
            let begin = stored.len().wrapping_sub(output.len());
            stored.ends_with(&output) && (earliest..=latest).contains(&begin)
        }
        true => true,
    };
    if matches {
        return Ok(());
    }
    let same = output.iter().zip(&stored).take_while(|(a, b)| a == b).count();
    let show = |bytes: &[u8]| {
        let from = same.saturating_sub(20).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..bytes.len().min(same + 40)]).into_owned()
    };
    Err(format!(
        "reader {number} consumed {} bytes of {} (from {:?}); they differ at byte {same}: {:?} and {:?}",
        output.len(),
        stored.len(),
        consumed.begins(),
        show(&output),
        show(&stored)
    ))
}
