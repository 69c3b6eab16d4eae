//! The driver with a scripted server and clock: orders of events that no real server gives reliably.

use super::wire::Wire;
use crate::error::StreamError;
use crate::exchange::error_action::ErrorAction;
use crate::offset::Offset;
use crate::outage::ConnectionStatus;
use crate::producer::builder::ProducerBuilder;
use crate::producer::error::ProducerError;
use crate::producer::handle::IdempotentProducer;
use crate::producer::receipt::Ack;
use crate::testing::{ManualRuntime, Rig, ScriptedTransport, poll_once};
use durable_streams_contract::TransportErrorKind;
use http::{HeaderMap, HeaderValue, Method};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

type Builder = ProducerBuilder<ScriptedTransport, ManualRuntime>;
type Producer = IdempotentProducer<ScriptedTransport, ManualRuntime>;
type Closing<'a> = Pin<Box<dyn Future<Output = Result<Ack, ProducerError>> + 'a>>;

const FORBIDDEN: u16 = 403;

fn head(tail: &str) -> [(&'static str, &str); 2] {
    [("stream-next-offset", tail), ("content-type", "text/plain")]
}

fn stored<'a>(offset: &'a str, seq: &'a str) -> [(&'static str, &'a str); 3] {
    [("stream-next-offset", offset), ("producer-epoch", "0"), ("producer-seq", seq)]
}

const CLOSED: [(&str, &str); 4] = [
    ("stream-next-offset", "0_5"),
    ("producer-epoch", "0"),
    ("producer-seq", "0"),
    ("stream-closed", "true"),
];

fn producer(rig: &Rig, configure: impl FnOnce(Builder) -> Builder) -> Producer {
    let builder = rig.stream().producer("p").linger(Duration::ZERO);
    configure(builder.drain_timeout(Duration::from_secs(1))).try_build().unwrap()
}

#[test]
fn tail_check_that_ends_after_an_abort_does_not_move_unacked_from() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.content_type("text/plain").auto_claim(true));
    let first = producer.append("a").unwrap();
    rig.run();
    assert_eq!(rig.methods(), [Method::HEAD]);
    rig.respond(0, 200, &head("0_0"));
    rig.run();
    rig.respond(1, 200, &stored("0_5", "0"));
    rig.run();
    assert!(first.try_result().unwrap().is_ok());

    // The second record may be stored: the first attempt has no definite result, and the server has lost the
    // producer's state when the second one arrives.
    let second = producer.append("b").unwrap();
    rig.run();
    rig.respond(2, 503, &[]);
    rig.run();
    rig.advance(Duration::from_millis(100));
    rig.run();
    rig.respond(3, 409, &[("producer-expected-seq", "0"), ("producer-received-seq", "1")]);
    rig.run();
    assert_eq!(rig.methods()[4], Method::HEAD);

    // In one round: the tail check is pending, the drain timeout aborts the producer, the tail check is ready.
    producer.detach();
    rig.run();
    rig.advance(Duration::from_secs(1));
    rig.respond_at_second_poll(4, 200, &head("0_9"));
    rig.run();

    assert!(matches!(second.try_result(), Some(Err(ProducerError::Timeout { .. }))));
    assert_eq!(producer.unacked_from(), Some(Offset::parse("0_5")));
    assert!(producer.take_unacked()[0].may_be_stored);
}

/// Closes the stream without a record, on a stream of unknown content type. Returns the poll of the result.
fn close<'a>(rig: &Rig, producer: &'a Producer) -> Closing<'a> {
    let mut closing: Closing<'a> = Box::pin(producer.close_stream());
    assert!(poll_once(&mut closing).is_none());
    rig.run();
    closing
}

#[test]
fn close_without_a_record_needs_no_content_type() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder);
    let mut closing = close(&rig, &producer);
    // A HEAD here could be refused, and fail a producer whose close succeeds.
    assert_eq!(rig.methods(), [Method::POST]);
    rig.respond(0, 204, &CLOSED);
    rig.run();
    assert_eq!(poll_once(&mut closing).unwrap().unwrap().offset, Some(Offset::parse("0_5")));
    assert_eq!(rig.methods(), [Method::POST]);
}

#[test]
fn close_without_a_record_is_retried_without_a_head() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder);
    let mut closing = close(&rig, &producer);
    rig.respond(0, 503, &[]);
    rig.run();
    rig.advance(Duration::from_millis(100));
    rig.run();
    rig.break_connection(1);
    rig.run();
    rig.advance(Duration::from_secs(1));
    rig.run();
    rig.respond(2, 204, &CLOSED);
    rig.run();
    assert!(poll_once(&mut closing).unwrap().is_ok());
    assert_eq!(rig.methods(), [Method::POST, Method::POST, Method::POST]);
}

#[test]
fn close_without_a_record_under_auto_claim_needs_no_head() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.auto_claim(true));
    let mut closing = close(&rig, &producer);
    rig.respond(0, 204, &CLOSED);
    rig.run();
    assert!(poll_once(&mut closing).unwrap().is_ok());
    assert_eq!(rig.methods(), [Method::POST]);
}

#[test]
fn close_after_records_waits_for_their_content_type() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder);
    let record = producer.append("a").unwrap();
    let mut closing = close(&rig, &producer);
    assert_eq!(rig.methods(), [Method::HEAD]);
    rig.respond(0, 200, &head("0_0"));
    rig.run();
    rig.respond(1, 200, &stored("0_5", "0"));
    rig.run();
    assert!(record.try_result().unwrap().is_ok());
    let last = [CLOSED[0], CLOSED[1], ("producer-seq", "1"), CLOSED[3]];
    rig.respond(2, 204, &last);
    rig.run();
    assert!(poll_once(&mut closing).unwrap().is_ok());
    assert_eq!(rig.methods(), [Method::HEAD, Method::POST, Method::POST]);
}

#[test]
fn refused_close_without_a_record_reports_that_refusal() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder);
    let mut closing = close(&rig, &producer);
    rig.respond(0, FORBIDDEN, &[]);
    rig.run();
    let error = poll_once(&mut closing).unwrap().unwrap_err();
    assert!(matches!(error.stream_error(), Some(crate::error::StreamError::Forbidden)), "{error}");
}

/// Two credentials: each refusal of one makes the error handler return the next.
fn rotating(builder: Builder) -> Builder {
    let next = std::sync::atomic::AtomicUsize::new(0);
    builder.on_error(move |_| {
        let token = ["one", "two", "three"][next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)];
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static(token))]);
        ErrorAction::Retry { headers: Some(headers) }
    })
}

fn token(rig: &Rig, index: usize) -> Option<HeaderValue> {
    rig.request(index, |sent| sent.headers.get(http::header::AUTHORIZATION).cloned())
}

#[test]
fn headers_of_the_error_handler_are_sent_with_later_batches() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| rotating(builder.content_type("text/plain").auto_claim(true)));
    let first = producer.append("a").unwrap();
    rig.run();
    rig.respond(0, 200, &head("0_0"));
    rig.run();
    rig.respond(1, 401, &[]);
    rig.run();
    rig.advance(Duration::from_secs(1));
    rig.run();
    assert_eq!(token(&rig, 2), Some(HeaderValue::from_static("one")));
    rig.respond(2, 200, &stored("0_5", "0"));
    rig.run();
    assert!(first.try_result().unwrap().is_ok());
    producer.append("b").unwrap();
    rig.run();
    assert_eq!(token(&rig, 3), Some(HeaderValue::from_static("one")));
}

#[test]
fn headers_that_the_metadata_probe_got_are_sent_with_the_batches() {
    let rig = Rig::new();
    let producer = producer(&rig, rotating);
    producer.append("a").unwrap();
    rig.run();
    assert_eq!(rig.methods(), [Method::HEAD]);
    rig.respond(0, 401, &[]);
    rig.run();
    rig.advance(Duration::from_secs(1));
    rig.run();
    assert_eq!(token(&rig, 1), Some(HeaderValue::from_static("one")));
    rig.respond(1, 200, &head("0_0"));
    rig.run();
    assert_eq!(rig.methods()[2], Method::POST);
    assert_eq!(token(&rig, 2), Some(HeaderValue::from_static("one")));
}

/// A probe works on a clone of the wire, and may end after an attempt was refused.
#[test]
fn probe_neither_misses_nor_overwrites_headers_that_were_set_while_it_was_in_flight() {
    let rig = Rig::new();
    let wire = Wire::new(rig.stream(), HeaderValue::from_static("p"), None, false);
    let of_probe = wire.clone();
    let mut first = Box::pin(of_probe.head());
    assert!(poll_once(&mut first).is_none());

    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("new"))]);
    wire.set_extra_headers(Some(headers));
    rig.respond(0, 503, &[]);
    assert!(poll_once(&mut first).unwrap().is_err());

    // The probe's retry, and an attempt after the probe has ended.
    let mut second = Box::pin(of_probe.head());
    assert!(poll_once(&mut second).is_none());
    rig.respond(1, 200, &head("0_0"));
    assert!(poll_once(&mut second).unwrap().is_ok());
    let mut third = Box::pin(wire.head());
    assert!(poll_once(&mut third).is_none());
    let new = Some(HeaderValue::from_static("new"));
    assert_eq!((token(&rig, 0), token(&rig, 1), token(&rig, 2)), (None, new.clone(), new));
}

#[test]
fn batch_after_a_path_failure_asks_for_a_new_connection() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.content_type("text/plain"));
    let record = producer.append("a").unwrap();
    rig.run();
    rig.respond(0, 502, &[]);
    rig.run();
    rig.advance(Duration::from_secs(1));
    rig.run();
    rig.break_connection(1);
    rig.run();
    rig.advance(Duration::from_secs(2));
    rig.run();
    rig.respond(2, 200, &stored("0_5", "0"));
    rig.run();
    assert!(record.try_result().unwrap().is_ok());
    producer.append("b").unwrap();
    rig.run();
    let fresh: Vec<bool> =
        (0..rig.sent()).map(|index| rig.request(index, |sent| sent.is_fresh_connection)).collect();
    assert_eq!(fresh, [false, true, true, false]);
}

#[test]
fn error_handler_is_not_asked_about_a_state_loss() {
    let rig = Rig::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let producer = producer(&rig, |builder| {
        builder.content_type("text/plain").auto_claim(true).on_error(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            ErrorAction::Stop
        })
    });
    producer.append("a").unwrap();
    rig.run();
    rig.respond(0, 200, &head("0_0"));
    rig.run();
    rig.respond(1, 200, &stored("0_5", "0"));
    rig.run();
    producer.append("b").unwrap();
    rig.run();
    // The producer itself recovers from this, by a new epoch.
    rig.respond(2, 400, &[]);
    rig.run();
    rig.respond(3, 200, &head("0_5"));
    rig.run();
    rig.request(4, |sent| assert_eq!(sent.headers["producer-epoch"], "1"));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn gap_without_the_received_number_reports_the_number_that_was_sent() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.content_type("text/plain"));
    producer.append("a").unwrap();
    rig.run();
    rig.respond(0, 200, &stored("0_5", "0"));
    rig.run();
    let second = producer.append("b").unwrap();
    rig.run();
    rig.respond(1, 409, &[("producer-expected-seq", "0")]);
    rig.run();
    let result = second.try_result();
    assert!(
        matches!(result, Some(Err(ProducerError::SequenceGap { expected: 0, received: 1 }))),
        "{result:?}"
    );
}

#[test]
fn success_without_the_producers_epoch_halts_the_producer_unless_accepted() {
    for accepted in [false, true] {
        let rig = Rig::new();
        let producer =
            producer(&rig, |builder| builder.content_type("text/plain").accept_missing_epoch(accepted));
        let receipt = producer.append("a").unwrap();
        rig.run();
        rig.respond(0, 200, &[("stream-next-offset", "0_1")]);
        rig.run();
        match receipt.try_result().unwrap() {
            Ok(_) => assert!(accepted),
            Err(error) => {
                assert!(
                    !accepted
                        && matches!(&error, ProducerError::Stream(error) if matches!(error.kind(), StreamError::NotSupported)),
                    "{error}"
                );
                assert!(error.to_string().contains("accept_missing_epoch"), "{error}");
            }
        }
    }
}

#[test]
fn batch_that_was_not_processed_is_sent_again_and_is_not_in_doubt() {
    for status in [421, 425, 429] {
        let rig = Rig::new();
        let producer = producer(&rig, |builder| builder.content_type("text/plain"));
        let receipt = producer.append("a").unwrap();
        rig.run();
        rig.respond(0, status, &[]);
        rig.run();
        rig.advance(Duration::from_secs(1));
        rig.run();
        // A batch in doubt would make this an unknown outcome.
        rig.respond(1, 403, &[]);
        rig.run();
        assert!(receipt.try_result().unwrap().is_err());
        assert!(!producer.take_unacked()[0].may_be_stored, "{status}");
    }
}

#[test]
fn outage_of_a_producer_is_shown_until_the_next_acknowledgement() {
    let rig = Rig::new();
    let status = ConnectionStatus::new();
    let producer = producer(&rig, |builder| builder.connection_status(status.clone()));
    let receipt = producer.append("a").unwrap();
    rig.run();
    // The HEAD before the first batch.
    rig.break_connection(0);
    rig.run();
    assert!(matches!(status.outage().unwrap().cause.kind(), StreamError::Network(_)));
    rig.advance(Duration::from_secs(1));
    rig.run();
    rig.respond(1, 200, &head("0_0"));
    rig.run();
    assert!(status.outage().is_none());
    for request in [2, 3] {
        rig.respond(request, 503, &[]);
        rig.run();
        rig.advance(Duration::from_secs(1));
        rig.run();
    }
    assert_eq!(status.outage().unwrap().failed_attempts, 2);
    rig.respond(4, 200, &stored("0_1", "0"));
    rig.run();
    assert!(receipt.try_result().unwrap().is_ok() && status.outage().is_none());
}

#[test]
fn large_batch_that_could_not_be_sent_for_its_certificate_halts_the_producer() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.content_type("text/plain"));
    let receipts = [0; 2].map(|_| producer.append(vec![b'x'; 50_000]).unwrap());
    rig.run();
    // A stale connection took the request first, so that the transport had begun to count.
    rig.request(0, |sent| sent.upload.as_ref().unwrap().start());
    rig.fail(0, TransportErrorKind::Tls);
    rig.run();
    for receipt in &receipts {
        assert!(matches!(receipt.try_result(), Some(Err(ProducerError::Stream(_)))));
    }
    assert_eq!(rig.sent(), 1);
}

#[test]
fn batch_that_a_gateway_refuses_before_it_has_all_of_it_is_sent_again_in_parts() {
    let rig = Rig::new();
    let producer = producer(&rig, |builder| builder.content_type("text/plain"));
    let receipts = [0; 2].map(|_| producer.append(vec![b'x'; 50_000]).unwrap());
    rig.run();
    rig.request(0, |sent| sent.upload.as_ref().unwrap().start());
    rig.respond(0, 502, &[]);
    rig.run();
    for (index, offset) in ["0_1", "0_2"].into_iter().enumerate() {
        rig.advance(Duration::from_secs(1));
        rig.run();
        rig.respond(index + 1, 200, &stored(offset, ["0", "1"][index]));
        rig.run();
        assert!(receipts[index].try_result().unwrap().is_ok());
    }
    assert_eq!(rig.sent(), 3);
}
