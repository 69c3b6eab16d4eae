//! The base64 of binary data events (protocol §5.8). Each event is encoded separately.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Data that is not standard base64 (RFC 4648, with padding).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid base64 in a data event: {message}")]
pub struct InvalidBase64 {
    message: String,
}

/// Decodes the data of one event. The server may have split its text into lines at any position.
///
/// # Errors
///
/// [`InvalidBase64`] if a character is not in the alphabet, or the padding is wrong.
pub fn decode(data: &[u8]) -> Result<Bytes, InvalidBase64> {
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', data).peekable();
    let decoded = if ends.peek().is_none() {
        STANDARD.decode(data)
    } else {
        // Line ends are dropped; any other foreign byte is an error of the decoder.
        let mut text = Vec::with_capacity(data.len());
        let mut start = 0;
        for end in ends.chain([data.len()]) {
            text.extend_from_slice(&data[start..end]);
            start = end + 1;
        }
        STANDARD.decode(text)
    };
    decoded.map(Bytes::from).map_err(|error| InvalidBase64 { message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_split_into_lines_at_any_position_is_decoded() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = STANDARD.encode(&bytes);
        for at in 0..=text.len() {
            for line_end in ["\n", "\r\n", "\r", "\n\n"] {
                let cut = format!("{}{line_end}{}", &text[..at], &text[at..]);
                assert_eq!(decode(cut.as_bytes()).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn example_of_the_protocol_is_decoded() {
        assert_eq!(decode(b"AQIDBAUG\nBwgJCg==").unwrap(), (1..=10).collect::<Vec<u8>>());
    }

    #[test]
    fn empty_data_decodes_to_nothing() {
        assert!(decode(b"").unwrap().is_empty());
        assert!(decode(b"\n").unwrap().is_empty());
    }

    #[test]
    fn nonstandard_base64_is_refused() {
        for text in
            ["AQI", "AQ=", "AQ", "A", "====", "AQ==AQ==", "AR==", "AQ I", "-_-_", "AQID\0", " AQID", "AQID="]
        {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
