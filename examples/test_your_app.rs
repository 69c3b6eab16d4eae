//! How to test what your application does on a bad day: in milliseconds, and again whenever you like.
//!
//! `cargo run --example test_your_app` looks for a bad day that a careless application does not survive;
//! `cargo test --example test_your_app` runs the tests at the end of this file.
//!
//! `durable-streams-sim` gives an application a [`World`] instead of a network: a server in memory, virtual
//! time, and one seed that chooses all that is left to chance. The application below is an ordinary one. It is
//! handed a client, and whether that client speaks to a real server it cannot tell.

use durable_streams::contract::Timer;
use durable_streams::{Checkpoint, Client, ClientBuilder, CreateOptions, Error, LiveMode, RetryConfig};
use durable_streams_sim::{FaultPlan, Rng, Schedule, SimRuntime, SimTransport, Spawner, World, shrink};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

// ------------------------------------------------------------------------------------------------------------
// The application: it adds up the payments of a stream, and keeps the sum where it survives a crash.

#[derive(Serialize, Deserialize)]
struct Payment {
    cents: u64,
}

/// What is kept: a sum, and the position that it is right for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    payments: u64,
    cents: u64,
    checkpoint: Option<Checkpoint>,
}

/// In production a database; here a value that no crash reaches.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Account>>);

impl Disk {
    fn load(&self) -> Account {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A transaction: all of the change, or nothing of it.
    fn update(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// When the careful one saves, and the careless one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    /// The sum and the checkpoint in one transaction.
    Careful,
    /// The checkpoint as soon as a payment comes, the sum when it has been dealt with.
    Careless,
}

struct Accountant {
    client: Client,
    disk: Disk,
    habit: Habit,
}

impl Accountant {
    /// Works until the stream is closed. The client reconnects by itself, within its retry policy; this loop
    /// is the application's own answer to what the client gives up on.
    async fn work(&self) -> Result<(), Error> {
        loop {
            match self.follow().await {
                Err(error) if error.is_retryable() => {
                    self.client.runtime().sleep(Duration::from_secs(5)).await;
                }
                ended => return ended,
            }
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let reader = self.client.stream("payments").reader().live(LiveMode::Auto);
        let reader = match self.disk.load().checkpoint {
            Some(checkpoint) => reader.offset(checkpoint),
            None => reader,
        };
        let mut payments = reader.json::<Payment>().await?.with_checkpoints();
        while let Some((payment, checkpoint)) = payments.try_next().await? {
            if self.habit == Habit::Careless {
                self.disk.update(|account| account.checkpoint = Some(checkpoint.clone()));
            }
            // A payment takes its time: there is something to be killed in.
            self.client.runtime().sleep(Duration::from_millis(5)).await;
            self.disk.update(|account| {
                account.payments += 1;
                account.cents += payment.cents;
                account.checkpoint = Some(checkpoint);
            });
        }
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------------------
// The simulation: the same application, in a world where things go wrong.

const PAYMENTS: u64 = 40;
const CENTS: u64 = PAYMENTS * (PAYMENTS + 1) / 2;

/// The client to hand to an application: in production `durable_streams::tokio::Client::builder()…` is here.
fn client(transport: SimTransport, runtime: SimRuntime) -> Result<Client, Error> {
    // Gives up early, so that the application's own loop has something to do.
    let retry = RetryConfig { max_retries: Some(3), ..RetryConfig::default() };
    let builder = ClientBuilder::new(transport, runtime).base_url("http://server").retry_config(retry);
    Ok(builder.build()?.to_any())
}

/// Somebody makes payments, through the same bad network, and closes the stream when all are stored.
async fn pay(transport: SimTransport, runtime: SimRuntime) -> Result<(), Failure> {
    let client = ClientBuilder::new(transport, runtime.clone()).base_url("http://server").build()?;
    let producer = client.stream("payments").producer("shop").auto_claim(true).build();
    for cents in 1..=PAYMENTS {
        producer.append_json(&Payment { cents })?;
        runtime.sleep(Duration::from_millis(20)).await;
    }
    producer.close_stream().await?;
    Ok(())
}

/// The application's lives: processes that are killed, at any point, as `kill -9` would; then one that is not.
async fn live(
    transport: SimTransport,
    runtime: SimRuntime,
    mut spawner: Spawner,
    lifetimes: Vec<Duration>,
    disk: Disk,
    habit: Habit,
) -> Result<(), Failure> {
    let mut lifetimes = lifetimes.into_iter();
    loop {
        let process = spawner.process("accountant");
        let client = client(transport.clone(), process.runtime())?;
        let accountant = Accountant { client, disk: disk.clone(), habit };
        let work = process.spawn(async move { accountant.work().await });
        let lifetime = lifetimes.next().unwrap_or(Duration::MAX);
        match runtime.timeout(lifetime, work).await {
            Some(ended) => return Ok(ended??),
            None => process.kill(),
        }
    }
}

/// All that goes wrong on a day, as data: it can be printed, and made smaller.
#[derive(Clone)]
struct BadLuck {
    /// With the network and the server.
    schedule: Schedule,
    /// After how long each of the application's processes is killed, but for the last.
    lifetimes: Vec<Duration>,
}

impl BadLuck {
    /// Requests and answers are lost, delayed, cut anywhere; the server restarts; machines sleep; processes die.
    fn of(seed: u64) -> Self {
        let mut chance = Rng::new(seed);
        let lifetimes = (0..10).map(|_| chance.duration(Duration::ZERO, Duration::from_millis(300)));
        Self { schedule: Schedule::generate(seed, &FaultPlan::default()), lifetimes: lifetimes.collect() }
    }

    /// Only what is needed of it, so that `fails` still holds.
    fn shrink(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let lifetimes =
            shrink(&self.lifetimes, |fewer| fails(&Self { lifetimes: fewer.to_vec(), ..self.clone() }));
        let schedule = self
            .schedule
            .shrink(|fewer| fails(&Self { schedule: fewer.clone(), lifetimes: lifetimes.clone() }));
        Self { schedule, lifetimes }
    }
}

/// What came of a day.
struct Day {
    account: Account,
    requests: usize,
    lasted: Duration,
    /// What happened, line by line.
    trace: Vec<String>,
}

impl Day {
    /// What must hold at its end, whatever happened.
    fn is_right(&self) -> bool {
        (self.account.payments, self.account.cents) == (PAYMENTS, CENTS)
    }
}

/// One day. All that happens in it follows from the seed and the bad luck, so it can be had again, step by step.
fn day(seed: u64, luck: &BadLuck, habit: Habit) -> Result<Day, Failure> {
    let mut world = World::builder(seed).schedule(luck.schedule.clone()).trace(true).build();
    let (transport, runtime) = (world.transport(), world.runtime());
    // That there is a stream is not what is tested: it is waited for as long as it takes.
    let patient = ClientBuilder::new(transport.clone(), runtime.clone()).base_url("http://server").build()?;
    let stream = patient.stream("payments");
    world.try_run(stream.create(CreateOptions::new().content_type("application/json")))??;

    let disk = Disk::default();
    let paying = runtime.start(pay(transport.clone(), runtime.clone()));
    let living = live(transport, runtime, world.spawner(), luck.lifetimes.clone(), disk.clone(), habit);
    // Time passes only while everybody waits, so an outage costs nothing; what comes to no end is an error.
    world.try_run(living)??;
    world.try_run(paying)???;
    Ok(Day {
        account: disk.load(),
        requests: world.requests().len(),
        lasted: world.elapsed(),
        trace: world.take_trace(),
    })
}

/// The days on which an application of this habit was wrong, by their seeds.
fn wrong_days(habit: Habit, seeds: u64) -> Result<Vec<u64>, Failure> {
    let mut wrong = Vec::new();
    for seed in 0..seeds {
        if !day(seed, &BadLuck::of(seed), habit)?.is_right() {
            wrong.push(seed);
        }
    }
    Ok(wrong)
}

fn main() -> Result<(), Failure> {
    const SEEDS: u64 = 200;
    let begun = Instant::now();
    let (mut requests, mut lasted) = (0, Duration::ZERO);
    for seed in 0..SEEDS {
        let day = day(seed, &BadLuck::of(seed), Habit::Careful)?;
        assert!(day.is_right(), "seed {seed}: {:?}", day.account);
        requests += day.requests;
        lasted += day.lasted;
    }
    println!(
        "careful:  right after each of {SEEDS} bad days; {} minutes of them and {requests} requests took {:?}",
        lasted.as_secs() / 60,
        begun.elapsed()
    );

    let wrong = wrong_days(Habit::Careless, SEEDS)?;
    println!("careless: wrong after {} of them", wrong.len());
    let Some(&seed) = wrong.first() else { return Ok(()) };
    let is_wrong = |luck: &BadLuck| day(seed, luck, Habit::Careless).is_ok_and(|day| !day.is_right());
    let luck = BadLuck::of(seed).shrink(is_wrong);
    let day = day(seed, &luck, Habit::Careless)?;
    println!("\nSeed {seed}: {} of {PAYMENTS} payments were dealt with.", day.account.payments);
    println!("This is enough for it: {}; processes are killed after {:?}.", luck.schedule, luck.lifetimes);
    println!("What happened around the last kill:\n");
    let kill = day.trace.iter().rposition(|line| line.contains("is killed")).unwrap_or(0);
    day.trace.iter().skip(kill.saturating_sub(5)).take(9).for_each(|line| println!("{line}"));
    Ok(())
}

// ------------------------------------------------------------------------------------------------------------
// The tests, as an application would have them.

#[cfg(test)]
mod tests {
    use super::*;
    use durable_streams_sim::{Fault, Incident, Memory};

    /// Any seed that ever fails is a test case for good: add it to the range, or name it.
    #[test]
    fn payments_are_counted_once_under_random_faults() -> Result<(), Failure> {
        assert_eq!(wrong_days(Habit::Careful, 100)?, [0u64; 0]);
        Ok(())
    }

    /// A test that cannot fail tests nothing.
    #[test]
    fn careless_application_fails_under_random_faults() -> Result<(), Failure> {
        assert!(!wrong_days(Habit::Careless, 100)?.is_empty());
        Ok(())
    }

    /// A day made by hand: the server dies in the middle, and is away for a minute.
    #[test]
    fn application_recovers_after_one_minute_outage() -> Result<(), Failure> {
        let minute = Duration::from_secs(60);
        let crash = Incident::Restart { down: minute, memory: Memory::Kept };
        let schedule = Schedule::new().at(Duration::from_millis(200), crash);
        let day = day(1, &BadLuck { schedule, lifetimes: vec![] }, Habit::Careful)?;
        assert!(day.is_right(), "{:?}", day.account);
        // Back at work soon after the server is, and not by asking it a thousand times.
        assert!(day.lasted < 3 * minute, "{:?}", day.lasted);
        assert!(day.requests < 300, "{}", day.requests);
        Ok(())
    }

    /// Answers are lost where it hurts the most: the server has carried out what it was asked, and nobody knows.
    #[test]
    fn lost_responses_change_no_result() -> Result<(), Failure> {
        let every_third = (0..30).step_by(3);
        let schedule = every_third.fold(Schedule::new(), |all, n| all.request(n, Fault::LoseAnswer));
        assert!(day(2, &BadLuck { schedule, lifetimes: vec![] }, Habit::Careful)?.is_right());
        Ok(())
    }

    #[test]
    fn same_seed_gives_same_trace() -> Result<(), Failure> {
        let (first, second) =
            (day(3, &BadLuck::of(3), Habit::Careful)?, day(3, &BadLuck::of(3), Habit::Careful)?);
        assert_eq!(first.trace, second.trace);
        Ok(())
    }
}
