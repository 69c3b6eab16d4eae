//! Framing messages for a request: each is encoded once, straight into the buffer that is sent.
//!
//! A batch of a JSON stream is a `Vec<u8>` that is empty at first. `push_value` and [`push_raw`] append a message as
//! an array's element and return where it ends; [`close`] ends the array with one byte more.

#[cfg(test)]
#[cfg(feature = "json")]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
#[cfg(feature = "json")]
use serde::Serialize;
use serde::de::IgnoredAny;

/// Appends `value` to the array that `batch` holds, and returns the batch's length then: the message's end.
/// [`close`] adds one byte to it.
///
/// # Errors
///
/// `value` does not serialise; `batch` is as before.
#[cfg(feature = "json")]
pub fn push_value<T: Serialize + ?Sized>(batch: &mut Vec<u8>, value: &T) -> Result<usize, serde_json::Error> {
    let element = Element::begin(batch);
    serde_json::to_writer(&mut *element.batch, value)?;
    Ok(element.commit())
}

/// Appends a message that is JSON text already, as it is but for the white space around it. An array stays
/// one message. Returns the message's end.
///
/// # Errors
///
/// `text` is not one JSON value in UTF-8; `batch` is as before.
pub fn push_raw(batch: &mut Vec<u8>, text: &[u8]) -> Result<usize, serde_json::Error> {
    let text = validate(text)?;
    let element = Element::begin(batch);
    element.batch.extend_from_slice(text);
    Ok(element.commit())
}

/// Appends a message that [`validate`] has returned. Returns its end.
pub fn push_validated(batch: &mut Vec<u8>, text: &[u8]) -> usize {
    let element = Element::begin(batch);
    element.batch.extend_from_slice(text);
    element.commit()
}

/// Ends the array. An empty batch stays empty.
pub fn close(batch: &mut Vec<u8>) {
    if !batch.is_empty() {
        batch.push(b']');
    }
}

/// Takes the messages behind `end`, a message's end, out of an array that is not closed yet, and returns them as a
/// batch of their own, not closed either: for a message that turned out not to fit.
pub fn split_off(batch: &mut Vec<u8>, end: usize) -> Vec<u8> {
    let mut tail = batch.split_off(end);
    if let Some(comma) = tail.first_mut() {
        *comma = b'[';
    }
    tail
}

/// Cuts a closed array in two after the message that ends at `end`, which must not be the last one's end.
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

/// One array of these messages.
pub fn frame_array<M: AsRef<[u8]>>(messages: &[M]) -> Bytes {
    let content: usize = messages.iter().map(|message| message.as_ref().len() + 1).sum();
    let mut array = BytesMut::with_capacity(content.max(1) + 1);
    array.put_u8(b'[');
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            array.put_u8(b',');
        }
        array.put_slice(message.as_ref());
    }
    array.put_u8(b']');
    array.freeze()
}

/// Appends `value` and a line feed: how JSON is written to streams that are not JSON. Returns the record's end.
///
/// # Errors
///
/// `value` does not serialise; `batch` is as before.
#[cfg(feature = "json")]
pub fn push_line<T: Serialize + ?Sized>(batch: &mut Vec<u8>, value: &T) -> Result<usize, serde_json::Error> {
    let line = Element { start: batch.len(), batch, keep: false };
    serde_json::to_writer(&mut *line.batch, value)?;
    line.batch.push(b'\n');
    Ok(line.commit())
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
/// What is wrong with it, and where.
pub fn validate(text: &[u8]) -> Result<&[u8], serde_json::Error> {
    // Skipping a value does not look into its strings; parsing from a `str` vouches for them.
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

/// An element that is being written. Dropped before it is committed, also by a panic in a user's `Serialize`, it
/// leaves no trace.
struct Element<'a> {
    batch: &'a mut Vec<u8>,
    start: usize,
    keep: bool,
}

impl<'a> Element<'a> {
    #[inline]
    fn begin(batch: &'a mut Vec<u8>) -> Self {
        let start = batch.len();
        batch.push(if start == 0 { b'[' } else { b',' });
        Self { batch, start, keep: false }
    }

    #[inline]
    fn commit(mut self) -> usize {
        self.keep = true;
        self.batch.len()
    }
}

impl Drop for Element<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.keep {
            self.batch.truncate(self.start);
        }
    }
}
