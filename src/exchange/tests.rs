//! Responses that cannot be the answer to their request, in every kind of exchange.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, StreamError};
use crate::testing::{Rig, ScriptedStream, poll_once};
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::time::Duration;

type Start = fn(ScriptedStream) -> Running;
type Running = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

const HEAD: [(&str, &str); 2] = [("stream-next-offset", "0_0"), ("content-type", "text/plain")];
const PORTAL: [(&str, &str); 1] = [("content-type", "text/html")];

/// A rig whose server has responded once, about the stream of the handle.
fn known_stream(rig: &Rig) -> ScriptedStream {
    let stream = rig.stream().with_content_type("text/plain");
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(0, 200, &HEAD);
    assert!(poll_once(&mut head).unwrap().is_ok());
    stream.clone()
}

/// Every operation that a stream has, but create and delete.
const OPERATIONS: [(&str, Start); 4] = [
    ("head", |stream| Box::pin(async move { stream.head().await.map(drop) })),
    ("read", |stream| Box::pin(async move { stream.reader().read_all().await.map(drop) })),
    ("append", |stream| Box::pin(async move { stream.append("a").producer("p", 0, 0).await.map(drop) })),
    ("close", |stream| Box::pin(async move { stream.close().await.map(drop) })),
];

fn succeed(rig: &Rig, index: usize) {
    rig.respond(
        index,
        200,
        &[
            ("stream-next-offset", "0_0"),
            ("content-type", "text/plain"),
            ("producer-epoch", "0"),
            ("stream-closed", "true"),
            ("stream-up-to-date", "true"),
            ("content-length", "0"),
        ],
    );
}

#[test]
fn not_found_about_a_known_stream_is_asked_again_past_caches() {
    for status in [404, 410] {
        for (name, start) in OPERATIONS {
            let rig = Rig::new();
            let mut operation = start(known_stream(&rig));
            assert!(poll_once(&mut operation).is_none(), "{name}");
            rig.respond(1, status, &[]);
            assert!(poll_once(&mut operation).is_none(), "{name}");
            assert_eq!(rig.sent(), 3, "{name}");
            let headers = rig.request(2, |sent| sent.headers.clone());
            assert_eq!(headers.get("cache-control").unwrap(), "no-cache", "{name}");
            assert!(rig.request(2, |sent| sent.is_fresh_connection), "{name}");
            succeed(&rig, 2);
            assert!(poll_once(&mut operation).unwrap().is_ok(), "{name}");
        }
    }
}

#[test]
fn not_found_at_a_saved_checkpoint_is_asked_again_past_caches() {
    for (checkpoint, is_asked_again) in
        [("0_7", true), ("-1,m2", true), ("-1,b9", true), ("-1", false), ("now", false)]
    {
        let rig = Rig::new();
        let stream = rig.stream();
        let start: Checkpoint = checkpoint.parse().unwrap();
        let opened = async { stream.reader().offset(start).chunks().await };
        let mut opened = pin!(opened);
        assert!(poll_once(&mut opened).is_none());
        rig.respond(0, 404, &[]);
        assert_eq!(poll_once(&mut opened).is_none(), is_asked_again, "{checkpoint}");
        assert_eq!(rig.sent(), 1 + usize::from(is_asked_again), "{checkpoint}");
    }
}

#[test]
fn second_not_found_is_an_error_and_forgets_the_stream() {
    let rig = Rig::new();
    let stream = known_stream(&rig);
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(1, 404, &[]);
    assert!(poll_once(&mut head).is_none());
    rig.respond(2, 404, &[]);
    let error = poll_once(&mut head).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::NotFound { .. }), "{error}");
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(3, 404, &[]);
    assert!(poll_once(&mut head).unwrap().is_err());
}

#[test]
fn not_found_about_an_unknown_or_deleted_stream_is_an_error_at_once() {
    let rig = Rig::new();
    let stream = known_stream(&rig);
    let mut delete = pin!(stream.delete());
    assert!(poll_once(&mut delete).is_none());
    rig.respond(1, 204, &[]);
    assert!(poll_once(&mut delete).unwrap().is_ok());
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(2, 404, &[]);
    assert!(poll_once(&mut head).unwrap().is_err());
}

#[test]
fn page_of_a_portal_is_retried_once_the_server_is_known() {
    for (name, start) in OPERATIONS {
        let rig = Rig::new();
        let mut operation = start(known_stream(&rig));
        assert!(poll_once(&mut operation).is_none(), "{name}");
        rig.respond(1, 200, &PORTAL);
        assert!(poll_once(&mut operation).is_none(), "{name}");
        rig.advance(Duration::from_secs(1));
        assert!(poll_once(&mut operation).is_none(), "{name}");
        assert_eq!(rig.sent(), 3, "{name}");
        succeed(&rig, 2);
        assert!(poll_once(&mut operation).unwrap().is_ok(), "{name}");
    }
}

#[test]
fn page_of_a_portal_never_acknowledges_a_plain_append() {
    let rig = Rig::new();
    let stream = known_stream(&rig);
    let mut append = pin!(stream.append("a").into_future());
    assert!(poll_once(&mut append).is_none());
    rig.respond(1, 200, &PORTAL);
    let error = poll_once(&mut append).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{error}");
    assert!(error.to_string().contains("captive portal"), "{error}");
}

#[test]
fn page_of_another_server_is_an_error_at_once_before_the_server_is_known() {
    let rig = Rig::new();
    let stream = rig.stream();
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(0, 200, &PORTAL);
    let error = poll_once(&mut head).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::Protocol { .. }), "{error}");
}

#[test]
fn redirect_of_a_portal_is_retried_once_the_server_is_known() {
    let rig = Rig::new();
    let stream = known_stream(&rig);
    let mut append = pin!(stream.append("a").producer("p", 0, 0).into_future());
    assert!(poll_once(&mut append).is_none());
    rig.respond(1, 302, &[("location", "http://portal/login")]);
    assert!(poll_once(&mut append).is_none());
    rig.advance(Duration::from_secs(1));
    assert!(poll_once(&mut append).is_none());
    succeed(&rig, 2);
    assert!(poll_once(&mut append).unwrap().is_ok());
    // Within the origin it is the server's own.
    let mut append = pin!(stream.append("a").producer("p", 0, 1).into_future());
    assert!(poll_once(&mut append).is_none());
    rig.respond(3, 302, &[("location", "/login")]);
    let error = poll_once(&mut append).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::Redirect { .. }), "{error}");
}

#[test]
fn head_that_may_be_cut_before_a_demanded_header_is_a_lost_connection() {
    for (name, start) in OPERATIONS {
        let rig = Rig::new();
        let mut operation = start(known_stream(&rig));
        assert!(poll_once(&mut operation).is_none(), "{name}");
        rig.respond_with_cut_head(1, 200, &[("stream-cursor", "1")]);
        assert!(poll_once(&mut operation).is_none(), "{name}");
        rig.advance(Duration::from_secs(1));
        assert!(poll_once(&mut operation).is_none(), "{name}");
        assert!(rig.request(2, |sent| sent.is_fresh_connection), "{name}");
        succeed(&rig, 2);
        assert!(poll_once(&mut operation).unwrap().is_ok(), "{name}");
    }
    // A server that sends such a head each time is not waited for without end.
    let rig = Rig::new();
    let stream = rig.stream().with_content_type("text/plain");
    let mut append = pin!(stream.append("a").producer("p", 0, 0).into_future());
    assert!(poll_once(&mut append).is_none());
    let error = loop {
        rig.respond_with_cut_head(rig.sent() - 1, 200, &[("stream-next-offset", "0_1")]);
        if let Some(result) = poll_once(&mut append) {
            break result.unwrap_err();
        }
        rig.advance(Duration::from_secs(1));
        assert!(poll_once(&mut append).is_none());
    };
    assert!(matches!(error.kind(), StreamError::NotSupported) && rig.sent() == 6, "{error}");
    // An append without an identity is not repeated, so it is in doubt each time.
    let rig = Rig::new();
    let stream = rig.stream().with_content_type("text/plain");
    for sent in 0..7 {
        let mut append = pin!(stream.append("a").into_future());
        assert!(poll_once(&mut append).is_none());
        rig.respond_with_cut_head(sent, 204, &[]);
        let error = poll_once(&mut append).unwrap().unwrap_err();
        assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{error}");
    }
    // The same head, from a transport that knows that it is whole, is what the server sent.
    let rig = Rig::new();
    let stream = known_stream(&rig);
    let mut head = pin!(stream.head());
    assert!(poll_once(&mut head).is_none());
    rig.respond(1, 200, &[("stream-cursor", "1")]);
    assert!(matches!(poll_once(&mut head).unwrap().unwrap_err().kind(), StreamError::Protocol { .. }));
}

#[test]
fn append_with_an_identity_that_the_server_ignored_is_not_supported() {
    let rig = Rig::new();
    let stream = rig.stream().with_content_type("text/plain");
    let mut append = pin!(stream.append("a").producer("p", 0, 0).into_future());
    assert!(poll_once(&mut append).is_none());
    rig.respond(0, 200, &[("stream-next-offset", "0_1")]);
    let error = poll_once(&mut append).unwrap().unwrap_err();
    assert!(matches!(error.kind(), StreamError::NotSupported), "{error}");
    assert!(error.to_string().contains("twice"), "{error}");
    let mut append = pin!(stream.append("a").producer("p", 0, 0).accept_missing_epoch().into_future());
    assert!(poll_once(&mut append).is_none());
    rig.respond(1, 200, &[("stream-next-offset", "0_1")]);
    assert!(poll_once(&mut append).unwrap().is_ok());
}

#[test]
fn request_names_the_client_and_offers_no_compression_unless_the_application_does() {
    let own = |name: &'static str, value: &'static str| {
        let rig = Rig::new();
        let stream = rig.stream().with_headers(http::HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )]));
        let mut head = pin!(stream.head());
        assert!(poll_once(&mut head).is_none());
        let headers = rig.request(0, |sent| sent.headers.clone());
        [http::header::USER_AGENT, http::header::ACCEPT_ENCODING].map(|name| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        })
    };
    let client = concat!("durable-streams-client/", env!("CARGO_PKG_VERSION"));
    assert_eq!(own("x-a", "b"), [client, "identity"]);
    assert_eq!(own("user-agent", "app/1"), ["app/1", "identity"]);
    assert_eq!(own("accept-encoding", "br"), [client, "br"]);
}

#[test]
fn event_stream_is_never_asked_for_compressed() {
    let rig = Rig::new();
    let headers =
        http::HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("gzip"))]);
    let stream = rig.stream().with_content_type("application/json").with_headers(headers);
    let mut read =
        pin!(stream.reader().offset(crate::Offset::parse("0_0")).live(crate::LiveMode::Sse).chunks());
    assert!(poll_once(&mut read).is_none());
    let sent = rig.request(0, |sent| (sent.target.clone(), sent.headers.get("accept-encoding").cloned()));
    assert_eq!(
        (sent.0.as_str(), sent.1.unwrap()),
        ("/s?live=sse&offset=0_0", http::HeaderValue::from_static("identity"))
    );
}

#[test]
fn credentials_of_the_client_stay_at_the_origin_of_its_base_url() {
    let build = |rig: &Rig| {
        let client = crate::ClientBuilder::new(rig.transport(), rig.runtime())
            .base_url("http://server/v1")
            .allow_origin("http://other")
            .default_header("authorization", "Bearer secret")
            .header_provider(|| {
                http::HeaderMap::from_iter([(http::header::COOKIE, http::HeaderValue::from_static("secret"))])
            })
            .query_provider(|| vec![("token".to_owned(), "secret".to_owned())]);
        client.build().unwrap()
    };
    for (url, is_own) in [("s", true), ("http://other/s", false)] {
        let rig = Rig::new();
        let handle_headers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-handle"),
            http::HeaderValue::from_static("1"),
        )]);
        let stream = build(&rig).stream(url).with_headers(handle_headers);
        let mut head = pin!(stream.head());
        assert!(poll_once(&mut head).is_none());
        let (target, headers) = rig.request(0, |sent| (sent.target.clone(), sent.headers.clone()));
        for has in
            [headers.contains_key("authorization"), headers.contains_key("cookie"), target.contains("secret")]
        {
            assert_eq!(has, is_own, "{url}");
        }
        assert!(headers.contains_key("x-handle"));
    }
    let rig = Rig::new();
    let refused = build(&rig).stream("http://evil/s");
    assert!(matches!(
        poll_once(&mut pin!(refused.head())).unwrap().unwrap_err().kind(),
        StreamError::Config(_)
    ));
    assert_eq!(rig.sent(), 0);
}

#[test]
fn error_texts_have_no_query() {
    for status in [401, 404, 410, 500, 302, 200] {
        let rig = Rig::new();
        let stream = rig.client().stream("http://server/s?sig=SECRET");
        let mut head = pin!(stream.head());
        assert!(poll_once(&mut head).is_none());
        rig.respond(0, status, &[("location", "/other?sig=SECRET"), ("retry-after", "99999")]);
        if status == 302 {
            assert!(poll_once(&mut head).is_none());
            rig.respond(1, 403, &[]);
        }
        let error = poll_once(&mut head).unwrap().unwrap_err();
        assert!(!format!("{error} {error:?} {stream:?}").contains("SECRET"), "{error}");
    }
}

#[test]
fn secrets_are_marked_sensitive_in_the_requests_of_the_transport() {
    let rig = Rig::new();
    let map = |name, value| {
        http::HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )])
    };
    let client = crate::ClientBuilder::new(rig.transport(), rig.runtime())
        .base_url("http://u:SECRET@server")
        .default_header("x-api-key", "SECRET");
    assert!(!format!("{client:?}").contains("SECRET"), "{client:?}");
    let client = client
        .base_url("http://server")
        .header_provider(move || map("authorization", "Bearer SECRET"))
        .build()
        .unwrap();
    let stream = client.stream("s").with_content_type("text/plain").with_headers(map("cookie", "SECRET"));
    assert!(
        poll_once(&mut pin!(stream.append("a").header("x-token", "SECRET").header("x-trace", "1"))).is_none()
    );
    let headers = rig.request(0, |sent| sent.headers.clone());
    for name in ["x-api-key", "authorization", "cookie", "x-token"] {
        assert!(headers[name].is_sensitive(), "{name}");
    }
    assert!(!headers["x-trace"].is_sensitive());
    assert!(!format!("{headers:?}").contains("SECRET"), "{headers:?}");
}

#[test]
fn append_whose_upload_was_cut_off_is_sent_again() {
    let body = vec![b'x'; 100_000];
    for uploaded in [Some(0), Some(99_999), Some(100_000), None] {
        let rig = Rig::new();
        let stream = rig.stream().with_content_type("text/plain");
        let mut append = pin!(stream.append(body.clone()).into_future());
        assert!(poll_once(&mut append).is_none());
        if let Some(bytes) = uploaded {
            rig.request(0, |sent| {
                let upload = sent.upload.as_ref().unwrap();
                upload.start();
                upload.add(bytes);
            });
        }
        rig.break_connection(0);
        match poll_once(&mut append) {
            // The whole of it was sent, or the transport does not count.
            Some(result) => {
                let error = result.unwrap_err();
                assert!(matches!(error.kind(), StreamError::OutcomeUnknown { .. }), "{error}");
                assert!(uploaded.is_none_or(|bytes| bytes == 100_000));
            }
            None => {
                assert!(uploaded.is_some_and(|bytes| bytes < 100_000));
                rig.advance(Duration::from_secs(1));
                assert!(poll_once(&mut append).is_none());
                assert_eq!(rig.sent(), 2);
            }
        }
    }
}
