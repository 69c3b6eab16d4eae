use super::batch::{Batch, BatchFraming, RecordKind, Sealed};
use super::buffer::{Limits, Queue, Room};
use crate::producer::receipt::Delivery;
use std::time::{Duration, Instant};

fn limits() -> Limits {
    Limits {
        batch_bytes: 20,
        batch_items: 4,
        buffered_bytes: 10_000_000,
        buffered_records: 1_000_000,
        linger: Duration::from_millis(5),
    }
}

struct Rig {
    queue: Queue,
    now: Instant,
}

impl Rig {
    fn new(limits: Limits, framing: Option<BatchFraming>) -> Self {
        Self { queue: Queue::new(limits, framing), now: Instant::now() }
    }

    fn push(&mut self, kind: RecordKind, record: &str) -> (Delivery, bool) {
        assert_eq!(self.queue.room(kind, record.len()), Room::Yes);
        let (index, news) = self.queue.push(kind, record.as_bytes(), || self.now);
        let delivery = Delivery::new(self.queue.receipt().clone(), index);
        (delivery, self.queue.seal_if_full() | news)
    }

    fn pop(&mut self) -> Option<Batch> {
        match self.queue.pop(self.now)? {
            Sealed::Ready(batch) => Some(batch),
            Sealed::Unframed(_) => panic!("it is not framed"),
        }
    }

    /// Everything that is due, as text, settled in order.
    fn drain(&mut self) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(batch) = self.pop() {
            bodies.push(String::from_utf8(batch.body.to_vec()).unwrap());
            self.settle(&batch);
        }
        bodies
    }

    fn settle(&mut self, batch: &Batch) {
        self.queue.settle(batch.id, batch.records(), batch.cost());
    }
}

#[test]
fn batch_is_sealed_by_bytes_items_or_linger_time() {
    let mut rig = Rig::new(limits(), Some(BatchFraming::Bytes));
    assert!(rig.push(RecordKind::Bytes, "12345678").1, "the driver has to start the clock");
    assert!(!rig.push(RecordKind::Bytes, "12345678").1, "nothing new");
    assert!(rig.pop().is_none());
    // 21 bytes would be too many.
    assert!(rig.push(RecordKind::Bytes, "12345").1);
    assert_eq!(rig.drain(), ["1234567812345678"]);
    // Exactly 20 are not.
    assert!(rig.push(RecordKind::Bytes, "123456789012345").1);
    assert_eq!(rig.drain(), ["12345123456789012345"]);

    for _ in 0..3 {
        rig.push(RecordKind::Bytes, "a");
    }
    assert!(rig.pop().is_none());
    assert!(rig.push(RecordKind::Bytes, "a").1);
    assert_eq!(rig.drain(), ["aaaa"]);

    rig.push(RecordKind::Bytes, "a");
    let due = rig.queue.due_at().unwrap();
    assert_eq!(due, rig.now + Duration::from_millis(5));
    rig.now = due;
    assert_eq!(rig.drain(), ["a"]);
    assert_eq!((rig.queue.due_at(), rig.queue.is_settled()), (None, true));
    assert_eq!((rig.queue.bytes(), rig.queue.records()), (0, 0));
}

#[test]
fn record_above_the_batch_limit_is_sent_alone() {
    let mut rig = Rig::new(limits(), Some(BatchFraming::Array));
    rig.push(RecordKind::Json, "1");
    let long = format!("\"{}\"", "x".repeat(50));
    rig.push(RecordKind::Json, &long);
    rig.push(RecordKind::Json, "2");
    rig.queue.flush();
    assert_eq!(rig.drain(), ["[1]".to_owned(), format!("[{long}]"), "[2]".to_owned()]);
}

/// Guarantee 35.
#[test]
fn body_never_exceeds_the_batch_limit() {
    for framing in [Some(BatchFraming::Bytes), Some(BatchFraming::Array), None] {
        for kind in [RecordKind::Bytes, RecordKind::Json] {
            if (framing, kind) == (Some(BatchFraming::Array), RecordKind::Bytes) {
                continue;
            }
            for target in [BatchFraming::Bytes, BatchFraming::Array] {
                let limits = Limits { batch_items: 100, ..limits() };
                let mut rig = Rig::new(limits, framing);
                for length in (0..200).map(|n| 1 + n % 7) {
                    rig.push(kind, &"1".repeat(length));
                }
                rig.queue.flush();
                let mut bytes = 0;
                while let Some(sealed) = rig.queue.pop(rig.now) {
                    let batches = match sealed {
                        Sealed::Ready(batch) => vec![batch],
                        Sealed::Unframed(unframed) => unframed.frame(target).batches,
                    };
                    for batch in batches {
                        assert!(batch.body.len() <= 20, "{framing:?} {kind:?} {target:?}: {:?}", batch.body);
                        bytes += batch.body.len();
                    }
                }
                assert!(bytes >= 200);
            }
        }
    }
}

/// Guarantee 34.
#[test]
fn settled_records_free_their_room() {
    let limits = Limits { buffered_bytes: 20, buffered_records: 3, ..limits() };
    let mut rig = Rig::new(limits, Some(BatchFraming::Bytes));
    assert_eq!(rig.queue.room(RecordKind::Bytes, 16), Room::Yes);
    assert_eq!(rig.queue.room(RecordKind::Bytes, 17), Room::Never);
    assert_eq!(rig.queue.room(RecordKind::Json, 16), Room::Never);
    rig.push(RecordKind::Bytes, "1234567890");
    assert_eq!(rig.queue.room(RecordKind::Bytes, 3), Room::Full);
    rig.push(RecordKind::Bytes, "12");
    rig.queue.flush();
    let batch = rig.pop().unwrap();
    assert_eq!(rig.queue.room(RecordKind::Bytes, 1), Room::Full);
    rig.settle(&batch);
    for _ in 0..3 {
        rig.push(RecordKind::Bytes, "1");
    }
    assert_eq!(rig.queue.room(RecordKind::Bytes, 1), Room::Full, "by records");
    assert_eq!(rig.queue.free(), (20 - 15, 0));
}

#[test]
fn flush_waits_for_earlier_records() {
    let mut rig = Rig::new(limits(), Some(BatchFraming::Bytes));
    let target = rig.queue.flush();
    assert!(rig.queue.is_settled_before(target));
    rig.push(RecordKind::Bytes, "a");
    let first = rig.queue.flush();
    let a = rig.pop().unwrap();
    rig.push(RecordKind::Bytes, "b");
    let second = rig.queue.flush();
    let b = rig.pop().unwrap();
    // Out of order, as answers come.
    rig.settle(&b);
    assert!(!rig.queue.is_settled_before(first) && !rig.queue.is_settled_before(second));
    rig.settle(&a);
    assert!(rig.queue.is_settled_before(first) && rig.queue.is_settled_before(second));

    // The parts of a split batch settle one by one.
    rig.push(RecordKind::Bytes, "c");
    rig.push(RecordKind::Bytes, "d");
    let target = rig.queue.flush();
    let parts = rig.pop().unwrap().split_to(1);
    rig.settle(&parts[0]);
    assert!(!rig.queue.is_settled_before(target));
    rig.settle(&parts[1]);
    assert!(rig.queue.is_settled_before(target));
    assert_eq!((rig.queue.bytes(), rig.queue.records()), (0, 0));
}

#[test]
fn split_keeps_records_with_their_receipts() {
    for (framing, kind, whole) in [
        (BatchFraming::Bytes, RecordKind::Bytes, "1234567"),
        (BatchFraming::Array, RecordKind::Json, "[1,2,3,4,5,6,7]"),
        (BatchFraming::Bytes, RecordKind::Json, "1\n2\n3\n4\n5\n6\n7\n"),
    ] {
        let mut rig = Rig::new(Limits { batch_items: 10, ..limits() }, Some(framing));
        let deliveries: Vec<_> = (1..8).map(|n| rig.push(kind, &n.to_string()).0).collect();
        rig.queue.flush();
        let batch = rig.pop().unwrap();
        assert_eq!(batch.body, whole);
        let cost = batch.cost();
        let halves = batch.split_to(whole.len().div_ceil(2));
        assert!(halves.iter().all(|half| half.body.len() <= whole.len().div_ceil(2)), "{halves:?}");
        let parts: Vec<_> = halves.into_iter().flat_map(|half| half.split_to(1)).collect();
        assert_eq!(parts.iter().map(Batch::cost).sum::<usize>(), cost);
        for (number, part) in parts.iter().enumerate() {
            let digit = (number + 1).to_string();
            let expected = match (framing, kind) {
                (BatchFraming::Array, _) => format!("[{digit}]"),
                (_, RecordKind::Json) => format!("{digit}\n"),
                (_, RecordKind::Bytes) => digit.clone(),
            };
            assert_eq!(part.body, expected);
            let record = part.unacked(true).next().unwrap();
            assert_eq!(record.data.trim_ascii(), digit.as_bytes());
            assert!(deliveries[number].try_result().is_none());
            assert!(part.settle(Err(crate::ProducerError::Closed)).is_empty());
            assert!(deliveries[number].try_result().is_some());
        }
    }
}

#[test]
fn records_before_the_content_type_are_framed_later() {
    for (framing, bodies) in [
        (BatchFraming::Bytes, vec!["x 1 {}\n"]),
        // A record that is not JSON fails alone. The records around it become separate batches.
        (BatchFraming::Array, vec!["[1,{}]"]),
    ] {
        let mut rig = Rig::new(limits(), None);
        let bad = rig.push(RecordKind::Bytes, "x").0;
        let good = rig.push(RecordKind::Bytes, " 1 ").0;
        rig.push(RecordKind::Json, "{}");
        rig.queue.set_framing(framing);
        rig.push(RecordKind::Json, "7");
        let Some(Sealed::Unframed(unframed)) = rig.queue.pop(rig.now) else { panic!("it is framed") };
        let (id, cost) = (unframed.id, unframed.cost());
        let framed = unframed.frame(framing);
        let texts: Vec<_> = framed.batches.iter().map(|batch| batch.body.clone()).collect();
        assert_eq!(texts, bodies);
        let saved = cost - framed.batches.iter().map(Batch::cost).sum::<usize>();
        if framing == BatchFraming::Array {
            assert_eq!(framed.refused, 1);
            assert!(matches!(bad.try_result(), Some(Err(_))) && framed.error.is_some());
            rig.queue.settle(id, 1, saved);
        } else {
            assert_eq!((framed.refused, bad.try_result().is_none()), (0, true));
            rig.queue.shrink(saved);
        }
        for batch in &framed.batches {
            assert!(batch.settle(Err(crate::ProducerError::Closed)).is_empty());
            rig.settle(batch);
        }
        assert!(good.try_result().is_some());
        rig.queue.flush();
        rig.drain();
        assert_eq!((rig.queue.bytes(), rig.queue.records(), rig.queue.is_settled()), (0, 0, true));
    }
}

#[test]
fn close_is_the_last_batch_and_separate() {
    let mut rig = Rig::new(limits(), Some(BatchFraming::Array));
    rig.push(RecordKind::Json, "1");
    rig.queue.push_close(Some((RecordKind::Json, b"2")), Instant::now);
    let (first, last) = (rig.pop().unwrap(), rig.pop().unwrap());
    assert_eq!((first.closing, last.closing), (false, true));
    assert_eq!((&first.body[..], &last.body[..]), (&b"[1]"[..], &b"[2]"[..]));
    rig.settle(&first);
    rig.settle(&last);
    assert!(rig.queue.is_settled());

    let mut rig = Rig::new(limits(), None);
    rig.queue.push_close(None, Instant::now);
    assert!(rig.queue.is_close_only_next() && !rig.queue.is_settled());
    let end = rig.pop().unwrap();
    assert!(end.is_close_only() && end.unacked(true).next().is_none());
    rig.settle(&end);
    assert!(rig.queue.is_settled());
}

#[test]
fn small_batches_do_not_keep_spare_capacity() {
    let mut rig = Rig::new(
        Limits { batch_bytes: 1_000_000, batch_items: 1_000_000, ..limits() },
        Some(BatchFraming::Bytes),
    );
    for _ in 0..100_000 {
        rig.push(RecordKind::Bytes, "0123456789");
    }
    rig.queue.flush();
    rig.drain();
    // The next is expected to be as large, but is not.
    rig.push(RecordKind::Bytes, "x");
    assert_eq!(rig.queue.flush(), 2);
    let batch = rig.pop().unwrap();
    let vec: Vec<u8> = batch.body.clone().into();
    assert!(vec.capacity() < 1000, "{}", vec.capacity());
}
