//! The operations of a stream: create, append, head, close, delete, fork.

use crate::support::{Stack, new_stream, on_each_server, stored, unique};
use durable_streams::{CreateOptions, DateTime, Fork, StreamError, Utc};
use std::time::{Duration, SystemTime};
use test_servers::{RustServer, direct};

pub async fn stream_is_created_appended_described_and_deleted<S: Stack>() {
    on_each_server(|url| async move {
        let stream = S::client(&url).stream(unique("ünïcode"));
        let created = stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
        assert!(created.created && !created.closed);
        assert_eq!(created.content_type, "text/plain");
        let first = stream.append("héllo ").await.unwrap();
        let second = stream.append("wörld").await.unwrap();
        assert!(created.next_offset < first.next_offset && first.next_offset < second.next_offset);
        assert!(!second.duplicate && !second.closed && second.producer.is_none());
        let head = stream.head().await.unwrap();
        assert_eq!(
            (head.next_offset, head.content_type.as_str(), head.closed),
            (second.next_offset, "text/plain", false)
        );
        assert_eq!(stored(stream.url().unwrap()), "héllo wörld");
        stream.delete().await.unwrap();
        assert!(matches!(stream.head().await.unwrap_err().kind(), StreamError::NotFound { .. }));
        assert!(matches!(stream.delete().await.unwrap_err().kind(), StreamError::NotFound { .. }));
    })
    .await;
}

pub async fn second_create_reports_existing_stream<S: Stack>() {
    on_each_server(|url| async move {
        let stream = S::client(&url).stream(unique("twice"));
        let options = || CreateOptions::new().content_type("application/json").data(r#"[1,2]"#);
        assert!(stream.create(options()).await.unwrap().created);
        let again = stream.create(options()).await.unwrap();
        assert!(!again.created);
        assert_eq!(stored(stream.url().unwrap()), "[1,2]");
        let error = stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::Conflict), "{error}");
        assert_eq!(error.status_code(), Some(409));
    })
    .await;
}

pub async fn create_options_reach_server<S: Stack>() {
    on_each_server(|url| async move {
        let client = S::client(&url);
        let ttl = client.stream(unique("ttl"));
        ttl.create(CreateOptions::new().ttl(Duration::from_secs(3600))).await.unwrap();
        let head = ttl.head().await.unwrap();
        assert_eq!(
            (head.ttl, head.content_type.as_str()),
            (Some(Duration::from_secs(3600)), "application/octet-stream")
        );

        let expires_at: DateTime<Utc> = (SystemTime::now() + Duration::from_secs(7200)).into();
        let expiring = client.stream(unique("expires"));
        expiring.create(CreateOptions::new().expires_at(expires_at)).await.unwrap();
        let reported = expiring.head().await.unwrap().expires_at.expect("the server reports the expiry");
        assert!((reported - expires_at).num_seconds().abs() <= 1, "{reported} is not {expires_at}");

        let closed = client.stream(unique("closed"));
        let options = CreateOptions::new().content_type("text/plain").data("content").closed(true);
        assert!(closed.create(options).await.unwrap().closed);
        assert!(closed.head().await.unwrap().closed);
        assert_eq!(stored(closed.url().unwrap()), "content");
    })
    .await;
}

pub async fn fork_contains_source_up_to_fork_offset<S: Stack>() {
    on_each_server(|url| async move {
        let source = new_stream::<S>(&url, "application/json").await;
        let middle = source.append("[1,2,3]").await.unwrap().next_offset;
        source.append("[4,5,6]").await.unwrap();
        let path = source.url().unwrap().strip_prefix(&url).unwrap().to_owned();

        let fork = source.client().stream(unique("fork"));
        let created =
            fork.create(CreateOptions::new().fork(Fork::of(path).at(middle).sub_offset(2))).await.unwrap();
        assert!(created.created);
        fork.append("[7]").await.unwrap();
        assert_eq!(stored(fork.url().unwrap()), "[1,2,3,4,5,7]");
        assert_eq!(fork.head().await.unwrap().content_type, "application/json");

        let whole = source.client().stream(unique("fork"));
        whole.create(CreateOptions::new().fork(Fork::of(source.url().unwrap()))).await.unwrap();
        assert_eq!(stored(whole.url().unwrap()), "[1,2,3,4,5,6]");

        let orphan = source.client().stream(unique("fork"));
        let error =
            orphan.create(CreateOptions::new().fork(Fork::of("/v1/stream/missing"))).await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::NotFound { .. }), "{error}");

        source.delete().await.unwrap();
        assert!(matches!(source.head().await.unwrap_err().kind(), StreamError::Gone { .. }));
        assert_eq!(stored(whole.url().unwrap()), "[1,2,3,4,5,6]");
    })
    .await;
}

pub async fn close_is_idempotent_and_stores_last_record_once<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let last = stream.append("a").await.unwrap().next_offset;
        assert_eq!(stream.close().await.unwrap().final_offset, last);
        assert_eq!(stream.close().await.unwrap().final_offset, last, "a second close changes nothing");
        let error = stream.append("b").await.unwrap_err();
        match error.kind() {
            StreamError::StreamClosed { final_offset } => assert_eq!(final_offset.as_ref(), Some(&last)),
            _ => panic!("{error}"),
        }
        assert!(matches!(stream.close_with("b").await.unwrap_err().kind(), StreamError::StreamClosed { .. }));

        let stream = new_stream::<S>(&url, "text/plain").await;
        let closed = stream.close_with("the end").await.unwrap();
        assert_eq!(stream.head().await.unwrap().next_offset, closed.final_offset);
        assert_eq!(stored(stream.url().unwrap()), "the end");

        let stream = new_stream::<S>(&url, "text/plain").await;
        let first = stream.append("once").producer("closer", 0, 0).closing().await.unwrap();
        let again = stream.append("once").producer("closer", 0, 0).closing().await.unwrap();
        assert!(first.closed && again.closed && !first.duplicate && again.duplicate);
        assert_eq!(stored(stream.url().unwrap()), "once");
    })
    .await;
}

pub async fn append_with_lower_stream_seq_is_refused<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        stream.append("a").seq("0002").await.unwrap();
        let error = stream.append("b").seq("0001").await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::SeqConflict(_)), "{error}");
        stream.append("c").seq("0003").await.unwrap();
        assert_eq!(stored(stream.url().unwrap()), "ac");
    })
    .await;
}

pub async fn append_with_producer_identity_is_stored_once<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let first = stream.append("a").producer("p", 3, 0).await.unwrap();
        assert_eq!(first.producer.map(|p| (p.epoch, p.seq)), Some((3, 0)));
        let again = stream.append("a").producer("p", 3, 0).await.unwrap();
        assert!(!first.duplicate && again.duplicate);
        assert_eq!(again.next_offset, first.next_offset);
        let gap = stream.append("c").producer("p", 3, 2).await.unwrap_err();
        assert!(matches!(gap.kind(), StreamError::SeqConflict(_)), "{gap}");
        let stale = stream.append("z").producer("p", 2, 0).await.unwrap_err();
        assert!(matches!(stale.kind(), StreamError::Forbidden), "{stale}");
        assert_eq!(stored(stream.url().unwrap()), "a");
    })
    .await;
}

pub async fn each_json_value_is_one_message<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "application/json").await;
        stream.append_json(&serde_json::json!({ "a": "ü" })).await.unwrap();
        stream.append_json(&[1, 2]).await.unwrap();
        stream.append_json("text").await.unwrap();
        stream.append("[3,4]").await.unwrap();
        let messages: serde_json::Value = serde_json::from_str(&stored(stream.url().unwrap())).unwrap();
        assert_eq!(messages, serde_json::json!([{ "a": "ü" }, [1, 2], "text", 3, 4]));
    })
    .await;
}

pub async fn json_value_on_byte_stream_is_one_line<S: Stack>() {
    on_each_server(|url| async move {
        let stream = S::client(&url).stream(unique("lines"));
        stream.create(CreateOptions::default()).await.unwrap();
        stream.append_json(&[1, 2]).await.unwrap();
        stream.append_json(&serde_json::json!({ "a": 1 })).await.unwrap();
        assert_eq!(stored(stream.url().unwrap()), "[1,2]\n{\"a\":1}\n");
    })
    .await;
}

pub async fn refused_operations_return_typed_errors<S: Stack>() {
    on_each_server(|url| async move {
        let missing = S::client(&url).stream(unique("missing"));
        let error = missing.append("x").content_type("text/plain").await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::NotFound { .. }), "{error}");
        assert_eq!(error.status_code(), Some(404));
        let text = error.to_string();
        assert!(text.contains("append") && text.contains(missing.url().unwrap()), "{text}");
        assert!(matches!(missing.close().await.unwrap_err().kind(), StreamError::NotFound { .. }));

        let json = new_stream::<S>(&url, "application/json").await;
        let error = json.append("{not json").await.unwrap_err();
        assert!(matches!(error.kind(), StreamError::BadRequest { .. }), "{error}");
    })
    .await;
}

pub async fn content_type_mismatch_names_both_types<S: Stack>() {
    on_each_server(|url| async move {
        let stream = new_stream::<S>(&url, "text/plain").await;
        let error = stream.append("{}").content_type("application/json").await.unwrap_err();
        match error.kind() {
            StreamError::ContentTypeMismatch { expected, actual } => {
                assert_eq!((expected.as_str(), actual.as_str()), ("text/plain", "application/json"));
            }
            _ => panic!("{error}"),
        }
    })
    .await;
}

pub async fn append_of_100_megabytes_is_stored_unchanged<S: Stack>() {
    let server = RustServer::start().expect("the server starts");
    let stream = new_stream::<S>(server.url(), "application/octet-stream").await;
    let data: Vec<u8> = (0..100_000_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    stream.append(data.clone()).await.unwrap();
    let answer = direct("GET", stream.url().unwrap(), (), "").unwrap();
    assert!(answer.body == data, "the bytes differ");
}
