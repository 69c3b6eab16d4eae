//! Taking messages of a JSON page: framed in arrays, or one by one as values.

#[cfg(feature = "json")]
use super::page::Arrival;
use super::page::{Content, Invalid, Page, Taken, note_content};
use crate::reader::position::Position;
#[cfg(feature = "json")]
use serde::de::DeserializeOwned;

/// What a page gives when it is asked for one JSON message.
#[cfg(feature = "json")]
pub(super) enum TakenItem<T> {
    /// Nothing until more arrives.
    Pending,
    Item(Result<T, serde_json::Error>),
    /// The page is at its end.
    End,
}

impl Page {
    /// The next messages as an array of at most `max` bytes, and at least one message.
    pub(super) fn take_messages(&mut self, position: &mut Position, max: usize) -> Result<Taken, Invalid> {
        let may_flush = self.may_flush();
        loop {
            self.skip_messages(position)?;
            let Content::Json(json) = &mut self.content else { return Ok(Taken::Pending) };
            // A frame is held back until the splitter has seen what comes after it. Only then is it known to be the page's
            // last, whose position is the next page's start.
            if let Some(frame) = json.held_back.take() {
                let is_last = json.find_end() && may_flush;
                if !is_last && !may_flush && json.splitter.is_drained() {
                    json.held_back = Some(frame);
                    return Ok(Taken::Pending);
                }
                position.advance(frame.messages);
                return Ok(if is_last { Taken::End(Some(frame.data)) } else { Taken::Piece(frame.data) });
            }
            // Nothing is framed before the delivered part was skipped: a frame could span both.
            if position.to_skip() == 0
                && let Some(frame) = json.splitter.next_frame(max)
            {
                let frame = frame?;
                note_content(&mut self.has_content, self.no_advance)?;
                json.held_back = Some(frame);
                continue;
            }
            // The end of the array is the end of the page, even if the body's own end was not seen.
            if json.splitter.at_end() {
                if json.next_body() {
                    continue;
                }
                return Ok(if may_flush { Taken::End(None) } else { Taken::Pending });
            }
            return if self.has_empty_body() { Ok(Taken::End(None)) } else { Ok(Taken::Pending) };
        }
    }

    /// The next message as a `T`.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn take_item<T: DeserializeOwned>(&mut self, position: &mut Position) -> TakenItem<T> {
        self.try_item(position).unwrap_or_else(|invalid| {
            self.invalidate(invalid);
            TakenItem::Pending
        })
    }

    #[cfg(feature = "json")]
    #[inline]
    fn try_item<T: DeserializeOwned>(&mut self, position: &mut Position) -> Result<TakenItem<T>, Invalid> {
        use crate::protocol::json::ItemError;
        loop {
            // Checked here, not only in the callee: this is the path of every message.
            if position.to_skip() > 0 {
                self.skip_messages(position)?;
            }
            // An empty page is one of bytes, whatever the stream is.
            let Content::Json(json) = &mut self.content else {
                return Ok(if self.has_empty_body() { TakenItem::End } else { TakenItem::Pending });
            };
            if position.to_skip() == 0
                && let Some(item) = json.splitter.next_item::<T>()
            {
                let item = match item {
                    Ok(item) => Ok(item),
                    // The message ends where the scanner says, whatever it is: the next one can be read.
                    Err(ItemError::Value(error)) => Err(error),
                    Err(ItemError::Framing(error)) => return Err(error.into()),
                };
                note_content(&mut self.has_content, self.no_advance)?;
                position.advance(1);
                return Ok(TakenItem::Item(item));
            }
            if json.splitter.at_end() {
                if json.next_body() {
                    continue;
                }
                return Ok(TakenItem::End);
            }
            return Ok(if self.has_empty_body() { TakenItem::End } else { TakenItem::Pending });
        }
    }

    /// Whether all that has arrived was taken, and more has to come.
    #[cfg(feature = "json")]
    #[inline]
    pub(super) fn is_input_consumed(&self) -> bool {
        match &self.content {
            Content::Bytes(_) => false,
            Content::Json(json) => matches!(self.arrival, Arrival::Receiving) && json.splitter.is_drained(),
        }
    }

    /// Skips the messages that were delivered before.
    fn skip_messages(&mut self, position: &mut Position) -> Result<(), Invalid> {
        while position.to_skip() > 0 {
            let Content::Json(json) = &mut self.content else { break };
            match json.splitter.next_message() {
                Some(message) => {
                    message?;
                    note_content(&mut self.has_content, self.no_advance)?;
                    position.advance(1);
                }
                None if json.splitter.at_end() && json.next_body() => {}
                // More has to arrive, or the page is at its end and the rest lies in later pages.
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Offset;
    use crate::reader::machine::page::{BodyLength, Boundary};
    use crate::reader::position::Unit;
    use bytes::Bytes;

    #[test]
    fn position_excludes_messages_that_are_held_back() {
        let start = Offset::parse("a");
        let next = Offset::parse("b");
        let boundary = Boundary { next, up_to_date: false, closed: false, more_follows: false, cursor: None };
        let mut page = Page::arriving(boundary, &start, Unit::Messages, BodyLength::Chunked, 100);
        let (mut position, _) = Position::new(&start.into());
        page.push(Bytes::from_static(b"[1,2"));
        assert!(matches!(page.take(&mut position, 100), Taken::Pending));
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a");
        assert!(page.on_input_exhausted());
        assert!(matches!(page.take(&mut position, 100), Taken::Piece(data) if data == "[1]"));
        assert_eq!(position.checkpoint(Unit::Messages).to_string(), "a,m1");
    }
}
