//! Messages as typed values.

use super::framing::FramingError;
use super::splitter::{Found, JsonSplitter, Seek};
use serde::de::DeserializeOwned;
use serde_json::Deserializer;

/// Why a message is not an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The body is broken. There are no more items.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// This message is not JSON, or not of the requested type. The next call continues after it.
    #[error("a message is not of the expected type")]
    Value(#[source] serde_json::Error),
}

impl JsonSplitter {
    /// The next message as a `T`, or `None` until more bytes are pushed.
    ///
    /// A message that lies in one buffer is parsed in place, and the parser finds its end. Only for a message that
    /// spans buffers, or is not a `T`, the end is searched first.
    pub fn next_item<T: DeserializeOwned>(&mut self) -> Option<Result<T, ItemError>> {
        self.item().transpose()
    }

    fn item<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ItemError> {
        loop {
            let found = match self.seek()? {
                Seek::Nothing => return Ok(None),
                Seek::Last => Found::Carried,
                Seek::Value(kind) => {
                    if self.carry.is_empty()
                        && let Some(item) = self.item_in_place()?
                    {
                        return Ok(Some(item));
                    }
                    match self.scan(kind)? {
                        Some(found) => found,
                        None => continue,
                    }
                }
            };
            let item = match found {
                Found::Here(length) => {
                    let item = serde_json::from_slice(&self.input.rest()[..length]);
                    self.input.advance(length);
                    item
                }
                Found::Carried => {
                    let item = serde_json::from_slice(self.carry.as_slice());
                    self.carry.clear();
                    item
                }
            };
            return item.map(Some).map_err(ItemError::Value);
        }
    }

    /// Parses the message under the cursor, if it is whole and a `T`.
    #[inline]
    fn item_in_place<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FramingError> {
        let rest = self.input.rest();
        let mut values = Deserializer::from_slice(rest).into_iter::<T>();
        // Incomplete, or not a `T`: the slow path decides which.
        let Some(Ok(item)) = values.next() else { return Ok(None) };
        let length = values.byte_offset();
        // A number at the end of the buffer may continue in the next one. A type that reads nothing does not find the
        // end of the message.
        let delimited = matches!(rest[0], b'{' | b'[' | b'"');
        if length == 0 || (!delimited && length == rest.len()) {
            return Ok(None);
        }
        // The limit holds for messages in one buffer too.
        self.check_size(length)?;
        self.state = self.after_value();
        self.input.advance(length);
        Ok(Some(item))
    }
}
