//! Days that are about one thing. What takes several rare things at once is met in them, and hardly ever otherwise.

use crate::plan::{BUSY, Finish, Live, Mishap, Plan, Reader, Way, Who, Writer};
use durable_streams_sim::{Event, Fault, Incident, Memory, Rng};
use std::time::Duration;

/// What a day is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Nothing in particular.
    Anything,
    /// A server that crashes and forgets its producers, while some answers are lost.
    Oblivion,
    /// Producers that give up soon, and say from where their records are to be looked for.
    GivingUp,
    /// Something that refuses bodies for their size now and then, while answers are lost.
    TooLarge,
    /// A stream that is closed while others still write to it.
    Closing,
    /// Two processes that take an epoch from each other, again and again.
    Duel,
    /// Producers that are let go while the server is away.
    LettingGo,
    /// A producer that crashes again and again, whose requests arrive late.
    Succession,
    /// Readers on a line that breaks all the time.
    Breaking,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Anything,
        Self::Oblivion,
        Self::GivingUp,
        Self::TooLarge,
        Self::Closing,
        Self::Duel,
        Self::LettingGo,
        Self::Succession,
        Self::Breaking,
    ];

    /// Every third day is about nothing in particular.
    pub(crate) fn of(rng: &mut Rng) -> Self {
        if rng.percent(34) { Self::Anything } else { *rng.pick(&Self::ALL[1..]) }
    }

    /// Makes a day of chance one of this theme.
    pub(crate) fn shape(self, rng: &mut Rng, plan: &mut Plan) {
        match self {
            Self::Anything => {}
            Self::Oblivion => oblivion(rng, plan),
            Self::GivingUp => giving_up(rng, plan),
            Self::TooLarge => too_large(rng, plan),
            Self::Closing => closing(rng, plan),
            Self::Duel => duel(rng, plan),
            Self::LettingGo => letting_go(rng, plan),
            Self::Succession => succession(rng, plan),
            Self::Breaking => breaking(rng, plan),
        }
    }
}

fn oblivion(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    for writer in &mut plan.writers {
        if let Way::Producer { auto_claim, in_flight, .. } = &mut writer.way {
            (*auto_claim, *in_flight) = (true, rng.between(2, 5) as usize);
        }
    }
    let percent = *rng.pick(&[15, 40]);
    plan.mishaps =
        strewn(rng, percent, &[Fault::LoseAnswer, Fault::LoseAnswer, Fault::LoseRequest, Fault::Refuse]);
    let mut at = rng.duration(Duration::ZERO, BUSY / 2);
    for _ in 0..rng.between(1, 4) {
        let down = rng.duration(Duration::from_micros(1), Duration::from_millis(100));
        let restart = Incident::Restart { down, memory: Memory::WithoutProducers };
        plan.mishaps.push(Mishap::World(Event::At(at, restart)));
        // Often soon enough to meet what the last one has led to.
        at += down + rng.duration(Duration::from_millis(1), Duration::from_millis(250));
    }
}

fn giving_up(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    for writer in &mut plan.writers {
        if let Way::Producer { retries, .. } = &mut writer.way {
            *retries = Some(rng.below(3) as u32);
        }
    }
    let refusal = Fault::Status { status: *rng.pick(&[401, 403, 404]), retry_after: None, applied: false };
    let mut faults = vec![Fault::LoseAnswer, Fault::LoseAnswer, Fault::LoseRequest];
    if rng.percent(50) {
        faults.push(refusal);
    }
    plan.mishaps = strewn(rng, 30, &faults);
}

fn too_large(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    for writer in &mut plan.writers {
        writer.pace = Duration::ZERO;
        if let Way::Producer { batch_items, .. } = &mut writer.way {
            *batch_items = rng.between(2, 6) as usize;
        }
    }
    let refusal = Fault::Status { status: 413, retry_after: None, applied: false };
    let mut faults = vec![Fault::LoseAnswer, Fault::LoseAnswer, refusal];
    if rng.percent(50) {
        // Some of what is given up arrives later.
        faults.extend(late(rng, 2));
        plan.writers.iter_mut().for_each(|writer| writer.header_timeout = Some(rng.duration(SOON, LATE)));
    }
    plan.mishaps = strewn(rng, 40, &faults);
}

fn closing(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    let mut closer = plan.writers[0].clone();
    closer.records = rng.between(1, 6) as usize;
    closer.finish = Finish::CloseStream(rng.percent(50));
    plan.writers.truncate(1);
    plan.writers.push(closer);
    plan.mishaps = strewn(rng, 30, &[Fault::LoseAnswer, Fault::LoseAnswer, Fault::LoseRequest]);
}

fn duel(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    plan.writers.truncate(1);
    let writer = &mut plan.writers[0];
    (writer.records, writer.pace) = (24, Duration::from_millis(60));
    claiming(writer);
    let at = rng.duration(Duration::ZERO, BUSY / 4);
    let sleep = rng.duration(Duration::from_millis(1), Duration::from_millis(100));
    let percent = *rng.pick(&[0, 10]);
    plan.mishaps = strewn(rng, percent, &[Fault::LoseAnswer, Fault::LoseRequest]);
    plan.mishaps.push(Mishap::Zombie { writer: 0, at, sleep });
}

fn letting_go(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    for writer in &mut plan.writers {
        writer.finish = if rng.percent(70) { Finish::Detach } else { Finish::Drop };
    }
    plan.mishaps =
        strewn(rng, 15, &[Fault::LoseAnswer, Fault::Hang { applied: true }, Fault::Hang { applied: false }]);
    let away = rng.duration(Duration::from_secs(20), Duration::from_secs(100));
    let incident = match rng.percent(50) {
        true => Incident::Restart { down: away, memory: Memory::Kept },
        false => Incident::Blackout(away),
    };
    plan.mishaps.push(Mishap::World(Event::At(rng.duration(Duration::ZERO, BUSY), incident)));
}

fn succession(rng: &mut Rng, plan: &mut Plan) {
    work_hard(rng, plan);
    plan.writers.truncate(1);
    let writer = &mut plan.writers[0];
    claiming(writer);
    writer.header_timeout = Some(rng.duration(SOON, LATE));
    let mut faults = late(rng, 4);
    faults.push(Fault::LoseAnswer);
    plan.mishaps = strewn(rng, 50, &faults);
    for number in 0..rng.between(1, 3) {
        // The first crash comes early: a run of a few batches is what the next is most easily mistaken for.
        let latest = if number == 0 { BUSY / 10 } else { BUSY };
        plan.mishaps.push(Mishap::Crash { who: Who::Writer(0), at: rng.duration(Duration::ZERO, latest) });
    }
}

fn breaking(rng: &mut Rng, plan: &mut Plan) {
    let readers = plan.readers.len();
    for reader in &mut plan.readers {
        (reader.from_now, reader.begins) = (false, Duration::ZERO);
        reader.save_every = 1;
    }
    plan.writers.truncate(1);
    let cut = |rng: &mut Rng| rng.index(300);
    let faults: Vec<Fault> = (0..6)
        .flat_map(|_| [Fault::CutBody { after: cut(rng) }, Fault::EndEvents { after: cut(rng) }])
        .chain([Fault::Stale, Fault::Stale, Fault::Stale, Fault::LoseAnswer])
        .collect();
    plan.mishaps = strewn(rng, 70, &faults);
    for _ in 0..rng.between(0, 6) {
        let who = Who::Reader(rng.index(readers));
        plan.mishaps.push(Mishap::Crash { who, at: rng.duration(Duration::ZERO, 2 * BUSY) });
    }
}

/// A day of producers that have something to do, and of one reader, who leaves most of the faults to them.
fn work_hard(rng: &mut Rng, plan: &mut Plan) {
    plan.readers.truncate(1);
    let reader: &mut Reader = &mut plan.readers[0];
    (reader.live, reader.items, reader.from_now) = (Live::LongPoll, false, false);
    for writer in &mut plan.writers {
        writer.records = rng.between(8, 24) as usize;
        writer.pace = *rng.pick(&[Duration::ZERO, Duration::from_millis(4), Duration::from_millis(60)]);
        writer.finish = Finish::Close;
        writer.careless = false;
        writer.way = Way::Producer {
            auto_claim: rng.percent(50),
            in_flight: rng.between(1, 5) as usize,
            batch_items: *rng.pick(&[1, 1, 2, 5]),
            batch_bytes: 1_000_000,
            linger: Duration::from_millis(1),
            buffered_bytes: 32_000_000,
            buffered_records: usize::MAX,
            retries: None,
        };
    }
}

fn claiming(writer: &mut Writer) {
    if let Way::Producer { auto_claim, .. } = &mut writer.way {
        *auto_claim = true;
    }
}

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(500);

/// Requests and answers that arrive when nobody waits for them any more.
fn late(rng: &mut Rng, kinds: usize) -> Vec<Fault> {
    let most = 2 * LATE;
    (0..kinds)
        .map(|_| Fault::Delay { request: rng.duration(SOON, most), answer: rng.duration(SOON, most) })
        .collect()
}

/// So many of a hundred requests meet one of these faults.
fn strewn(rng: &mut Rng, percent: u64, faults: &[Fault]) -> Vec<Mishap> {
    let requests = (0..80).filter(|_| rng.percent(percent)).collect::<Vec<_>>();
    requests
        .into_iter()
        .map(|number| Mishap::World(Event::Request(number, rng.pick(faults).clone())))
        .collect()
}
