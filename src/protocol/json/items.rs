use super::splitter::{Found, Seek};
use super::{FramingError, JsonSplitter};
use serde::de::DeserializeOwned;
use serde_json::Deserializer;

/// Why there is no item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The body is broken: nothing more comes.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// This one message is not JSON, or not of the type asked for. The next call goes on behind it.
    #[error("a message is not of the expected type")]
    Value(#[source] serde_json::Error),
}

impl JsonSplitter {
    /// The next message as a `T`, or `None` until more bytes are pushed.
    ///
    /// Where a message lies in one buffer, it is parsed in place and the parser finds its end. Only a message that
    /// spans buffers, or is no `T`, is searched for its end first.
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
        let Some(Ok(item)) = values.next() else { return Ok(None) };
        let length = values.byte_offset();
        // A number at the buffer's end may go on in the next one. And a type that reads nothing is none that
        // finds the end.
        let delimited = matches!(rest[0], b'{' | b'[' | b'"');
        if length == 0 || (!delimited && length == rest.len()) {
            return Ok(None);
        }
        self.check_size(length)?;
        self.state = self.after_value();
        self.input.advance(length);
        Ok(Some(item))
    }
}
