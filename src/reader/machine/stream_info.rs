//! What responses have said about the stream.

use crate::error::{StreamError, truncate_for_display};
use crate::protocol::content_type;
use crate::protocol::content_type::{DEFAULT_CONTENT_TYPE, JSON_CONTENT_TYPE};
use crate::reader::position::{Position, Unit};

/// What is known of the stream.
#[derive(Debug)]
pub(super) struct StreamInfo {
    /// What the checkpoint that the reader started from counts, if it has a count.
    start_unit: Option<Unit>,
    /// The content type that the handle knows, for responses without one.
    assumed_type: Option<String>,
    /// The content type, once a response or content has settled it. It never changes after that.
    content_type: Option<String>,
    /// Follows from `content_type`; a guess before.
    unit: Unit,
    /// The entity tag of the first response.
    pub(super) etag: Option<String>,
    /// The server's last cursor.
    pub(super) cursor: Option<String>,
}

impl StreamInfo {
    pub(super) fn new(start_unit: Option<Unit>, assumed_type: Option<String>) -> Self {
        Self {
            start_unit,
            assumed_type,
            content_type: None,
            unit: start_unit.unwrap_or(Unit::Bytes),
            etag: None,
            cursor: None,
        }
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The content type, or the one that the handle knows.
    pub(super) fn expected_type(&self) -> Option<&str> {
        self.content_type.as_deref().or(self.assumed_type.as_deref())
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Whether events carry the content exactly, or `None` while the type is unknown.
    ///
    /// Text is not exact: a server turns CR into LF, so that bytes cannot be counted.
    pub(super) fn is_exact_in_events(&self) -> Option<bool> {
        self.content_type.as_deref().map(|kind| !content_type::is_text(kind))
    }

    /// Content without a stated type was delivered: from here on the type is the default one for the unit that it was
    /// counted in.
    #[inline]
    pub(super) fn settle_type(&mut self) {
        let unit = self.unit;
        self.content_type.get_or_insert_with(|| match unit {
            Unit::Bytes => DEFAULT_CONTENT_TYPE.to_owned(),
            Unit::Messages => JSON_CONTENT_TYPE.to_owned(),
        });
    }

    /// Remembers the stream's content type, and refuses another one later. `position` is where the reader started.
    pub(super) fn learn_type(
        &mut self,
        content_type: Option<&str>,
        position: &Position,
    ) -> Result<(), StreamError> {
        let Some(known) = &self.content_type else {
            // Some servers leave it out where there is no content.
            let Some(content_type) = content_type.or(self.assumed_type.as_deref()) else { return Ok(()) };
            // The unit is settled together with the type. Nothing was counted before: content settles the type too.
            self.unit = Unit::of(content_type);
            // A checkpoint of another stream, or of one that was recreated: its count would be applied to the wrong thing.
            if let Some(start_unit) = self.start_unit
                && start_unit != self.unit
            {
                let unit = match self.unit {
                    Unit::Bytes => "bytes (OFFSET,bN)",
                    Unit::Messages => "messages (OFFSET,mN)",
                };
                let reason = format!("positions in a stream of {content_type} count {unit}");
                let start = position.checkpoint(start_unit).to_string();
                return Err(StreamError::config("offset", start, reason));
            }
            self.content_type = Some(content_type.to_owned());
            return Ok(());
        };
        match content_type {
            // Types are compared without parameters and case.
            Some(got) if !content_type::same(got, known) => Err(StreamError::Recreated {
                evidence: format!(
                    "its content type was {} and is {} now",
                    truncate_for_display(known),
                    truncate_for_display(got)
                ),
            }),
            _ => Ok(()),
        }
    }
}
