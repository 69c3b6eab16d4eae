//! Live reads: long-polls and event streams.

use super::moment::Moment;
use super::options::ServerOptions;
use super::pending::{Events, Step, Wait};
use super::reply::{CURSOR, Set, UP_TO_DATE, error, status};
use super::server::Model;
use super::stream::Stream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;

impl Model {
    /// The answer to a long-poll, if by now there is one.
    pub fn resume(&mut self, wait: &Wait, at: Moment) -> Option<Response<Bytes>> {
        self.resume_as(wait, at, None)
    }

    pub(super) fn resume_as(
        &mut self,
        wait: &Wait,
        at: Moment,
        condition: Option<&str>,
    ) -> Option<Response<Bytes>> {
        let options = self.options.clone();
        let stream = match self.find(&wait.path) {
            Ok(stream) if stream.id == wait.stream => stream,
            Ok(_) => return Some(error(404, "stream not found")),
            Err(answer) => return Some(answer),
        };
        let closed = stream.closed;
        if wait.start.position < stream.tail() {
            let mut answer = self.page(&wait.path, wait.start, condition);
            if answer.status() != 304 {
                answer.set_number(CURSOR, self.cursor(at, wait.cursor));
            }
            return Some(answer);
        }
        if !closed && at.elapsed < wait.deadline {
            return None;
        }
        let mut answer = status(204);
        answer.set(UP_TO_DATE, "true");
        stream.say_tail(&mut answer, &options);
        if !closed || options.dialect.closed_has_cursor() {
            answer.set_number(CURSOR, self.cursor(at, wait.cursor));
        }
        Some(answer)
    }

    /// What comes next of `events`.
    pub fn step(&mut self, events: &mut Events, at: Moment) -> Step {
        let options = self.page_options();
        let stream = match self.find(&events.path) {
            Ok(stream) if stream.id == events.stream && events.position >= stream.start => stream,
            _ => return Step::End(Bytes::new()),
        };
        let over = at.elapsed >= events.ends_at;
        if over && events.begun {
            return Step::End(Bytes::new());
        }
        let beat = events.next_beat.is_some_and(|beat| at.elapsed >= beat);
        if events.begun && !beat && !stream.has_news(events.position) {
            return Step::Wait(events.next_beat.map_or(events.ends_at, |beat| beat.min(events.ends_at)));
        }
        let end = stream.page_end(events.position, &options);
        let mut out = data_events(stream, events.position, end, &options);
        let (last, closed) = (end == stream.tail(), stream.closed);
        let cursor = self.cursor(at, events.cursor);
        control_event(&mut out, &options, end, cursor, last, closed);
        if options.events_line_end != "\n" {
            out = end_lines(&out, options.events_line_end.as_bytes());
        }
        events.cursor = Some(cursor);
        events.position = end;
        events.begun = true;
        events.next_beat = options.dialect.events_beat().then_some(at.elapsed + options.long_poll);
        match last && closed {
            true => Step::End(out.into()),
            false => Step::Send(out.into()),
        }
    }
}

fn data_events(stream: &Stream, from: usize, end: usize, options: &ServerOptions) -> Vec<u8> {
    let mut out = Vec::new();
    if !options.dialect.event_per_append() {
        data_event(&mut out, stream, from, end, options);
        return out;
    }
    let mut from = from;
    let appends = stream.appends.iter().copied().filter(|append| *append < end).chain([end]);
    for append in appends.collect::<Vec<_>>() {
        if append > from {
            data_event(&mut out, stream, from, append, options);
            from = append;
        }
    }
    out
}

fn data_event(out: &mut Vec<u8>, stream: &Stream, from: usize, end: usize, options: &ServerOptions) {
    if from >= end {
        return;
    }
    let body = stream.frame(from, end);
    out.extend_from_slice(b"event: data\n");
    if stream.json || stream.is_text() {
        for line in lines(&body, options.dialect.doubles_crlf()) {
            out.extend_from_slice(b"data:");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    } else {
        out.extend_from_slice(b"data:");
        out.extend_from_slice(STANDARD.encode(&body).as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// The lines of a text; CRLF is one line's end, or two.
fn lines(text: &[u8], doubled: bool) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut i = 0;
    while i < text.len() {
        if matches!(text[i], b'\n' | b'\r') {
            lines.push(&text[start..i]);
            if !doubled && text[i..].starts_with(b"\r\n") {
                i += 1;
            }
            start = i + 1;
        }
        i += 1;
    }
    lines.push(&text[start..]);
    lines
}

fn control_event(
    out: &mut Vec<u8>,
    options: &ServerOptions,
    end: usize,
    cursor: u64,
    last: bool,
    closed: bool,
) {
    let mut json = format!("{{\"streamNextOffset\":\"{}\"", options.offsets.encode(end as u64));
    let closed = last && closed;
    if !closed {
        json.push_str(&format!(",\"streamCursor\":\"{cursor}\""));
    }
    if last && (!closed || options.dialect.closed_says_up_to_date()) {
        json.push_str(",\"upToDate\":true");
    }
    if closed {
        json.push_str(",\"streamClosed\":true");
    }
    out.extend_from_slice(b"event: control\ndata:");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b"}\n\n");
}

/// The same lines with another end.
fn end_lines(text: &[u8], end: &[u8]) -> Vec<u8> {
    text.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(end)
}

#[cfg(test)]
mod tests {
    use super::{end_lines, lines};

    #[test]
    fn other_line_ends() {
        assert_eq!(end_lines(b"a\nb\n\n", b"\r\n"), b"a\r\nb\r\n\r\n");
    }

    #[test]
    fn line_ends() {
        assert_eq!(lines(b"a\nb\r\nc\rd\n", true), [&b"a"[..], b"b", b"", b"c", b"d", b""]);
        assert_eq!(lines(b"a\nb\r\nc\rd\n", false), [&b"a"[..], b"b", b"c", b"d", b""]);
    }
}
