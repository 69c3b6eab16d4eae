//! Checks of the requests: their number, times and sizes.

use crate::scenario::{Failure, Scenario, Theme, WriteMode};
use durable_streams_sim::{Event, Fault, Gateway, Incident, PORTAL, RequestRecord, RetryAfter};
use http::Method;
use std::collections::BTreeMap;
use std::time::Duration;

/// The first violation among the requests of a run.
pub(crate) fn check(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    max_pause(scenario, requests)?;
    patience(scenario, requests)?;
    finality(scenario, requests)?;
    connections(requests)?;
    dead_connections(scenario, requests)?;
    uploads(scenario, requests)?;
    cursors(scenario, requests)?;
    sizes(scenario, requests)?;
    too_large(scenario, requests)?;
    in_flight(scenario, requests)
}

const WINDOW: Duration = Duration::from_secs(3);

/// Failures of which none is followed by a success, in that time: twice as many as the default backoff ever makes,
/// since a producer's question for the tail and its batch are tried each by itself.
const IN_VAIN: usize = 32;

/// Successes without anything new, in that time: starts after crashes, long-polls that a server ends early.
const IDLE: usize = 24;

/// Refusals for a batch that came too early, or under an old epoch, beyond two for each that was accepted.
const DISORDER: usize = 10;

/// No client floods the server. In three seconds there are few more failures than successes, and few more successes
/// than there is work; and a producer is not refused for its numbers again and again.
fn max_pause(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    let mut by_host: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    for request in requests {
        by_host.entry(request.uri.host().unwrap_or_default()).or_default().push(request);
    }
    let appends = |from: Duration, to: Duration| {
        requests.iter().filter(|r| r.method == Method::POST && r.at >= from && r.at <= to).count()
    };
    // A redirect leads several clients to it.
    by_host.remove(PORTAL);
    for (host, requests) in by_host {
        let writer = writer_of(requests[0]).map(|writer| &scenario.writers[writer]);
        if writer.is_some_and(|writer| matches!(writer.write_mode, WriteMode::Single)) {
            // Each append retries on its own.
            continue;
        }
        let (mut first, mut window, mut all) = (0, Tally::default(), Tally::default());
        for request in &requests {
            window.add(request);
            all.add(request);
            while request.at - requests[first].at > WINDOW {
                window.remove(requests[first]);
                first += 1;
            }
            if window.failed > IN_VAIN + window.succeeded {
                return Err(format!(
                    "{host} failed {} times in the 3 s before {:?}",
                    window.failed, request.at
                ));
            }
            if all.out_of_order > DISORDER + 2 * all.succeeded {
                return Err(format!("{host} was refused {} times for its numbers", all.out_of_order));
            }
            let most = IDLE + writer.map_or_else(|| pages(scenario, host), |writer| 3 * (writer.records + 1));
            if window.succeeded > most {
                let work = appends(requests[first].at.saturating_sub(WINDOW), request.at);
                if window.succeeded > most + 2 * work {
                    let many = window.succeeded;
                    return Err(format!(
                        "{host} was answered {many} times in the 3 s before {:?}",
                        request.at
                    ));
                }
            }
        }
    }
    Ok(())
}

/// How requests ended.
#[derive(Default)]
struct Tally {
    /// Or refused for their size, which makes the next one smaller.
    succeeded: usize,
    failed: usize,
    /// Refused for their numbers: the next attempt needs no pause.
    out_of_order: usize,
}

impl Tally {
    fn add(&mut self, request: &RequestRecord) {
        *self.count(request) += 1;
    }

    fn remove(&mut self, request: &RequestRecord) {
        *self.count(request) -= 1;
    }

    fn count(&mut self, request: &RequestRecord) -> &mut usize {
        match request.status.map(|status| status.as_u16()) {
            Some(200..=399 | 413) => &mut self.succeeded,
            Some(403 | 409) => &mut self.out_of_order,
            _ => &mut self.failed,
        }
    }
}

/// The longest that a client waits when it is asked to, in seconds.
const MAX_RETRY_AFTER: u32 = 300;

/// A client that is asked to wait does so: a reader, and a producer that sends one batch at a time.
fn patience(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    for failure in &scenario.failures {
        let Failure::World(Event::Request(
            number,
            Fault::Status { status, retry_after, .. }
            | Fault::Gateway(Gateway::Status { status, retry_after }),
        )) = failure
        else {
            continue;
        };
        let Some(RetryAfter::Seconds(seconds)) = retry_after else { continue };
        let seconds = seconds.min(&MAX_RETRY_AFTER);
        let Some(asked) = requests.get(*number as usize) else { continue };
        let alone = writer_of(asked).is_none_or(|writer| {
            matches!(scenario.writers[writer].write_mode, WriteMode::Producer { in_flight: 1, .. })
        });
        let (Some(at), true) = (asked.ended_at, alone && asked.status.is_some_and(|s| s == *status)) else {
            continue;
        };
        let host = asked.uri.host();
        let until = at + Duration::from_secs(u64::from(*seconds));
        let later = &requests[*number as usize + 1..];
        let next = later.iter().find(|next| next.uri.host() == host && next.at >= at);
        if let Some(next) = next.filter(|next| next.at < until) {
            let host = host.unwrap_or_default();
            return Err(format!("{host} was asked to wait until {until:?}, and came at {:?}", next.at));
        }
    }
    Ok(())
}

/// Statuses that end a producer, whatever its options. A 404 or 410 about a stream that was there is asked again, past caches.
const FINAL: [u16; 2] = [401, 403];

/// A producer that was refused finally sends nothing more, once it has received the whole refusal.
fn finality(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    // While time passes in a task, it may send one request more before it looks at the refusal.
    if scenario.network.in_pieces > 0 || scenario.drift > 0 {
        return Ok(());
    }
    for failure in &scenario.failures {
        let Failure::World(Event::Request(number, Fault::Status { status, .. })) = failure else { continue };
        let Some(refused) = requests.get(*number as usize).filter(|_| FINAL.contains(status)) else {
            continue;
        };
        let is_append = |request: &RequestRecord| {
            request.method == Method::POST
                && writer_of(request).is_some_and(|writer| {
                    matches!(scenario.writers[writer].write_mode, WriteMode::Producer { .. })
                })
        };
        let (Some(at), true) = (refused.ended_at, refused.status.is_some_and(|s| s == *status)) else {
            continue;
        };
        let host = refused.uri.host();
        let later = requests[*number as usize + 1..].iter().find(|later| {
            is_append(refused) && is_append(later) && later.uri.host() == host && later.at > at
        });
        if let Some(later) = later {
            let host = host.unwrap_or_default();
            return Err(format!("{host} was refused for good at {at:?}, and appends at {:?}", later.at));
        }
    }
    Ok(())
}

/// A client leaves a connection on which a request failed with a status that may be the connection's fault.
fn connections(requests: &[RequestRecord]) -> Result<(), String> {
    let mut failed: BTreeMap<u64, Duration> = BTreeMap::new();
    for request in requests {
        if failed.get(&request.connection).is_some_and(|at| request.at > *at) {
            let host = request.uri.host().unwrap_or_default();
            return Err(format!("{host} uses a connection again that failed, at {:?}", request.at));
        }
        if let (Some(500..=599 | 421), Some(at)) = (request.status.map(|s| s.as_u16()), request.ended_at) {
            failed.insert(request.connection, at);
        }
    }
    Ok(())
}

/// The default header timeout.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// After one timeout on a connection that the network has forgotten, a client uses none of those that were idle then.
fn dead_connections(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    let mut timed_out: BTreeMap<&str, (Duration, Duration)> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.is_silent) {
        let host = request.uri.host().unwrap_or_default();
        let silenced_again = |since: Duration| {
            scenario.failures.iter().any(|failure| {
                matches!(failure, Failure::World(Event::At(at, Incident::SilenceIdle)) if *at > since && *at <= request.at)
            })
        };
        if let Some((began, ended)) = timed_out.get(host)
            && *ended < request.at
            && !silenced_again(*began)
        {
            return Err(format!("{host} uses a dead connection at {:?}, after a timeout", request.at));
        }
        if let Some(ended) = request.ended_at.filter(|ended| *ended - request.at >= HEADER_TIMEOUT) {
            timed_out.entry(host).or_insert((request.at, ended));
        }
    }
    Ok(())
}

/// The upload of a smaller body is not watched.
const WATCHED: usize = 16 * 1024;

/// An upload that goes on is not given up, where the transport counts it.
fn uploads(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    if scenario.theme != Theme::SlowUplink || !scenario.network.counts_uploads {
        return Ok(());
    }
    for (number, request) in requests.iter().enumerate().filter(|(_, r)| r.method == Method::POST) {
        let has_fault = scenario.failures.iter().any(|failure| {
            matches!(failure, Failure::World(Event::Request(faulty, _)) if *faulty == number as u64)
        });
        let writer = writer_of(request).map(|writer| &scenario.writers[writer]);
        let may_drop = writer.is_none_or(|writer| writer.poll_timeout.is_some());
        if request.status.is_none() && request.body >= WATCHED && !has_fault && !may_drop {
            return Err(format!("the upload of request {number} was given up"));
        }
    }
    Ok(())
}

/// A reader sends the cursor of an empty long-poll back with its next live request.
fn cursors(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    if scenario.theme == Theme::Recreation {
        // A stream that was created again has no cursor yet.
        return Ok(());
    }
    let mut has_cursor: BTreeMap<&str, bool> = BTreeMap::new();
    for request in requests {
        let query = request.uri.query().unwrap_or_default();
        if !query.contains("live=") {
            continue;
        }
        let host = request.uri.host().unwrap_or_default();
        let has_cursor = has_cursor.entry(host).or_default();
        if *has_cursor && !query.contains("cursor=") {
            return Err(format!("{host} asks for news without a cursor at {:?}", request.at));
        }
        *has_cursor |= query.contains("live=long-poll") && request.status.is_some_and(|status| status == 204);
    }
    Ok(())
}

/// How many pages a stream may have been read in, over several reads.
fn pages(scenario: &Scenario, host: &str) -> usize {
    let number: usize =
        host.trim_start_matches("reader").split('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let stream = scenario.readers[number].stream;
    let writers = scenario.writers.iter().filter(|writer| writer.stream == stream);
    let written: usize = writers.map(|writer| (writer.records + 1) * (writer.size + 24)).sum();
    let bytes = written + scenario.initial_states[stream].records * 48;
    // A page that varies may be much smaller than its limit.
    let page_bytes = match scenario.server.page_varies {
        true => scenario.server.page_bytes.min(1000) / 8,
        false => scenario.server.page_bytes,
    };
    8 * bytes / page_bytes.clamp(1, 1 << 30)
        + 16 * bytes / 24 / scenario.server.page_messages.clamp(1, 1 << 30)
}

/// No body is larger than a batch may be, unless it is one record.
fn sizes(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    for request in requests.iter().filter(|request| request.method == Method::POST) {
        let Some(number) = writer_of(request) else { continue };
        let writer = &scenario.writers[number];
        if let WriteMode::Producer { batch_bytes, .. } = writer.write_mode {
            let record = writer.size + 40;
            if request.body > batch_bytes.max(record) {
                return Err(format!("a body of {} bytes, with batches of {batch_bytes}", request.body));
            }
        }
    }
    Ok(())
}

/// Bodies that a producer sends in vain while it learns a size limit: halves of the first ones, and of each that was in flight.
const TRIED: usize = 12;

/// A producer that was refused for the size of its bodies sends smaller ones.
fn too_large(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    if scenario.theme != Theme::SizeLimit {
        return Ok(());
    }
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.status.is_some_and(|status| status == 413)) {
        let is_producer = writer_of(request)
            .is_some_and(|writer| matches!(scenario.writers[writer].write_mode, WriteMode::Producer { .. }));
        let host = request.uri.host().unwrap_or_default();
        let refused = refused.entry(host).or_default();
        *refused += usize::from(is_producer);
        if *refused > TRIED {
            return Err(format!("{host} was refused {refused} times for the size of its bodies"));
        }
    }
    Ok(())
}

/// No more batches are in flight than configured.
fn in_flight(scenario: &Scenario, requests: &[RequestRecord]) -> Result<(), String> {
    let mut travelling: BTreeMap<&str, Vec<Option<Duration>>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method == Method::POST) {
        let Some(number) = writer_of(request) else { continue };
        let most = match scenario.writers[number].write_mode {
            WriteMode::Producer { in_flight, .. } => in_flight,
            WriteMode::Single => 1,
        };
        let host = travelling.entry(request.uri.host().unwrap_or_default()).or_default();
        host.retain(|ended| ended.is_none_or(|ended| ended > request.at));
        host.push(request.ended_at);
        if host.len() > most {
            return Err(format!("{} batches at once at {:?}, of at most {most}", host.len(), request.at));
        }
    }
    Ok(())
}

fn writer_of(request: &RequestRecord) -> Option<usize> {
    request.uri.host()?.strip_prefix("writer")?.split('-').next()?.parse().ok()
}
