//! What is handed out, and when.

use super::*;

/// A reader by events that listens already.
fn listening(content_type: &'static str) -> Rig {
    listening_with(options(LiveMode::Sse), content_type)
}

fn listening_with(options: Options, content_type: &'static str) -> Rig {
    let mut rig = Rig::knowing(options, content_type);
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    rig.events();
    rig
}

#[test]
fn data_is_held_until_its_control_event() {
    for broken in [false, true] {
        let mut rig = listening(JSON);
        rig.data("[1]");
        rig.is_quiet();
        rig.data("[2,3]");
        rig.is_quiet();
        assert_eq!(rig.machine.status().checkpoint.to_string(), "a0");
        // Nobody vouches for it: it is dropped.
        if broken {
            rig.break_off()
        } else {
            rig.end()
        }
        assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
        rig.events();
        rig.data("[1]");
        rig.data("[2,3]");
        rig.control("a3", ",\"upToDate\":true");
        assert_eq!(rig.gives(), ("[1]".into(), "a0,m1".into()));
        let last = rig.chunk();
        assert_eq!((&last.data[..], last.checkpoint.to_string().as_str()), (&b"[2,3]"[..], "a3"));
        assert!(last.up_to_date);
        rig.is_quiet();
    }
}

#[test]
fn an_event_without_its_blank_line_is_none() {
    let mut rig = listening(JSON);
    rig.data("[1]");
    rig.bytes("event: control\ndata: {\"streamNextOffset\":\"a1\"}\n");
    rig.end();
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
}

#[test]
fn cut_anywhere_it_is_the_same() {
    let text = "\u{FEFF}: hello\r\nevent: data\r\ndata: [\"é\",\r\ndata: 2]\r\n\r\n\
                event: control\ndata: {\"streamNextOffset\":\"a1\"}\n\n";
    for cut in 0..text.len() {
        let mut rig = listening(JSON);
        for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            rig.machine.on_bytes(Bytes::copy_from_slice(part), rig.now);
            if part.len() < text.len() && part == &text.as_bytes()[..cut] {
                rig.is_quiet();
            }
        }
        assert_eq!(rig.gives(), ("[\"é\",2]".into(), "a1".into()), "cut at {cut}");
    }
}

#[test]
fn each_base64_event_is_decoded_by_itself() {
    let mut rig = listening(BINARY);
    rig.data("AQ==");
    rig.data("AgM=");
    rig.control("a1", "");
    assert_eq!(rig.gives(), ("\u{1}".into(), "a0,b1".into()));
    assert_eq!(rig.gives(), ("\u{2}\u{3}".into(), "a1".into()));
    rig.data("!");
    assert!(matches!(rig.fails().kind(), StreamError::Protocol { .. }));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a1");
}

#[test]
fn text_from_events_is_cut_at_control_events_alone() {
    let small = Options { max_chunk_bytes: 2, ..options(LiveMode::Sse) };
    let mut rig = listening_with(small, TEXT);
    rig.data("abc");
    rig.data("def");
    rig.control("a1", "");
    assert_eq!(rig.gives(), ("abcdef".into(), "a1".into()));
}

#[test]
fn a_page_is_handed_on_as_it_arrives() {
    let small = Options { max_chunk_bytes: 4, ..options(LiveMode::Off) };
    let mut rig = Rig::new(small, TEXT);
    rig.request();
    rig.page_head("a1", &[("content-length", "11"), ("stream-up-to-date", "true")]);
    rig.is_quiet();
    rig.bytes("0123456");
    assert_eq!(rig.gives(), ("0123".into(), "a0,b4".into()));
    let second = rig.chunk();
    assert_eq!((&second.data[..], second.checkpoint.to_string()), (&b"456"[..], "a0,b7".into()));
    // The server said it of the page's end.
    assert!(!second.up_to_date && second.next_offset == Offset::parse("a0"));
    rig.is_quiet();
    rig.bytes("789A");
    rig.end();
    let last = rig.chunk();
    assert_eq!((&last.data[..], last.checkpoint.to_string()), (&b"789A"[..], "a1".into()));
    assert!(last.up_to_date);
    assert!(matches!(rig.step(), Step::End));
}

#[test]
fn a_page_that_broke_off_is_not_read_twice() {
    let mut rig = Rig::new(options(LiveMode::LongPoll), JSON);
    rig.request();
    rig.page_head("a1", &[]);
    rig.bytes("[1,2,");
    assert_eq!(rig.gives(), ("[1,2]".into(), "a0,m2".into()));
    rig.bytes("3");
    rig.break_off();
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    // What was given is skipped, wherever the next attempt breaks off.
    rig.page_head("a1", &[]);
    rig.bytes("[1,");
    rig.break_off();
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    assert_eq!(rig.machine.status().checkpoint.to_string(), "a0,m2");
    rig.page("a1", UP_TO_DATE, "[1,2,3,4]");
    assert_eq!(rig.gives(), ("[3,4]".into(), "a1".into()));
}

/// A reader that has just been sent an event above its limit.
fn overwhelmed(live: LiveMode) -> Rig {
    let limited = Options { max_event_bytes: 8, ..options(live) };
    let mut rig = Rig::knowing(limited, JSON);
    if live == LiveMode::Auto {
        rig.caught_up();
    }
    assert_eq!(rig.asks(), (RequestKind::Sse, "a0".into()));
    rig.events();
    // Its end is not waited for.
    rig.bytes("event: data\ndata: [1,2,3,4,5");
    rig
}

#[test]
fn what_is_too_large_for_an_event_is_fetched() {
    for live in [LiveMode::Sse, LiveMode::Auto] {
        let mut rig = overwhelmed(live);
        assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
        rig.page("a1", &[], "[1,2,3,4]");
        assert_eq!(rig.gives(), ("[1,2,3,4]".into(), "a1".into()));
        // Events have their turn again once all of it is there.
        assert_eq!(rig.asks(), (RequestKind::Page, "a1".into()));
        rig.page("a2", UP_TO_DATE, "[5]");
        assert_eq!(rig.gives(), ("[5]".into(), "a2".into()));
        assert_eq!(rig.asks(), (RequestKind::Sse, "a2".into()), "{live:?}");
        // What an outage leaves to catch up on may be as large: it is not tried twice.
        rig.events();
        rig.break_off();
        assert_eq!(rig.asks(), (RequestKind::Page, "a2".into()));
        rig.page("a2", UP_TO_DATE, "[]");
        assert_eq!(rig.asks(), (RequestKind::Sse, "a2".into()), "{live:?}");
    }
}

#[test]
fn what_cannot_be_fetched_either_is_a_typed_error() {
    for refusal in [StreamError::BadRequest { message: "no".into() }, StreamError::NotSupported] {
        let mut rig = overwhelmed(LiveMode::Sse);
        rig.request();
        rig.refuse(refusal);
        let error = rig.fails();
        let StreamError::TooLarge { option, limit, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((*option, *limit), ("max_event_bytes", 8));
    }
    // Of a page that is not the last, too.
    let mut rig = overwhelmed(LiveMode::Sse);
    rig.request();
    rig.page("a1", &[], "[1,2]");
    rig.chunk();
    rig.request();
    rig.refuse(StreamError::NotSupported);
    assert!(matches!(rig.fails().kind(), StreamError::TooLarge { .. }));
}

#[test]
fn the_limit_is_for_what_is_held_at_once() {
    let limited = Options { max_event_bytes: 40, ..options(LiveMode::Sse) };
    let mut rig = listening_with(limited, JSON);
    let data = format!("[{}1]", "1,".repeat(15));
    for n in 1..10 {
        rig.data(&data);
        rig.control(&format!("a{n}"), "");
        assert_eq!(rig.gives(), (data.clone(), format!("a{n}")));
    }
    // Several events before one control event are one amount.
    let limited = Options { max_event_bytes: 8, ..options(LiveMode::Sse) };
    let mut rig = listening_with(limited, JSON);
    rig.data("[1,2]");
    rig.is_quiet();
    rig.data("[3,4]");
    assert_eq!(rig.asks(), (RequestKind::Page, "a0".into()));
    // A message above the limit is no better by a plain request.
    rig.page_head("a1", &[]);
    rig.bytes("[\"0123456789");
    let error = rig.fails();
    assert!(matches!(error.kind(), StreamError::TooLarge { limit: 8, .. }), "{error}");
}

#[test]
fn events_without_number_are_too_much_however_small() {
    let mut rig = listening(JSON);
    let mut held = 0;
    while matches!(rig.step(), Step::Receive) && held < 100_000 {
        rig.data("[1]");
        held += 1;
    }
    assert!((5000..20_000).contains(&held), "{held} events of three bytes within 1 MiB");
}
