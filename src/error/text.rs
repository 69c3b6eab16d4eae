//! Text from a server, made fit for a message.

use std::borrow::Cow;

/// The longest token that an error shows whole, in bytes.
const MAX_TOKEN: usize = 256;

/// A server's token as an error shows it: cut after 256 bytes, with its length.
pub(crate) fn truncate_for_display(token: &str) -> Cow<'_, str> {
    if token.len() <= MAX_TOKEN {
        return Cow::Borrowed(token);
    }
    // Not inside a character of several bytes.
    let end = (0..=MAX_TOKEN).rev().find(|&end| token.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}… ({} bytes)", &token[..end], token.len()))
}
