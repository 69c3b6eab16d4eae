//! Checks of the stored records and the readers' output after a run.

use crate::consumed::Consumed;
use crate::record_log::{Fate, Look, RecordId, RecordLog, parse};
use crate::scenario::{Content, Failure, Finish, Scenario, Theme, WriteMode};
use crate::wire;
use durable_streams_sim::model::{ServerOptions, StreamView};
use durable_streams_sim::{Event, Fault, Incident, Memory, RequestRecord, SimServer};
use http::Method;
use std::collections::{BTreeMap, HashMap};

/// Checks a finished run. Returns the first violation.
pub(crate) fn check(
    scenario: &Scenario,
    server: &SimServer,
    record_log: &RecordLog,
    readers: &[Consumed],
    requests: &[RequestRecord],
) -> Result<(), String> {
    if let Some(violation) = record_log.violations().into_iter().next() {
        return Err(violation);
    }
    wire::check(scenario, requests)?;
    if scenario.worst_memory() == Memory::Lost {
        // Nothing is left that could be wrong but what came to no end.
        return Ok(());
    }
    let fates = record_log.fates();
    for (number, content) in scenario.streams.iter().enumerate() {
        let stored = server.stream(&Scenario::path(number)).ok_or("the stream is gone")?;
        let ids = parse(*content, &stored.data)?;
        let ids = ids.strip_prefix(scenario.first_records(number).as_slice());
        let ids = ids.ok_or("what was there at the beginning is not there any more")?;
        records(scenario, number, ids, &fates, requests)?;
        looks(scenario, number, *content, &positions(*content, &stored), &record_log.looks(), &fates)?;
        for (reader, consumed) in
            readers.iter().enumerate().filter(|(i, _)| scenario.readers[*i].stream == number)
        {
            output(scenario, *content, reader, consumed, &stored)?;
        }
    }
    Ok(())
}

/// Records: each acknowledged one once, none twice, none that failed, and in order.
fn records(
    scenario: &Scenario,
    stream: usize,
    ids: &[RecordId],
    fates: &BTreeMap<RecordId, Fate>,
    requests: &[RequestRecord],
) -> Result<(), String> {
    let forgetful = scenario.worst_memory() != Memory::Kept;
    let mut times: HashMap<RecordId, usize> = HashMap::new();
    for id in ids {
        *times.entry(*id).or_default() += 1;
        if !fates.contains_key(id) {
            return Err(format!("record {id} is stored and was never appended"));
        }
    }
    for (id, fate) in fates.iter().filter(|(id, _)| scenario.writers[id.writer].stream == stream) {
        let stored = times.get(id).copied().unwrap_or(0);
        if stored > 1 && (!forgetful || knows_what_was_forgotten(scenario, *id, fate)) {
            return Err(format!("record {id} is stored {stored} times ({fate:?})"));
        }
        if let Fate::Failed { error, alone, .. } = fate
            && !has_reason(scenario, requests, *id, error, *alone)
        {
            return Err(format!("record {id} failed without a reason: {error}"));
        }
        match fate {
            Fate::Acked { .. } if stored == 0 && !is_indistinct(scenario, requests, *id, fate) => {
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
    order(scenario, ids)?;
    holes(scenario, stream, &times, fates, requests)
}

/// No record in doubt is stored before its `unacked_from`.
fn looks(
    scenario: &Scenario,
    stream: usize,
    content: Content,
    stored: &[u8],
    looks: &[Look],
    fates: &BTreeMap<RecordId, Fate>,
) -> Result<(), String> {
    for Look { writer, run, from } in
        looks.iter().filter(|look| scenario.writers[look.writer].stream == stream)
    {
        let position = scenario.server.offsets.decode(from).map(|position| position as usize);
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
fn knows_what_was_forgotten(scenario: &Scenario, id: RecordId, fate: &Fate) -> bool {
    let claims =
        matches!(scenario.writers[id.writer].write_mode, WriteMode::Producer { auto_claim: true, .. });
    let is_first = match fate {
        Fate::Acked { first, epoch, .. } => *first && *epoch == 0,
        Fate::Failed { .. } | Fate::Unknown => true,
    };
    let splits = scenario.server.max_body < ServerOptions::default().max_body;
    claims && scenario.has_no_late_request() && !is_first && !splits
}

/// An error after which nothing can be stored: the stream is closed.
fn is_definite(error: &str) -> bool {
    error.contains("stream is closed") && !error.starts_with("outcome unknown")
}

/// Whether the scenario's failures explain that a record failed. Temporary failures do not.
fn has_reason(
    scenario: &Scenario,
    requests: &[RequestRecord],
    id: RecordId,
    error: &str,
    alone: bool,
) -> bool {
    if error.contains("outcome unknown") && scenario.theme == Theme::NotProcessed {
        return false;
    }
    let writer = &scenario.writers[id.writer];
    let WriteMode::Producer { auto_claim, retries, .. } = &writer.write_mode else { return true };
    let excused =
        retries.is_some() || scenario.has_false_refusal() || scenario.worst_memory() != Memory::Kept;
    let has_rival = scenario.replacement(id.writer).is_some();
    let replaced = has_rival && error.starts_with("stale epoch");
    // Too large for the server: it fails alone, or, where an attempt went unanswered before, with all others.
    let refused = scenario.server.max_body < ServerOptions::default().max_body
        && (alone || error.starts_with("outcome unknown"));
    let ends = |finish| matches!(finish, Finish::CloseStream(_));
    let closed = error.contains("closed")
        && scenario.writers.iter().any(|other| other.stream == writer.stream && ends(other.finish));
    let given_up =
        matches!(writer.finish, Finish::Drop | Finish::Detach) && error.contains("not yet acknowledged");
    // A fence after an attempt that went unanswered.
    let claimed = *auto_claim && (id.run > 0 || has_rival);
    // A split gives later batches other numbers, which needs a new epoch if one of them is in doubt.
    let cannot_split = scenario.theme == Theme::SizeLimit && !auto_claim;
    // Large bodies whose responses are lost again and again look like a path that does not carry them.
    let was_split =
        scenario.theme == Theme::SlowUplink && error.contains("a batch was split after an attempt");
    let excused_doubt = repeats(scenario) || claimed || cannot_split || was_split;
    let unknown = error.starts_with("outcome unknown") && excused_doubt;
    // A network that repeats requests looks like another run under the same epoch.
    let used =
        error.starts_with("unexpected duplicate") && (repeats(scenario) || is_shared(scenario, requests, id));
    // To a client that has had no response, a portal is the server.
    let intercepted = scenario.theme == Theme::Interceptor && !was_answered(scenario, requests, id);
    excused || replaced || refused || closed || given_up || unknown || used || intercepted
}

/// Whether the client that appended this record had a response before the portal.
fn was_answered(scenario: &Scenario, requests: &[RequestRecord], id: RecordId) -> bool {
    let begins = scenario.failures.iter().find_map(|failure| match failure {
        Failure::World(Event::At(at, Incident::Gateway(..))) => Some(*at),
        _ => None,
    });
    let client = format!("writer{}-{}", id.writer, id.run);
    requests.iter().any(|request| {
        request.uri.host() == Some(&client)
            && request.status.is_some()
            && begins.is_some_and(|begins| request.ended_at.is_some_and(|ended| ended < begins))
    })
}

fn repeats(scenario: &Scenario) -> bool {
    scenario
        .failures
        .iter()
        .any(|failure| matches!(failure, Failure::World(Event::Request(_, Fault::Repeat { .. }))))
}

/// Whether nobody could tell this record from the first of an earlier run; see [`is_shared`].
fn is_indistinct(scenario: &Scenario, requests: &[RequestRecord], id: RecordId, fate: &Fate) -> bool {
    // Of a crashed run later batches may arrive too.
    let any = scenario.replacement(id.writer).is_some() || arrives_late(requests, id);
    match fate {
        Fate::Acked { duplicate, first, .. } if !duplicate || !(*first || any) => false,
        _ => is_shared(scenario, requests, id),
    }
}

/// Whether this record's epoch may have been used by another run, and nobody can tell: the id was used before from
/// epoch 0 on, and others write to the stream, or a late request of that run does, so that its tail tells nothing; or
/// something between refuses to tell it. Where two processes live at once under one id and epoch, that is so for any
/// record.
fn is_shared(scenario: &Scenario, requests: &[RequestRecord], id: RecordId) -> bool {
    let writer = &scenario.writers[id.writer];
    let rival = scenario.replacement(id.writer).is_some();
    if id.run == 0 && !rival || !matches!(writer.write_mode, WriteMode::Producer { auto_claim: true, .. }) {
        return false;
    }
    let others = scenario.writers.iter().filter(|other| other.stream == writer.stream).count() > 1;
    others || rival || scenario.has_false_refusal() || arrives_late(requests, id)
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
fn order(scenario: &Scenario, ids: &[RecordId]) -> Result<(), String> {
    let mut last: HashMap<(usize, usize), RecordId> = HashMap::new();
    for id in ids.iter().filter(|id| !matches!(scenario.writers[id.writer].write_mode, WriteMode::Single)) {
        // Two that live at once and claim the epoch from each other take turns.
        let claims =
            matches!(scenario.writers[id.writer].write_mode, WriteMode::Producer { auto_claim: true, .. });
        let run = if claims && scenario.replacement(id.writer).is_some() { id.run } else { 0 };
        if let Some(last) = last.insert((id.writer, run), *id)
            && last >= *id
        {
            return Err(format!("record {id} is stored after {last}"));
        }
    }
    Ok(())
}

/// A producer stores nothing after a record that is not stored, unless that one failed on its own.
fn holes(
    scenario: &Scenario,
    stream: usize,
    times: &HashMap<RecordId, usize>,
    fates: &BTreeMap<RecordId, Fate>,
    requests: &[RequestRecord],
) -> Result<(), String> {
    // Where the server may refuse a record for its size, a crash may hide that it did.
    let refuses =
        scenario.server.max_body < ServerOptions::default().max_body || scenario.has_false_refusal();
    let mut missing: Option<RecordId> = None;
    for (id, fate) in fates.iter() {
        let alone = match fate {
            // Where its number was somebody else's, the next batch, sent beside it, may be stored.
            Fate::Failed { alone, error, .. } => {
                let is_doubtful =
                    error.starts_with("unexpected duplicate") || error.starts_with("outcome unknown");
                *alone || is_doubtful && is_shared(scenario, requests, *id)
            }
            Fate::Unknown => refuses || is_indistinct(scenario, requests, *id, fate),
            Fate::Acked { .. } => is_indistinct(scenario, requests, *id, fate),
        };
        let writer = &scenario.writers[id.writer];
        if writer.stream != stream || matches!(writer.write_mode, WriteMode::Single) {
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

/// A reader's output is the stream, from its beginning or from the tail at its start.
fn output(
    scenario: &Scenario,
    content: Content,
    number: usize,
    consumed: &Consumed,
    stored: &StreamView,
) -> Result<(), String> {
    let stored = positions(content, stored);
    let output = consumed.output();
    let whole = consumed.is_closed();
    let matches = match scenario.readers[number].from_now {
        // A reader that had nothing yet begins behind what was dropped, which is half at most; from there on nothing is missing.
        false if scenario.theme == Theme::Retention => (0..=stored.len() / 2).any(|begin| match whole {
            true => stored[begin..] == output,
            false => stored[begin..].starts_with(&output),
        }),
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
