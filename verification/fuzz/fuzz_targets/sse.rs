#![no_main]

mod pieces;
#[path = "../../../src/protocol/sse/reference.rs"]
mod reference;

use bytes::Bytes;
use durable_streams::__internals::{Control, EventName, EventTooLarge, SseEvent, SseParser, decode};
use libfuzzer_sys::fuzz_target;
use pieces::Input;

fn parse(limit: usize, pieces: Vec<Bytes>) -> Vec<Result<SseEvent, EventTooLarge>> {
    let mut parser = SseParser::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece);
        events.extend(std::iter::from_fn(|| parser.next_event()));
    }
    events
}

/// What the reference says, up to the first event that is too large. One that is never finished may be too large as
/// well, and the reference does not show it: then only what comes before can be compared.
fn check_reference(limit: usize, body: &[u8], events: &[Result<SseEvent, EventTooLarge>]) {
    let expected = reference::reference(body);
    for (index, event) in events.iter().enumerate() {
        match event {
            Ok(event) => assert_eq!(Some(event), expected.get(index)),
            Err(_) => assert!(expected.get(index).is_none_or(|event| event.data.len() > limit)),
        }
    }
    if events.iter().all(Result::is_ok) {
        assert_eq!(events.len(), expected.len());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let whole = parse(input.limit, input.whole());
    assert_eq!(parse(input.limit, input.pieces()), whole);
    check_reference(input.limit, input.body, &whole);
    for event in whole.into_iter().flatten() {
        assert!(event.data.len() <= input.limit);
        if event.event == EventName::Control {
            let _ = Control::parse(&event.data);
        } else {
            let _ = decode(&event.data);
        }
    }
});
