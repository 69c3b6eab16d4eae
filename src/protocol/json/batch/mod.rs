//! Frames messages for a request. Each is encoded once, into the buffer that is sent.
//!
//! A batch of a JSON stream is a `Vec<u8>` that is empty at first. [`push_validated`] appends a message as an array's
//! element and returns where it ends; [`close`] ends the array with one byte more.

#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::IgnoredAny;

/// Appends a message that [`validate`] has returned. Returns its end.
pub fn push_validated(batch: &mut Vec<u8>, text: &[u8]) -> usize {
    batch.push(if batch.is_empty() { b'[' } else { b',' });
    batch.extend_from_slice(text);
    batch.len()
}

/// Ends the array. An empty batch stays empty.
pub fn close(batch: &mut Vec<u8>) {
    if !batch.is_empty() {
        batch.push(b']');
    }
}

/// Cuts a closed array in two after the message that ends at `end`, which must not be the last one.
pub fn split_closed(array: &Bytes, end: usize) -> (Bytes, Bytes) {
    let mut head = BytesMut::with_capacity(end + 1);
    head.put_slice(&array[..end]);
    head.put_u8(b']');
    let mut tail = BytesMut::with_capacity(array.len() - end);
    tail.put_u8(b'[');
    tail.put_slice(&array[end + 1..]);
    (head.freeze(), tail.freeze())
}

/// The message between two ends of an array, closed or not. `previous_end` is 0 for the first message.
pub fn message(array: &Bytes, previous_end: usize, end: usize) -> Bytes {
    array.slice(previous_end + 1..end)
}

/// Appends a text that [`validate`] has returned, and a line feed. Returns the record's end.
pub fn push_validated_line(batch: &mut Vec<u8>, text: &[u8]) -> usize {
    batch.extend_from_slice(text);
    batch.push(b'\n');
    batch.len()
}

/// Checks that `text` is exactly one JSON value in UTF-8, and returns it without the white space around it.
///
/// # Errors
///
/// The JSON parser's error, with the position.
pub fn validate(text: &[u8]) -> Result<&[u8], serde_json::Error> {
    // Skipping a value does not check the UTF-8 of its strings, so the text is checked first.
    match std::str::from_utf8(text) {
        Ok(text) => {
            serde_json::from_str::<IgnoredAny>(text)?;
            Ok(text.trim_matches([' ', '\n', '\r', '\t']).as_bytes())
        }
        Err(error) => {
            Err(serde::de::Error::custom(format_args!("invalid UTF-8 after {} bytes", error.valid_up_to())))
        }
    }
}
