//! The ordinary share of exploring: some hundred seeds, and that a seed is what it says it is.

use explore::{Expiry, Failure, Live, Scenario, Theme, WriteMode, play};
use std::time::Duration;

#[test]
fn two_hundred_scenarios_pass() {
    let failures: Vec<String> = (0..200)
        .filter_map(|seed| {
            play(&Scenario::new(seed), false).failure.map(|failure| format!("seed {seed}: {failure}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn seed_gives_the_same_run() {
    for seed in 0..40 {
        let scenario = Scenario::new(seed);
        let (first, second) = (play(&scenario, true), play(&scenario, true));
        assert!(first.trace.len() > 5, "seed {seed}: {:?}", first.trace);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// What is never tried is never found.
#[test]
fn everything_is_tried() {
    let scenarios: Vec<Scenario> = (0..1000).map(Scenario::new).collect();
    let share = |what: &str, tried: &dyn Fn(&Scenario) -> bool| {
        let count = scenarios.iter().filter(|scenario| tried(scenario)).count();
        assert!(count >= 5, "{what}: {count} of {}", scenarios.len());
    };
    for live in [Live::Off, Live::Auto, Live::LongPoll, Live::Sse] {
        share("a mode", &|scenario| scenario.readers.iter().any(|reader| reader.live == live));
    }
    share("reading from now on", &|scenario| scenario.readers.iter().any(|reader| reader.from_now));
    share("single appends", &|scenario| {
        scenario.writers.iter().any(|writer| matches!(writer.write_mode, WriteMode::Single))
    });
    share("claims", &|scenario| {
        scenario
            .writers
            .iter()
            .any(|writer| matches!(writer.write_mode, WriteMode::Producer { auto_claim: true, .. }))
    });
    share("crashes", &|scenario| {
        scenario.failures.iter().any(|failure| matches!(failure, Failure::Crash { .. }))
    });
    share("zombies", &|scenario| {
        scenario.failures.iter().any(|failure| matches!(failure, Failure::Replacement { .. }))
    });
    share("small queues", &|scenario| {
        scenario
            .writers
            .iter()
            .any(|writer| matches!(writer.write_mode, WriteMode::Producer { buffered_records: 1, .. }))
    });
    share("dropped futures of readers", &|scenario| {
        scenario.readers.iter().any(|reader| reader.poll_timeout.is_some())
    });
    share("dropped futures of writers", &|scenario| {
        scenario.writers.iter().any(|writer| writer.poll_timeout.is_some())
    });
    share("dropped receipts", &|scenario| scenario.writers.iter().any(|writer| writer.drops_receipts));
    share("slow consumers", &|scenario| scenario.readers.iter().any(|reader| !reader.pause.is_zero()));
    share("reading ahead", &|scenario| scenario.readers.iter().any(|reader| reader.prefetch > 0));
    share("stores of checkpoints", &|scenario| scenario.readers.iter().any(|reader| reader.acknowledges));
    for theme in Theme::ALL {
        share("a theme", &|scenario| scenario.theme == theme);
    }
    share("paging", &|scenario| scenario.server.page_bytes < 400 || scenario.server.page_messages < 6);
    share("a server that holds nothing", &|scenario| scenario.server.long_poll < Duration::from_millis(100));
    share("other line ends", &|scenario| scenario.server.events_line_end == "\r\n");
    share("writers that do not know the type", &|scenario| {
        scenario.writers.iter().any(|writer| !writer.knows_type)
    });
    share("impatient clients", &|scenario| {
        scenario.writers.iter().any(|writer| writer.header_timeout.is_some())
    });
    share("a server without events", &|scenario| scenario.server.refuse_events);
    share("a server that takes little", &|scenario| scenario.server.max_body < 600);
    share("streams with a past", &|scenario| scenario.initial_states.iter().any(|state| state.records > 0));
    share("forks", &|scenario| scenario.initial_states.iter().any(|state| state.fork));
    share("expiry", &|scenario| {
        scenario.initial_states.iter().any(|state| matches!(state.expiry, Expiry::At(_)))
    });
    share("time that passes while a task runs", &|scenario| scenario.drift > 0);
    share("servers that lag behind", &|scenario| !scenario.server.lag.is_zero());
    share("a slow uplink", &|scenario| scenario.network.uplink.is_some());
    share("scenarios without failures", &|scenario| scenario.failures.is_empty());
    let failures: Vec<String> =
        scenarios.iter().flat_map(|scenario| &scenario.failures).map(ToString::to_string).collect();
    for kind in [
        "connection refused",
        "request lost",
        "applied, response lost",
        "no response, applied",
        "no response, not applied",
        "delayed by",
        "reset after",
        "events end after",
        "bytes of the body",
        "status 408",
        "status 425",
        "status 429",
        "status 500",
        "status 502",
        "status 503",
        "status 504",
        "status 400",
        "status 403",
        "status 404",
        "status 410",
        "status 413",
        "Retry-After 2 s",
        "Retry-After as a date",
        "repeated",
        "stale cache",
        "captive portal",
        "memory kept",
        "its producer state lost",
        "everything lost",
        "network partition",
        "every connection is reset",
        "every computer is suspended",
        "wall clock",
        "page of a portal",
        "redirect to a portal",
        "a gateway responds 421",
        "a gateway responds 425",
        "a gateway responds 511",
        "a gateway responds 413 to bodies above",
        "a gateway responds 502 to bodies above",
        "a gateway responds 504 to bodies above",
        "a proxy drops the body",
        "a cache ignores the query",
        "a cache responds 404",
        "every connection leads to a broken backend",
        "every idle connection is lost",
        "the older half of every stream",
        "deleted and created again",
    ] {
        assert!(failures.iter().any(|failure| failure.contains(kind)), "{kind}");
    }
}
