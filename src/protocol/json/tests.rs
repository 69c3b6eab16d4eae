use super::*;
use crate::protocol::testing::{Random, all_cuts};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

const LIMIT: usize = 1 << 20;

fn split(framing: Framing, pieces: Vec<Bytes>) -> (Vec<Bytes>, Option<FramingError>) {
    let mut splitter = JsonSplitter::new(framing, LIMIT);
    let mut messages = Vec::new();
    let mut drain = |splitter: &mut JsonSplitter| {
        while let Some(message) = splitter.next_message() {
            match message {
                Ok(message) => messages.push(message),
                Err(error) => return Some(error),
            }
        }
        None
    };
    for piece in pieces {
        splitter.push(piece);
        if let Some(error) = drain(&mut splitter) {
            assert_eq!(splitter.next_message(), None);
            return (messages, Some(error));
        }
    }
    splitter.finish();
    let error = drain(&mut splitter);
    assert_eq!(splitter.next_message(), None);
    (messages, error)
}

/// All items, with `None` for a message that is no `T`.
fn items<T: DeserializeOwned>(
    framing: Framing,
    pieces: Vec<Bytes>,
) -> (Vec<Option<T>>, Option<FramingError>) {
    let mut splitter = JsonSplitter::new(framing, LIMIT);
    let mut items = Vec::new();
    let mut drain = |splitter: &mut JsonSplitter| {
        while let Some(item) = splitter.next_item::<T>() {
            match item {
                Ok(item) => items.push(Some(item)),
                Err(ItemError::Value(_)) => items.push(None),
                Err(ItemError::Framing(error)) => return Some(error),
            }
        }
        None
    };
    for piece in pieces {
        splitter.push(piece);
        if let Some(error) = drain(&mut splitter) {
            return (items, Some(error));
        }
    }
    splitter.finish();
    let error = drain(&mut splitter);
    (items, error)
}

#[track_caller]
fn check(framing: Framing, input: &str, expected: &[&str]) {
    for pieces in all_cuts(input.as_bytes()) {
        let shown = format!("{pieces:?}");
        let parsed: Vec<Option<Value>> =
            expected.iter().map(|text| serde_json::from_str(text).ok()).collect();
        assert_eq!(items(framing, pieces.clone()), (parsed, None), "{shown}");
        let (messages, error) = split(framing, pieces);
        assert_eq!(messages, expected, "{shown}");
        assert_eq!(error, None, "{shown}");
    }
}

#[track_caller]
fn check_error(framing: Framing, input: &str, before: usize, expected: &FramingError) {
    for pieces in all_cuts(input.as_bytes()) {
        let shown = format!("{pieces:?}");
        let (values, error) = items::<Value>(framing, pieces.clone());
        assert_eq!((values.len(), error.as_ref()), (before, Some(expected)), "{shown}");
        let (messages, error) = split(framing, pieces);
        assert_eq!((messages.len(), error.as_ref()), (before, Some(expected)), "{shown}");
    }
}

#[test]
fn array_elements_are_messages() {
    check(Framing::Array, "[]", &[]);
    check(Framing::Array, " [ \r\n\t] \n", &[]);
    check(Framing::Array, r#"[{"a":1}]"#, &[r#"{"a":1}"#]);
    check(
        Framing::Array,
        r#"[{"a":1},[1,[2]],"x",3,true,null,-1.5e+3]"#,
        &[r#"{"a":1}"#, "[1,[2]]", "\"x\"", "3", "true", "null", "-1.5e+3"],
    );
    check(Framing::Array, "\n[ { \"a\" : 1 } , 2\t,\r\n\"x\" ]\n", &["{ \"a\" : 1 }", "2", "\"x\""]);
    check(Framing::Array, "[[],{},\"\",[[]],[{}]]", &["[]", "{}", "\"\"", "[[]]", "[{}]"]);
    check(Framing::Array, "[12,34]", &["12", "34"]);
}

#[test]
fn concatenated_texts_are_messages() {
    check(Framing::Texts, "", &[]);
    check(Framing::Texts, " \n", &[]);
    check(Framing::Texts, "{\"a\":1}\n[1,2]\n\"x\"\n3\n", &["{\"a\":1}", "[1,2]", "\"x\"", "3"]);
    check(Framing::Texts, "12 34", &["12", "34"]);
    check(Framing::Texts, "1234", &["1234"]);
    check(
        Framing::Texts,
        "{}{}[][]\"\"\"\"12\"a\"null{}true[]",
        &["{}", "{}", "[]", "[]", "\"\"", "\"\"", "12", "\"a\"", "null", "{}", "true", "[]"],
    );
}

#[test]
fn brackets_and_quotes_inside_strings_do_not_end_a_message() {
    check(
        Framing::Array,
        r#"[{"a":"]}\"[{,"},"],[\"","\\",["\\\\","\\\""],"\\\\\\\"x"]"#,
        &[r#"{"a":"]}\"[{,"}"#, r#""],[\"""#, r#""\\""#, r#"["\\\\","\\\""]"#, r#""\\\\\\\"x""#],
    );
    check(Framing::Array, "[\"é😀]\",{\"日本\":\"}\"}]", &["\"é😀]\"", "{\"日本\":\"}\"}"]);
}

#[test]
fn backslash_at_any_position_of_a_long_message_is_handled() {
    for before in 0..130 {
        for run in 0..5 {
            // After an even run the quote closes the string, after an odd one another must.
            let end = if run % 2 == 0 { "\"" } else { "\\\"]}\"" };
            let message = format!("{{\"{}\":\"{}{end}}}", "x".repeat(before), "\\".repeat(run & !1));
            let input = format!("[{message},1]");
            let at = input.len() - 3 - before % 7;
            let pieces = vec![Bytes::from(input[..at].to_owned()), Bytes::from(input[at..].to_owned())];
            assert_eq!(split(Framing::Array, pieces).0, [&message[..], "1"]);
            assert_eq!(split(Framing::Array, vec![Bytes::from(input)]).0, [&message[..], "1"]);
        }
    }
}

#[test]
fn escape_or_bracket_anywhere_in_a_long_string_is_handled() {
    for inside in ["\\\"", "\\\\", "]}", "é", "\\\\\\\""] {
        for before in (0..70).chain(120..200) {
            let message =
                format!("{{\"a\":\"{}{inside}{}\"}}", "x".repeat(before), "y".repeat(150 - before % 100));
            let input = format!("[{message},{message}]");
            for pieces in [vec![Bytes::from(input.clone())], Random::new(before as u64).cut(input.as_bytes())]
            {
                assert_eq!(split(Framing::Array, pieces), (vec![Bytes::from(message.clone()); 2], None));
            }
        }
    }
}

#[test]
fn deep_nesting_is_one_message() {
    let deep = format!("{}{}", "[{\"a\":".repeat(5000), "}]".repeat(5000)).replace(":}", ":1}");
    let input = format!("[{deep},{deep}]");
    let (messages, error) = split(Framing::Array, vec![Bytes::from(input.clone())]);
    assert_eq!((messages, error), (vec![Bytes::from(deep.clone()), Bytes::from(deep)], None));
    // Too deep for the parser, but each an error of its own.
    assert_eq!(items::<Value>(Framing::Array, vec![Bytes::from(input)]), (vec![None, None], None));
}

#[test]
fn million_brackets_do_not_overflow_the_stack() {
    // As deep as the limit of the size allows.
    for (open, close, depth) in [("[", "]", 1_000_000), ("{\"a\":", "}", 200_000)] {
        let begun = open.repeat(depth);
        let whole = format!("{}1{}", open.repeat(depth / 2), close.repeat(depth / 2));
        for framing in [Framing::Array, Framing::Texts] {
            let body = |message: &str| match framing {
                Framing::Array => vec![Bytes::from(format!("[{message}"))],
                Framing::Texts => vec![Bytes::from(message.to_owned())],
            };
            assert!(matches!(
                items::<Value>(framing, body(&begun)),
                (values, Some(FramingError::Truncated { .. })) if values.is_empty()
            ));
            let mut pieces = body(&whole);
            pieces.extend((framing == Framing::Array).then(|| Bytes::from_static(b"]")));
            // The message is whole, and an error of its own: the parser refuses to nest that deep.
            assert_eq!(items::<Value>(framing, pieces.clone()), (vec![None], None));
            assert_eq!(split(framing, pieces), (vec![Bytes::from(whole.clone())], None));
        }
    }
}

#[test]
fn web_page_is_an_error_at_its_first_byte() {
    for framing in [Framing::Array, Framing::Texts] {
        let mut splitter = JsonSplitter::new(framing, LIMIT);
        splitter.push(Bytes::from_static(b"\n<"));
        assert!(splitter.next_message().unwrap().is_err());
    }
    check_error(Framing::Array, "<html>", 0, &FramingError::NotAnArray { found: b'<' });
    check_error(Framing::Array, "{\"error\":1}", 0, &FramingError::NotAnArray { found: b'{' });
    check_error(Framing::Array, "\u{FEFF}[]", 0, &FramingError::NotAnArray { found: 0xEF });
    check_error(Framing::Texts, "1 <html>", 1, &FramingError::Unexpected { found: b'<', position: 2 });
    assert_eq!(FramingError::NotAnArray { found: b'<' }.to_string(), "expected a JSON array, found '<'");
    assert_eq!(
        FramingError::NotAnArray { found: 0xEF }.to_string(),
        "expected a JSON array, found byte 0xef"
    );
}

#[test]
fn garbage_between_messages_is_an_error() {
    for (input, before, found, position) in [
        ("[1 2]", 1, b'2', 3),
        ("[1,]", 1, b']', 3),
        ("[,1]", 0, b',', 1),
        ("[{}{}]", 1, b'{', 3),
        ("[\"a\":1]", 1, b':', 4),
        ("[1]x", 1, b'x', 3),
        ("[1][2]", 1, b'[', 3),
        ("[1,<]", 1, b'<', 3),
        ("[1}", 1, b'}', 2),
        ("[]]", 0, b']', 2),
    ] {
        check_error(Framing::Array, input, before, &FramingError::Unexpected { found, position });
    }
}

#[test]
fn truncated_body_is_an_error() {
    for (input, before) in [
        ("[", 0),
        ("[ ", 0),
        ("[1", 0),
        ("[1,", 1),
        ("[1 ", 1),
        ("[{\"a\":1}", 1),
        ("[{\"a\":1},{\"a", 1),
        ("[\"x", 0),
        ("[\"x\\\"", 0),
        ("[tru", 0),
    ] {
        check_error(Framing::Array, input, before, &FramingError::Truncated { length: input.len() as u64 });
    }
    for input in ["", " ", "\n\n"] {
        check_error(Framing::Array, input, 0, &FramingError::Empty);
    }
    for (input, before) in [("1 {", 1), ("\"a", 0), ("{}[[]", 1)] {
        check_error(Framing::Texts, input, before, &FramingError::Truncated { length: input.len() as u64 });
    }
}

#[test]
fn random_messages_are_yielded_unchanged_at_any_cut() {
    const PARTS: [&str; 20] = [
        "{\"a\":1}",
        "[1,[2,{\"b\":[]}]]",
        "\"\\\\\\\"]}\"",
        "-12.5e-3",
        "true",
        "null",
        "0",
        "\"\"",
        "{}",
        "[]",
        "{\"k\\\\\":\"v\\\"\"}",
        "\"é😀\\u00e9\"",
        "{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
        "[[[[[[]]]]]]",
        "[\"],[\",\"}{\"]",
        "123456789012345678901234567890",
        "false",
        "\"\\\\\"",
        "[\"\\\\\",\"\\\"\"]",
        "{\"a\":{\"b\":{\"c\":[1,2,3,{\"d\":\"e\"}]}},\"f\":\"ggggggggggggggggggggggg\"}",
    ];
    const SPACES: [&str; 5] = ["", "", " ", "\n", "\r\n\t "];
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let expected: Vec<&str> = (0..random.below(30)).map(|_| random.pick(&PARTS)).collect();
        let space = |random: &mut Random| random.pick(&SPACES).to_owned();
        let (mut array, mut texts) = (space(&mut random) + "[", space(&mut random));
        for (index, message) in expected.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            array += &[comma, &space(&mut random), message, &space(&mut random)].concat();
            texts += &[message, " ", &space(&mut random)].concat();
        }
        array += &("]".to_owned() + &space(&mut random));
        let values: Vec<Option<Value>> =
            expected.iter().map(|text| serde_json::from_str(text).ok()).collect();
        for (framing, input) in [(Framing::Array, array), (Framing::Texts, texts)] {
            for pieces in [random.cut(input.as_bytes()), vec![Bytes::from(input.clone())]] {
                let (messages, error) = split(framing, pieces.clone());
                assert_eq!(messages, expected, "{seed}");
                assert_eq!(error, None, "{seed}");
                assert_eq!(items::<Value>(framing, pieces), (values.clone(), None), "{seed}");
            }
        }
    }
}

#[test]
fn random_bytes_give_equal_results_at_any_cut() {
    const PARTS: [&str; 16] =
        ["[", "]", "{", "}", ",", ":", "\"", "\\", " ", "\n", "1", "-", "true", "e", "<", "é"];
    for seed in 0..5000 {
        let mut random = Random::new(seed);
        let input: String = (0..random.below(40)).map(|_| random.pick(&PARTS)).collect();
        for framing in [Framing::Array, Framing::Texts] {
            let input = if seed % 2 == 0 { format!("[{input}") } else { input.clone() };
            let whole = split(framing, vec![Bytes::from(input.clone())]);
            assert_eq!(split(framing, random.cut(input.as_bytes())), whole, "{input}");
            let values = items::<Value>(framing, vec![Bytes::from(input.clone())]);
            assert_eq!(items::<Value>(framing, random.cut(input.as_bytes())), values, "{input}");
            let parsed: Vec<Option<Value>> = whole.0.iter().map(|m| serde_json::from_slice(m).ok()).collect();
            assert_eq!(values, (parsed, whole.1), "{input}");
        }
    }
}

#[test]
fn item_of_another_type_is_an_error_and_the_next_item_follows() {
    let input = r#"[1,"x",{"a":[1,"]"]},2,300,tru,nulls,4]"#;
    let expected = vec![Some(1), None, None, Some(2), None, None, None, Some(4)];
    for pieces in all_cuts(input.as_bytes()) {
        assert_eq!(items::<u8>(Framing::Array, pieces), (expected.clone(), None));
    }
}

#[test]
fn reset_splitter_behaves_like_a_new_one() {
    let mut used = JsonSplitter::new(Framing::Array, LIMIT);
    for before in ["[1,{\"a", "[\"\\", "[1]", "[1,2,<", "[1]]"] {
        used.push(Bytes::from_static(before.as_bytes()));
        while used.next_message().is_some() {}
        used.push(Bytes::from_static(b"left over"));
        used.finish();
        used.reset();
        used.push(Bytes::from_static(b"[\"}\",[3]]"));
        assert_eq!(used.next_message(), Some(Ok(Bytes::from_static(b"\"}\""))));
        assert_eq!(used.next_message(), Some(Ok(Bytes::from_static(b"[3]"))));
        assert_eq!(used.next_message(), None);
        used.push(Bytes::from_static(b"!"));
        assert_eq!(used.next_message(), Some(Err(FramingError::Unexpected { found: b'!', position: 9 })));
        used.reset();
    }
}

#[test]
fn number_cut_in_two_is_one_message() {
    let mut splitter = JsonSplitter::new(Framing::Texts, LIMIT);
    splitter.push(Bytes::from_static(b"12"));
    assert!(splitter.next_item::<u64>().is_none());
    splitter.push(Bytes::from_static(b"34"));
    assert!(splitter.next_item::<u64>().is_none());
    splitter.finish();
    assert_eq!(splitter.next_item::<u64>().unwrap().unwrap(), 1234);
    assert!(splitter.next_item::<u64>().is_none());
}

/// The messages of all frames, and the error.
fn frames(framing: Framing, pieces: Vec<Bytes>, max_bytes: usize) -> (Vec<Value>, Option<FramingError>) {
    let mut splitter = JsonSplitter::new(framing, LIMIT);
    let mut messages = Vec::new();
    let mut drain = |splitter: &mut JsonSplitter| {
        while let Some(frame) = splitter.next_frame(max_bytes) {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return Some(error),
            };
            let values: Vec<Value> = serde_json::from_slice(&frame.data).unwrap();
            assert_eq!(values.len() as u64, frame.messages);
            assert!(frame.data.len() <= max_bytes || frame.messages == 1);
            messages.extend(values);
        }
        None
    };
    let mut error = None;
    for piece in pieces {
        splitter.push(piece);
        error = error.or(drain(&mut splitter));
    }
    splitter.finish();
    let error = error.or_else(|| drain(&mut splitter));
    assert!(splitter.next_frame(max_bytes).is_none());
    (messages, error)
}

#[test]
fn frames_have_the_same_messages_at_any_cut() {
    let input = "[{\"a\":\"]\\\\\"},12 , [3,[\"]\"]],\n\"text, \\\"}\",{},{\"b\":{\"c\":[]}},null,-1e5]";
    let texts = "{\"a\":1}\n12 [3]\"x\"{}45";
    for max_bytes in [0, 1, 5, 12, 13, 14, 30, 1000] {
        for (framing, input, open) in [(Framing::Array, input, ""), (Framing::Texts, texts, "[")] {
            for pieces in all_cuts(input.as_bytes()) {
                let close = if open.is_empty() { "" } else { "]" };
                let separated = if open.is_empty() { input } else { "{\"a\":1},12,[3],\"x\",{},45" };
                let expected: Vec<Value> =
                    serde_json::from_str(&format!("{open}{separated}{close}")).unwrap();
                assert_eq!(frames(framing, pieces, max_bytes), (expected, None));
            }
        }
    }
}

#[test]
fn frame_is_filled_up_to_its_limit() {
    let mut splitter = JsonSplitter::new(Framing::Array, LIMIT);
    splitter.push(Bytes::from_static(b"[ 1 , [2] ,\"345\",6,7"));
    let frame = |data: &'static str, messages| Some(Ok(Frame { data: data.into(), messages }));
    assert_eq!(splitter.next_frame(7), frame("[1,[2]]", 2));
    assert_eq!(splitter.next_frame(7), frame("[\"345\"]", 1));
    assert_eq!(splitter.next_frame(100), frame("[6]", 1));
    assert_eq!(splitter.next_frame(100), None);
    splitter.push(Bytes::from_static(b"8,9]"));
    assert_eq!(splitter.next_frame(100), frame("[78,9]", 2));
    assert_eq!(splitter.next_frame(100), None);
}

#[test]
fn error_is_returned_after_the_messages_before_it() {
    for (input, messages) in [("[1,2,<", 2), ("[1 2]", 1), ("[1,{}", 2), ("[1,\"", 1), ("<", 0), ("[]]", 0)] {
        for pieces in all_cuts(input.as_bytes()) {
            let (_, expected) = split(Framing::Array, pieces.clone());
            let (values, error) = frames(Framing::Array, pieces, 100);
            assert_eq!((values.len(), &error), (messages, &expected), "{input}");
            assert!(error.is_some());
        }
    }
}

/// A type whose `Deserialize` does not read: the parser cannot find the end for it.
#[derive(Debug, PartialEq)]
struct Nothing;

impl<'de> serde::Deserialize<'de> for Nothing {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[test]
fn type_that_reads_nothing_does_not_stop_the_splitter() {
    let (items, error) = items::<Nothing>(Framing::Array, vec![Bytes::from_static(b"[1,{},\"x\"]")]);
    assert_eq!((items.len(), error), (3, None));
}

#[test]
fn message_in_one_buffer_is_not_copied() {
    let input = Bytes::from(b"[{\"a\":1}, \"text\", 12 ]".to_vec());
    let range = input.as_ptr_range();
    let mut splitter = JsonSplitter::new(Framing::Array, LIMIT);
    splitter.push(input);
    for expected in ["{\"a\":1}", "\"text\"", "12"] {
        let message = splitter.next_message().unwrap().unwrap();
        assert_eq!(message, expected);
        assert!(range.contains(&message.as_ptr()));
    }
    assert_eq!(splitter.carry.copied, 0);
}

#[test]
fn copying_is_linear_in_the_size_of_a_message() {
    for size in [1 << 20, 1 << 24] {
        let big = format!("[\"{0}\",{{\"a\":\"{0}\"}},[{1}1]]", "x".repeat(size), "1,".repeat(size / 2));
        let many = format!("[{}1]", "{\"id\":1,\"text\":\"abc\"},".repeat(size / 23));
        for (input, cost) in [(big, 9 * size), (many, size / 50)] {
            let input = Bytes::from(input);
            for piece in [input.len(), 8192] {
                let mut splitter = JsonSplitter::new(Framing::Array, 2 * size);
                for at in (0..input.len()).step_by(piece) {
                    splitter.push(input.slice(at..(at + piece).min(input.len())));
                    while let Some(message) = splitter.next_message() {
                        message.unwrap();
                    }
                }
                splitter.finish();
                assert_eq!(splitter.next_message(), None);
                let allowed = if piece == input.len() { 0 } else { cost };
                assert!(splitter.carry.copied <= allowed, "{} of {}", splitter.carry.copied, input.len());
            }
        }
    }
}

#[test]
fn message_above_the_limit_is_an_error_and_is_not_kept() {
    for input in ["[0,\"0123456789abcdef\"]", "[0,[1,2,3,4,5,6,7,8,9]]", "[0,01234567890123456]"] {
        let expected = FramingError::TooLarge { limit: 16 };
        for pieces in all_cuts(input.as_bytes()) {
            let mut splitter = JsonSplitter::new(Framing::Array, 16);
            let mut typed = JsonSplitter::new(Framing::Array, 16);
            let (mut messages, mut values) = (Vec::new(), Vec::new());
            for piece in pieces {
                splitter.push(piece.clone());
                typed.push(piece);
                messages.extend(std::iter::from_fn(|| splitter.next_message()));
                values.extend(std::iter::from_fn(|| typed.next_item::<Value>()));
                assert!(splitter.carry.capacity() <= 16);
            }
            assert_eq!(messages, [Ok(Bytes::from_static(b"0")), Err(expected.clone())]);
            assert_eq!(values.len(), 2);
            assert!(matches!(&values[1], Err(ItemError::Framing(error)) if *error == expected));
        }
    }
}

#[test]
fn message_of_exactly_the_limit_is_yielded() {
    for pieces in all_cuts(b"[\"0123456789abcd\",{\"a\":12345678},1]") {
        let mut splitter = JsonSplitter::new(Framing::Array, 16);
        let mut messages = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            messages.extend(std::iter::from_fn(|| splitter.next_message()).map(Result::unwrap));
        }
        assert_eq!(messages, ["\"0123456789abcd\"", "{\"a\":12345678}", "1"]);
    }
}
