#![no_main]

mod pieces;

use bytes::Bytes;
use durable_streams::__internals::{Framing, FramingError, ItemError, JsonSplitter};
use libfuzzer_sys::fuzz_target;
use pieces::Input;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

type Collected<T> = (Vec<T>, Option<FramingError>);

/// Everything that `next` gives for a body in pieces, up to its first error.
fn drive<T>(
    framing: Framing,
    limit: usize,
    pieces: Vec<Bytes>,
    mut next: impl FnMut(&mut JsonSplitter) -> Option<Result<T, FramingError>>,
) -> Collected<T> {
    let mut splitter = JsonSplitter::new(framing, limit);
    if let Some(piece) = pieces.first() {
        // What is left of a body that was given up must not show in the next one.
        splitter.push(piece.clone());
        splitter.push(piece.clone());
        let _ = splitter.next_message();
        splitter.reset();
    }
    let (mut all, mut failure) = (Vec::new(), None);
    let mut drain = |splitter: &mut JsonSplitter| {
        while let Some(result) = next(splitter) {
            match result {
                Ok(one) => {
                    assert!(failure.is_none());
                    all.push(one);
                }
                Err(error) => assert!(failure.replace(error).is_none()),
            }
        }
    };
    for piece in pieces {
        splitter.push(piece);
        drain(&mut splitter);
    }
    splitter.finish();
    drain(&mut splitter);
    (all, failure)
}

fn messages(framing: Framing, limit: usize, pieces: Vec<Bytes>) -> Collected<Bytes> {
    drive(framing, limit, pieces, JsonSplitter::next_message)
}

/// `None` stands for a message that is no JSON.
fn items(framing: Framing, limit: usize, pieces: Vec<Bytes>) -> Collected<Option<Value>> {
    drive(framing, limit, pieces, |splitter| match splitter.next_item() {
        Some(Ok(item)) => Some(Ok(Some(item))),
        Some(Err(ItemError::Value(_))) => Some(Ok(None)),
        Some(Err(ItemError::Framing(error))) => Some(Err(error)),
        None => None,
    })
}

/// The content of all frames, one array without its brackets, and the number of messages.
fn frames(
    framing: Framing,
    limit: usize,
    pieces: Vec<Bytes>,
    max_bytes: usize,
) -> (Vec<u8>, u64, Option<FramingError>) {
    let (frames, error) = drive(framing, limit, pieces, |splitter| splitter.next_frame(max_bytes));
    let mut content = Vec::new();
    for frame in &frames {
        assert!(frame.messages == 1 || frame.data.len() <= max_bytes);
        if !content.is_empty() {
            content.push(b',');
        }
        content.extend_from_slice(&frame.data[1..frame.data.len() - 1]);
    }
    (content, frames.iter().map(|frame| frame.messages).sum(), error)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// What serde_json says about a body that is one array.
fn check_array(body: &[u8], (messages, error): &Collected<Bytes>) {
    let valid = serde_json::from_slice::<Vec<IgnoredAny>>(body).is_ok();
    assert_eq!(valid, error.is_none() && messages.iter().all(|message| is_json(message)));
    if let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(body) {
        let elements: Vec<&str> = elements.into_iter().map(RawValue::get).collect();
        assert_eq!(messages, &elements);
    }
}

/// What serde_json says about a body of texts one after the other.
fn check_texts(body: &[u8], (messages, error): &Collected<Bytes>) {
    let texts: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_slice(body).into_iter().collect();
    if let Ok(texts) = texts {
        let texts: Vec<&str> = texts.into_iter().map(RawValue::get).collect();
        assert_eq!(messages, &texts);
        assert_eq!(error, &None);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    for framing in [Framing::Array, Framing::Texts] {
        let whole = messages(framing, input.limit, input.whole());
        assert_eq!(messages(framing, input.limit, input.pieces()), whole);

        let parsed: Vec<Option<Value>> =
            whole.0.iter().map(|text| serde_json::from_slice(text).ok()).collect();
        let expected = (parsed, whole.1.clone());
        assert_eq!(items(framing, input.limit, input.whole()), expected);
        assert_eq!(items(framing, input.limit, input.pieces()), expected);

        let expected = (whole.0.join(&b','), whole.0.len() as u64, whole.1.clone());
        for max_bytes in [0, 20, 1 << 20] {
            assert_eq!(frames(framing, input.limit, input.pieces(), max_bytes), expected);
        }

        if input.limit > input.body.len() {
            match framing {
                Framing::Array => check_array(input.body, &whole),
                Framing::Texts => check_texts(input.body, &whole),
            }
        }
    }
});
