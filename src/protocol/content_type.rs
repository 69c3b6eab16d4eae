//! What the client derives from a content type.

/// The content type of a stream that names none.
pub(crate) const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";
/// The content type of streams whose positions count messages.
pub(crate) const JSON_CONTENT_TYPE: &str = "application/json";

/// The type without its parameters. A proxy may have joined two equal headers to a list.
fn essence(content_type: &str) -> &str {
    content_type.split([';', ',']).next().unwrap_or_default().trim()
}

/// Whether a stream of this type consists of JSON messages (protocol §9.1).
pub(crate) fn is_json(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case("application/json")
}

/// Whether an event stream carries this type as plain text, which is not exact to the byte.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case("text/"))
}

/// Whether a response of this type is an event stream.
pub(crate) fn is_event_stream(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case("text/event-stream")
}

/// Whether two types are equal without their parameters.
pub(crate) fn same(a: &str, b: &str) -> bool {
    essence(a).eq_ignore_ascii_case(essence(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_are_ignored() {
        assert!(is_json("Application/JSON; charset=utf-8") && !is_json("application/json-seq"));
        assert!(is_text("TEXT/plain") && !is_text("text") && !is_text("texté"));
        assert!(is_event_stream("text/event-stream;charset=utf-8"));
        assert!(same("a/b; x=1", "A/B") && !same("a/b", "a/c"));
        assert!(is_json("application/json, application/json") && is_json("application/json;,text/html"));
    }
}
