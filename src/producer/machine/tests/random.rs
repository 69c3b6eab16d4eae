//! The machine against a server that follows the protocol, over a network that does anything: requests and answers are
//! lost, repeated and late, other producers claim the id, bodies are refused. What the receipts say must be true.

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, odds: usize) -> bool {
        odds > 0 && self.below(odds) == 0
    }
}

#[derive(Default)]
struct Server {
    epoch: Option<u64>,
    last: u64,
    log: Vec<u32>,
    /// How much others have appended.
    foreign: usize,
    max_body: usize,
}

impl Server {
    fn receive(&mut self, attempt: &Attempt) -> AttemptResult {
        if attempt.body.len() > self.max_body {
            return AttemptResult::TooLarge(StreamError::PayloadTooLarge { size: attempt.body.len() }.into());
        }
        let expected = match self.epoch {
            Some(epoch) if attempt.epoch < epoch => return AttemptResult::Stale { server_epoch: epoch },
            Some(epoch) if attempt.epoch == epoch => self.last + 1,
            _ => 0,
        };
        if attempt.seq > expected {
            if self.epoch.is_some_and(|epoch| attempt.epoch > epoch) {
                let message = "new epoch must start at seq 0".into();
                let error = StreamError::BadRequest { message }.into();
                return AttemptResult::Failed { error, fate: Fate::Refused, retry: false };
            }
            return AttemptResult::Gap { expected, received: attempt.seq };
        }
        let duplicate = attempt.seq < expected;
        if !duplicate {
            self.epoch = Some(attempt.epoch);
            self.last = attempt.seq;
            let numbers = attempt.body.chunks(4).map(|number| u32::from_be_bytes(number.try_into().unwrap()));
            self.log.extend(numbers);
        }
        AttemptResult::Stored { offset: Some(self.tail()), duplicate, highest: Some(self.last) }
    }

    fn tail(&self) -> Offset {
        Offset::At(format!("{:08}", self.log.len() + self.foreign))
    }
}

fn unanswered() -> AttemptResult {
    AttemptResult::Failed { error: server_error(), fate: Fate::Unknown, retry: true }
}

/// One in so many; zero is never.
#[derive(Clone, Copy, Debug)]
struct Odds {
    lost: usize,
    refused: usize,
    stray: usize,
    fenced: usize,
    /// The server crashes, and loses the state of all producers.
    state_loss: usize,
    foreign: usize,
}

/// Runs one history and checks it; returns whether the producer halted.
fn run(seed: u64, settings: Settings, odds: Odds, max_body: usize) -> bool {
    let mut random = Random(seed);
    let mut server = Server { max_body, ..Server::default() };
    let mut rig = Rig::new(settings);
    let mut under_way: Vec<Attempt> = Vec::new();
    let mut strays: Vec<Attempt> = Vec::new();
    let total = 60;
    for _ in 0..20_000 {
        if rig.machine.wants_batch() && rig.next < total && !random.one_in(3) {
            let records = 1 + random.below(4) as u32;
            under_way.extend(rig.offer(records));
        }
        if odds.stray > 0 && !strays.is_empty() && random.one_in(4) {
            let stray = strays.swap_remove(random.below(strays.len()));
            server.receive(&stray);
        }
        if random.one_in(odds.fenced) {
            // Never the epoch that we have or are about to claim: two producers with the same one are not distinguishable.
            server.epoch = server.epoch.max(Some(rig.machine.epoch())).map(|epoch| epoch + 2);
            server.last = random.next() % 3;
        }
        if random.one_in(odds.foreign) {
            server.foreign += 1;
        }
        // If the first batch was stored, had no response and was lost from the state, its resend looks like a first batch.
        if random.one_in(odds.state_loss) && rig.machine.epoch.stored_to.is_some() {
            server.epoch = None;
        }
        if rig.machine.begin_tail_check(rig.now) {
            let tail = (!random.one_in(5)).then(|| server.tail());
            rig.machine.on_tail(tail.as_ref(), rig.now);
            rig.collect();
            let next = rig.attempts();
            under_way.extend(next);
            continue;
        }
        if under_way.is_empty() {
            if rig.machine.is_idle() && (rig.next >= total || rig.machine.halted().is_some()) {
                break;
            }
            if rig.machine.deadline().is_some() {
                let next = rig.wait();
                under_way.extend(next);
            }
            continue;
        }
        let attempt = under_way.swap_remove(random.below(under_way.len()));
        let answer = if random.one_in(odds.lost) {
            if random.one_in(2) {
                server.receive(&attempt);
            }
            if random.one_in(odds.stray) {
                strays.push(attempt.clone());
            }
            unanswered()
        } else if random.one_in(odds.refused) {
            let error = StreamError::RateLimited { retry_after: None }.into();
            AttemptResult::Failed { error, fate: Fate::Refused, retry: true }
        } else {
            server.receive(&attempt)
        };
        let next = rig.answer(&attempt, answer);
        under_way.extend(next);
    }
    assert!(rig.machine.is_idle(), "seed {seed}: it does not come to an end: {:?}", rig.machine);
    for stray in strays {
        server.receive(&stray);
    }

    let in_order = server.log.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(in_order, "seed {seed}: twice or out of order: {:?}", server.log);
    let is_stored = |number: &u32| server.log.binary_search(number).is_ok();
    let missing: Vec<_> = rig.stored.iter().filter(|number| !is_stored(number)).collect();
    assert!(missing.is_empty(), "seed {seed}: acknowledged and not stored: {missing:?}");
    for (number, may_be_stored) in &rig.failed {
        assert!(*may_be_stored || !is_stored(number), "seed {seed}: {number} was said not to be stored");
    }
    assert_eq!(rig.stored.len() + rig.failed.len(), rig.next as usize, "seed {seed}");
    for (number, delivery) in rig.deliveries.iter().enumerate() {
        let said = delivery.try_result().expect("it is settled").is_ok();
        assert_eq!(said, rig.stored.contains(&(number as u32)), "seed {seed}: {number}");
    }
    rig.machine.halted().is_some()
}

fn calm() -> Odds {
    Odds { lost: 0, refused: 0, stray: 0, fenced: 0, state_loss: 0, foreign: 0 }
}

const SEEDS: std::ops::Range<u64> = 0..3000;

#[test]
fn faulty_network_stores_every_record_once() {
    let odds = Odds { lost: 4, refused: 10, stray: 2, fenced: 0, ..calm() };
    for seed in SEEDS {
        assert!(!run(seed, settings(), odds, usize::MAX), "seed {seed} halted");
        assert!(!run(seed, claiming(), odds, usize::MAX), "seed {seed} halted");
    }
}

#[test]
fn stale_epochs_lose_nothing_if_every_attempt_has_a_response() {
    let odds = Odds { lost: 0, refused: 10, stray: 0, fenced: 60, ..calm() };
    let halted = SEEDS.filter(|seed| run(*seed, claiming(), odds, usize::MAX)).count();
    // Only where the claims came too thick.
    assert!(halted < SEEDS.count() / 5, "{halted}");
}

#[test]
fn splits_lose_nothing_if_every_attempt_has_a_response() {
    let odds = Odds { lost: 0, refused: 10, stray: 0, fenced: 0, ..calm() };
    for seed in SEEDS {
        assert!(!run(seed, settings(), odds, 8), "seed {seed} halted");
    }
}

#[test]
fn state_losses_lose_nothing_if_every_attempt_has_a_response() {
    let odds = Odds { refused: 10, state_loss: 50, foreign: 20, ..calm() };
    let halted = SEEDS.filter(|seed| run(*seed, claiming(), odds, usize::MAX)).count();
    // If the tail was not reported, or the state was lost too often.
    assert!(halted < 1000, "{halted}");
}

#[test]
fn state_losses_never_settle_a_record_wrongly() {
    for foreign in [0, 20] {
        let odds = Odds { lost: 8, refused: 10, state_loss: 30, foreign, ..calm() };
        let halted = SEEDS.filter(|seed| run(*seed, claiming(), odds, usize::MAX)).count();
        assert!(halted > 100 && halted < 3000, "{halted}");
    }
}

#[test]
fn random_faults_never_make_a_receipt_wrong() {
    let mut halted = 0;
    for seed in SEEDS {
        let mut random = Random(!seed);
        let odds = Odds {
            lost: 2 + random.below(20),
            refused: 2 + random.below(20),
            stray: 1 + random.below(3),
            fenced: [0, 50, 200][random.below(3)],
            ..calm()
        };
        let settings = Settings {
            connection_status: crate::ConnectionStatus::new(),
            max_batch_bytes: usize::MAX,
            auto_claim: random.one_in(2),
            accept_duplicates: false,
            max_in_flight: 1 + random.below(6),
            epoch: random.next() % 3,
            retry: RetryConfig { max_retries: Some(random.below(20) as u32), ..RetryConfig::default() },
        };
        let max_body = [usize::MAX, 12, 8, 4, 3][random.below(5)];
        halted += usize::from(run(seed, settings, odds, max_body));
    }
    // Both kinds of end are met.
    assert!(halted > 100 && halted < 2900, "{halted}");
}
