//! How to test an application against outages, lost responses and crashes: in virtual time, and reproducibly.
//!
//! Run it with `cargo run --example test_your_app`: it runs an application under random faults, finds a seed with
//! which a variant with a bug fails, and prints the smallest set of faults that is enough. `cargo test --example
//! test_your_app` runs the tests at the end of this file.
//!
//! `durable-streams-sim` replaces the network and the clock by a [`World`]: a server in memory, virtual time, and one
//! seed that decides everything random. The application is ordinary code. It gets a `Client`, and cannot tell whether
//! that client talks to a real server.

use durable_streams::contract::Timer;
use durable_streams::{Checkpoint, Client, ClientBuilder, CreateOptions, Error, LiveMode, RetryConfig};
use durable_streams_sim::{FaultPlan, Rng, Schedule, SimRuntime, SimTransport, Spawner, World, shrink};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

// ------------------------------------------------------------------------------------------------------------
// The application: it adds up the payments of a stream, and saves the sum so that it survives a crash.

#[derive(Serialize, Deserialize)]
struct Payment {
    cents: u64,
}

/// The saved state: a sum, and the checkpoint up to which it is complete.
#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    payments: u64,
    cents: u64,
    checkpoint: Option<Checkpoint>,
}

/// A database in production. Here a value that outlives the simulated processes.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<Account>>);

impl Database {
    fn load(&self) -> Account {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A transaction.
    fn update(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// When the application saves its checkpoint. One of the two is a bug.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SaveCheckpoint {
    /// In one transaction with the sum. Correct.
    WithResult,
    /// Before the payment is processed. A crash in between loses the payment.
    BeforeProcessing,
}

struct Accountant {
    client: Client,
    database: Database,
    save: SaveCheckpoint,
}

impl Accountant {
    /// Processes payments until the stream is closed.
    ///
    /// The client retries within its retry policy. This loop retries what the client gave up on.
    async fn run(&self) -> Result<(), Error> {
        loop {
            match self.process_payments().await {
                Err(error) if error.is_retryable() => {
                    self.client.runtime().sleep(Duration::from_secs(5)).await;
                }
                result => return result,
            }
        }
    }

    async fn process_payments(&self) -> Result<(), Error> {
        let reader = self.client.stream("payments").reader().live(LiveMode::Auto);
        let reader = match self.database.load().checkpoint {
            Some(checkpoint) => reader.offset(checkpoint),
            None => reader,
        };
        let mut payments = reader.json::<Payment>().await?.with_checkpoints();
        while let Some((payment, checkpoint)) = payments.try_next().await? {
            if self.save == SaveCheckpoint::BeforeProcessing {
                self.database.update(|account| account.checkpoint = Some(checkpoint.clone()));
            }
            // Processing takes 5 ms, during which the process may be killed.
            self.client.runtime().sleep(Duration::from_millis(5)).await;
            self.database.update(|account| {
                account.payments += 1;
                account.cents += payment.cents;
                account.checkpoint = Some(checkpoint);
            });
        }
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------------------
// The simulation: the same application, in a world with faults.

const PAYMENTS: u64 = 40;
const CENTS: u64 = PAYMENTS * (PAYMENTS + 1) / 2;

/// The client for the application. In production this is `durable_streams::tokio::Client::builder()…`.
fn client(transport: SimTransport, runtime: SimRuntime) -> Result<Client, Error> {
    // Few retries, so that the application's own loop is tested too.
    let retry = RetryConfig { max_retries: Some(3), ..RetryConfig::default() };
    let builder = ClientBuilder::new(transport, runtime).base_url("http://server").retry_config(retry);
    Ok(builder.build()?.to_any())
}

/// Another program, on the same network: it appends all payments and closes the stream.
async fn write_payments(transport: SimTransport, runtime: SimRuntime) -> Result<(), Failure> {
    let client = ClientBuilder::new(transport, runtime.clone()).base_url("http://server").build()?;
    let producer = client.stream("payments").producer("shop").auto_claim(true).build();
    for cents in 1..=PAYMENTS {
        producer.append_json(&Payment { cents })?;
        runtime.sleep(Duration::from_millis(20)).await;
    }
    producer.close_stream().await?;
    Ok(())
}

/// Runs the application in one process after another. Each is killed after its lifetime, as by `kill -9`; after all
/// lifetimes comes one process that is not killed.
async fn run_processes(
    transport: SimTransport,
    runtime: SimRuntime,
    mut spawner: Spawner,
    lifetimes: Vec<Duration>,
    database: Database,
    save: SaveCheckpoint,
) -> Result<(), Failure> {
    let mut lifetimes = lifetimes.into_iter();
    loop {
        let process = spawner.process("accountant");
        let client = client(transport.clone(), process.runtime())?;
        let accountant = Accountant { client, database: database.clone(), save };
        let run = process.spawn(async move { accountant.run().await });
        let lifetime = lifetimes.next().unwrap_or(Duration::MAX);
        match runtime.timeout(lifetime, run).await {
            Some(result) => return Ok(result??),
            None => process.kill(),
        }
    }
}

/// All faults of one run, as data: they can be printed, and reduced to those that matter.
#[derive(Clone)]
struct Faults {
    /// Faults of the network and the server.
    schedule: Schedule,
    /// The time after which each process of the application is killed.
    lifetimes: Vec<Duration>,
}

impl Faults {
    /// Random faults: lost, delayed and cut requests and responses, server restarts, suspended machines, killed
    /// processes.
    fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let lifetimes = (0..10).map(|_| rng.duration(Duration::ZERO, Duration::from_millis(300)));
        Self { schedule: Schedule::generate(seed, &FaultPlan::default()), lifetimes: lifetimes.collect() }
    }

    /// Removes every fault without which `fails` still holds.
    fn shrink(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let lifetimes =
            shrink(&self.lifetimes, |fewer| fails(&Self { lifetimes: fewer.to_vec(), ..self.clone() }));
        let schedule = self
            .schedule
            .shrink(|fewer| fails(&Self { schedule: fewer.clone(), lifetimes: lifetimes.clone() }));
        Self { schedule, lifetimes }
    }
}

/// The result of one run.
struct Report {
    account: Account,
    requests: usize,
    /// How long the run took, in virtual time.
    elapsed: Duration,
    /// One line for each event.
    trace: Vec<String>,
}

impl Report {
    /// What must hold at the end of every run.
    fn is_correct(&self) -> bool {
        (self.account.payments, self.account.cents) == (PAYMENTS, CENTS)
    }
}

/// One run. Everything in it follows from the seed and the faults, so it can be repeated exactly.
fn simulate(seed: u64, faults: &Faults, save: SaveCheckpoint) -> Result<Report, Failure> {
    let mut world = World::builder(seed).schedule(faults.schedule.clone()).trace(true).build();
    let (transport, runtime) = (world.transport(), world.runtime());
    // Creating the stream is not what is tested: this client retries until it succeeds.
    let setup = ClientBuilder::new(transport.clone(), runtime.clone()).base_url("http://server").build()?;
    let stream = setup.stream("payments");
    world.try_run(stream.create(CreateOptions::new().content_type("application/json")))??;

    let database = Database::default();
    let writing = runtime.start(write_payments(transport.clone(), runtime.clone()));
    let lifetimes = faults.lifetimes.clone();
    let reading = run_processes(transport, runtime, world.spawner(), lifetimes, database.clone(), save);
    // Time advances only while every task waits, so an outage takes no real time. A deadlock is an error.
    world.try_run(reading)??;
    world.try_run(writing)???;
    Ok(Report {
        account: database.load(),
        requests: world.requests().len(),
        elapsed: world.elapsed(),
        trace: world.take_trace(),
    })
}

/// The seeds below `seeds` with which the application ends with a wrong sum.
fn failing_seeds(save: SaveCheckpoint, seeds: u64) -> Result<Vec<u64>, Failure> {
    let mut failing = Vec::new();
    for seed in 0..seeds {
        if !simulate(seed, &Faults::random(seed), save)?.is_correct() {
            failing.push(seed);
        }
    }
    Ok(failing)
}

fn main() -> Result<(), Failure> {
    const SEEDS: u64 = 200;
    let start = Instant::now();
    let (mut requests, mut elapsed) = (0, Duration::ZERO);
    for seed in 0..SEEDS {
        let outcome = simulate(seed, &Faults::random(seed), SaveCheckpoint::WithResult)?;
        assert!(outcome.is_correct(), "seed {seed}: {:?}", outcome.account);
        requests += outcome.requests;
        elapsed += outcome.elapsed;
    }
    println!(
        "checkpoint saved with the result: correct in {SEEDS} of {SEEDS} runs; {} simulated minutes and {requests} \
         requests took {:?}",
        elapsed.as_secs() / 60,
        start.elapsed()
    );

    let failing = failing_seeds(SaveCheckpoint::BeforeProcessing, SEEDS)?;
    println!("checkpoint saved before processing: wrong in {} of {SEEDS} runs", failing.len());
    let Some(&seed) = failing.first() else { return Ok(()) };

    // Reduce the faults of the first failing seed to those that are needed.
    let fails = |faults: &Faults| {
        simulate(seed, faults, SaveCheckpoint::BeforeProcessing).is_ok_and(|outcome| !outcome.is_correct())
    };
    let faults = Faults::random(seed).shrink(fails);
    let outcome = simulate(seed, &faults, SaveCheckpoint::BeforeProcessing)?;
    println!("\nseed {seed}: {} of {PAYMENTS} payments were counted", outcome.account.payments);
    println!("network and server: {}; processes killed after {:?}", faults.schedule, faults.lifetimes);
    println!("events around the last kill:\n");
    let kill = outcome.trace.iter().rposition(|line| line.contains("is killed")).unwrap_or(0);
    outcome.trace.iter().skip(kill.saturating_sub(5)).take(9).for_each(|line| println!("{line}"));
    Ok(())
}

// ------------------------------------------------------------------------------------------------------------
// The tests, as an application would have them.

#[cfg(test)]
mod tests {
    use super::*;
    use durable_streams_sim::{Fault, Incident, Memory};

    const CORRECT: SaveCheckpoint = SaveCheckpoint::WithResult;

    /// A seed that ever failed stays a test case: extend the range to it, or test it by its number.
    #[test]
    fn payments_are_counted_once_under_random_faults() -> Result<(), Failure> {
        assert_eq!(failing_seeds(CORRECT, 100)?, [0u64; 0]);
        Ok(())
    }

    /// Shows that the test above can fail.
    #[test]
    fn checkpoint_saved_too_early_fails_under_random_faults() -> Result<(), Failure> {
        assert!(!failing_seeds(SaveCheckpoint::BeforeProcessing, 100)?.is_empty());
        Ok(())
    }

    /// Faults can also be chosen: here the server crashes once, and restarts after a minute.
    #[test]
    fn application_recovers_after_one_minute_outage() -> Result<(), Failure> {
        let minute = Duration::from_secs(60);
        let crash = Incident::Restart { down: minute, memory: Memory::Kept };
        let schedule = Schedule::new().at(Duration::from_millis(200), crash);
        let outcome = simulate(1, &Faults { schedule, lifetimes: vec![] }, CORRECT)?;
        assert!(outcome.is_correct(), "{:?}", outcome.account);
        // It continues soon after the restart, and does not flood the server during the outage.
        assert!(outcome.elapsed < 3 * minute, "{:?}", outcome.elapsed);
        assert!(outcome.requests < 300, "{}", outcome.requests);
        Ok(())
    }

    /// Every third request is executed, but its response is lost: the client does not know the outcome.
    #[test]
    fn lost_responses_change_no_result() -> Result<(), Failure> {
        let every_third = (0..30).step_by(3);
        let schedule = every_third.fold(Schedule::new(), |all, n| all.request(n, Fault::LoseResponse));
        assert!(simulate(2, &Faults { schedule, lifetimes: vec![] }, CORRECT)?.is_correct());
        Ok(())
    }

    #[test]
    fn same_seed_gives_same_trace() -> Result<(), Failure> {
        let first = simulate(3, &Faults::random(3), CORRECT)?;
        let second = simulate(3, &Faults::random(3), CORRECT)?;
        assert_eq!(first.trace, second.trace);
        Ok(())
    }
}
