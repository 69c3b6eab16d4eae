//! The ordinary share of exploring: some hundred seeds, and that a seed is what it says it is.

use explore::{Expiry, Live, Mishap, Plan, Theme, Way, play};
use std::time::Duration;

#[test]
fn two_hundred_bad_days_end_well() {
    let failures: Vec<String> = (0..200)
        .filter_map(|seed| {
            play(&Plan::new(seed), false).failure.map(|failure| format!("seed {seed}: {failure}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_seed_plays_the_same_each_time() {
    for seed in 0..40 {
        let plan = Plan::new(seed);
        let (first, second) = (play(&plan, true), play(&plan, true));
        assert!(first.trace.len() > 5, "seed {seed}: {:?}", first.trace);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// What is never tried is never found.
#[test]
fn everything_is_tried() {
    let plans: Vec<Plan> = (0..1000).map(Plan::new).collect();
    let share = |what: &str, tried: &dyn Fn(&Plan) -> bool| {
        let count = plans.iter().filter(|plan| tried(plan)).count();
        assert!(count >= 5, "{what}: {count} of {}", plans.len());
    };
    for live in [Live::Off, Live::Auto, Live::LongPoll, Live::Sse] {
        share("a mode", &|plan| plan.readers.iter().any(|reader| reader.live == live));
    }
    share("reading from now on", &|plan| plan.readers.iter().any(|reader| reader.from_now));
    share("single appends", &|plan| plan.writers.iter().any(|writer| matches!(writer.way, Way::Single)));
    share("claims", &|plan| {
        plan.writers.iter().any(|writer| matches!(writer.way, Way::Producer { auto_claim: true, .. }))
    });
    share("crashes", &|plan| plan.mishaps.iter().any(|mishap| matches!(mishap, Mishap::Crash { .. })));
    share("zombies", &|plan| plan.mishaps.iter().any(|mishap| matches!(mishap, Mishap::Zombie { .. })));
    share("small queues", &|plan| {
        plan.writers.iter().any(|writer| matches!(writer.way, Way::Producer { buffered_records: 1, .. }))
    });
    share("dropped futures of readers", &|plan| {
        plan.readers.iter().any(|reader| reader.impatience.is_some())
    });
    share("dropped futures of writers", &|plan| {
        plan.writers.iter().any(|writer| writer.impatience.is_some())
    });
    share("dropped receipts", &|plan| plan.writers.iter().any(|writer| writer.careless));
    share("slow consumers", &|plan| plan.readers.iter().any(|reader| !reader.pause.is_zero()));
    share("reading ahead", &|plan| plan.readers.iter().any(|reader| reader.prefetch > 0));
    share("stores of checkpoints", &|plan| plan.readers.iter().any(|reader| reader.acknowledges));
    for theme in Theme::ALL {
        share("a theme", &|plan| plan.theme == theme);
    }
    share("paging", &|plan| plan.server.page_bytes < 400 || plan.server.page_messages < 6);
    share("a server that holds nothing", &|plan| plan.server.long_poll < Duration::from_millis(100));
    share("other line ends", &|plan| plan.server.events_line_end == "\r\n");
    share("writers that do not know the type", &|plan| plan.writers.iter().any(|writer| !writer.knows_type));
    share("impatient clients", &|plan| plan.writers.iter().any(|writer| writer.header_timeout.is_some()));
    share("a server without events", &|plan| plan.server.refuse_events);
    share("a server that takes little", &|plan| plan.server.max_body < 600);
    share("streams with a past", &|plan| plan.beginnings.iter().any(|beginning| beginning.records > 0));
    share("forks", &|plan| plan.beginnings.iter().any(|beginning| beginning.fork));
    share("expiry", &|plan| {
        plan.beginnings.iter().any(|beginning| matches!(beginning.expiry, Expiry::At(_)))
    });
    share("good days", &|plan| plan.mishaps.is_empty());
    let mishaps: Vec<String> = plans.iter().flat_map(|plan| &plan.mishaps).map(ToString::to_string).collect();
    for kind in [
        "connection refused",
        "request lost",
        "carried out, answer lost",
        "silence, carried out",
        "silence, not carried out",
        "delayed by",
        "reset after",
        "events end after",
        "bytes of the body",
        "answered 408",
        "answered 425",
        "answered 429",
        "answered 500",
        "answered 502",
        "answered 503",
        "answered 504",
        "answered 400",
        "answered 403",
        "answered 404",
        "answered 410",
        "answered 413",
        "Retry-After 2 s",
        "Retry-After as a date",
        "delivered again",
        "stale cache",
        "captive portal",
        "memory kept",
        "its producers forgotten",
        "everything lost",
        "nothing gets through",
        "every connection is reset",
        "every process sleeps",
        "wall clock",
    ] {
        assert!(mishaps.iter().any(|mishap| mishap.contains(kind)), "{kind}");
    }
}
