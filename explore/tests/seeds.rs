//! The ordinary share of exploring: some hundred seeds, and that a seed is what it says it is.

use explore::{Live, Mishap, Plan, Way, play};

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
        assert!(count >= 8, "{what}: {count} of {}", plans.len());
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
        "answered 429",
        "answered 503",
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
