//! What the parser has to agree with. The fuzz target includes this file, too.

use super::{EventName, SseEvent};

/// The standard's text, sentence by sentence, on a whole input. Slow and plain.
pub(super) fn reference(input: &[u8]) -> Vec<SseEvent> {
    let mut rest = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let (mut events, mut kind, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = &rest[..end];
        rest = &rest[end + if rest[end..].starts_with(b"\r\n") { 2 } else { 1 }..];
        if line.is_empty() {
            let kind = std::mem::take(&mut kind);
            let mut data: Vec<u8> = std::mem::take(&mut buffer);
            if data.pop().is_some() {
                let name = match &kind[..] {
                    b"data" => EventName::Data,
                    b"control" => EventName::Control,
                    _ => EventName::Other,
                };
                events.push(SseEvent { event: name, data: data.into() });
            }
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => continue,
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => kind = value.to_vec(),
            b"data" => {
                buffer.extend_from_slice(value);
                buffer.push(b'\n');
            }
            _ => {}
        }
    }
    events
}
