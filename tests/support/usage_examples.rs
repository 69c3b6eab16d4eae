//! The four usage examples that the API is designed around, each run against a real server.
//!
//! Their text is kept word for word: a change of the API that breaks one of them breaks its users. Only the `use`
//! lines, the URL, the main attribute and the helper functions that they call are added here.

/// Makes the examples tests on one stack. `$facade` is the stack's module of the library; the examples use its types,
/// so this is a macro and not a generic function.
macro_rules! examples {
    ($facade:path, $stack:ty) => {
        mod usage_examples {
            use super::support::{Stack, unique};
            use std::sync::atomic::{AtomicUsize, Ordering};
            use std::time::Duration;
            use test_servers::{Action, Proxy, RustServer, direct};
            use $facade as facade;

            type UsageResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

            fn put(url: &str, content_type: &str, closed: bool, data: &str) {
                let headers = [("content-type", content_type), ("stream-closed", if closed { "true" } else { "false" })];
                assert_eq!(direct("PUT", url, headers, data).unwrap().status, 201);
            }

            #[test]
            fn reading_example_ends_at_close() {
                use durable_streams::{LiveMode, Offset};
                use facade::Client;
                #[allow(unused_imports, reason = "the inherent `next` goes before it")]
                use futures_lite::StreamExt;

                async fn main(url: &str) -> UsageResult {
                    // Create client
                    let client = Client::builder()
                        .default_header("Authorization", "Bearer token")
                        .build()?;

                    // Get stream handle
                    let stream = client.stream(url);

                    // Read all data, then tail for new data
                    let mut reader = stream.reader()
                        .offset(Offset::Beginning)
                        .live(LiveMode::Auto)
                        .chunks()
                        .await?;

                    while let Some(result) = reader.next().await {
                        let chunk = result?;
                        println!("Received {} bytes", chunk.data.len());

                        if chunk.up_to_date {
                            println!("Caught up! Now tailing for new data...");
                        }
                    }

                    Ok(())
                }

                let server = RustServer::start().unwrap();
                let url = format!("{}/{}", server.url(), unique("basic"));
                put(&url, "text/plain", true, "all of it");
                <$stack>::block_on(main(&url)).unwrap();
            }

            #[test]
            fn json_example_tails_until_close() {
                use durable_streams::{LiveMode, Offset};
                use facade::Client;
                #[allow(unused_imports, reason = "the inherent `next` goes before it")]
                use futures_lite::StreamExt;
                use serde::Deserialize;

                static SEEN: AtomicUsize = AtomicUsize::new(0);

                #[derive(Debug, Deserialize)]
                #[allow(dead_code)]
                struct Event {
                    id: String,
                    data: serde_json::Value,
                }

                async fn main(url: &str) -> UsageResult {
                    let client = Client::builder().build()?;
                    let stream = client.stream(url);

                    // Stream as typed JSON
                    let mut events = stream.reader()
                        .offset(Offset::Now) // Only new events
                        .live(LiveMode::Sse)
                        .json::<Event>()
                        .await?;

                    while let Some(result) = events.next().await {
                        let event = result?;
                        println!("Event: {:?}", event);
                        SEEN.fetch_add(1, Ordering::Relaxed);
                    }

                    Ok(())
                }

                let server = RustServer::start().unwrap();
                let proxy = Proxy::start(server.url()).unwrap();
                let path = unique("json");
                let url = format!("{}/{path}", server.url());
                put(&url, "application/json", false, r#"[{"id":"old","data":0}]"#);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let tails = || proxy.requests().iter().any(|request| request.query("live") == Some("sse"));
                        assert!(test_servers::wait_until(Duration::from_secs(30), tails), "no live request");
                        for (closed, data) in [("false", r#"[{"id":"new","data":1}]"#), ("true", r#"[{"id":"last","data":[]}]"#)] {
                            let headers = [("content-type", "application/json"), ("stream-closed", closed)];
                            assert!(direct("POST", &url, headers, data).unwrap().status < 300);
                        }
                    });
                    <$stack>::block_on(main(&format!("{}/{path}", proxy.url()))).unwrap();
                });
                assert_eq!(SEEN.load(Ordering::Relaxed), 2);
            }

            #[test]
            fn producer_example_stores_records_in_order() {
                use facade::Client;

                async fn main(url: &str) -> UsageResult {
                    let client = Client::builder().build()?;
                    let stream = client.stream(url);

                    // Create the stream
                    stream.create(Default::default()).await?;

                    // Create idempotent producer
                    let producer = stream.producer("order-service-1")
                        .epoch(0)
                        .auto_claim(true) // Auto-recover on restart
                        .linger(Duration::from_millis(5))
                        .build();

                    // Fire-and-forget writes
                    for i in 0..1000 {
                        producer.append_json(&serde_json::json!({
                            "order_id": i,
                            "status": "created"
                        }))?;
                    }

                    // Ensure all data is written
                    producer.flush().await?;
                    producer.close().await?;

                    Ok(())
                }

                let server = RustServer::start().unwrap();
                let url = format!("{}/{}", server.url(), unique("orders"));
                <$stack>::block_on(main(&url)).unwrap();
                let stored = direct("GET", &url, (), "").unwrap().text();
                let orders: Vec<serde_json::Value> = stored.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                let ids = orders.iter().map(|order| order["order_id"].as_u64().unwrap());
                assert!(ids.eq(0..1000), "{} orders", orders.len());
            }

            #[test]
            fn error_example_recovers_with_fresh_token() {
                use durable_streams::{ErrorAction, HeaderMap, LiveMode, Offset, StreamError};
                use facade::Client;

                static TOKENS: AtomicUsize = AtomicUsize::new(0);
                static BYTES: AtomicUsize = AtomicUsize::new(0);

                fn get_fresh_token() -> String {
                    format!("token-{}", TOKENS.fetch_add(1, Ordering::Relaxed))
                }

                fn process(data: durable_streams::Bytes) {
                    BYTES.fetch_add(data.len(), Ordering::Relaxed);
                }

                #[allow(unused_variables)]
                async fn main(url: &str) -> UsageResult {
                    let client = Client::builder()
                        .header_provider(|| {
                            // Refresh auth token on each request
                            let token = get_fresh_token();
                            let mut headers = HeaderMap::new();
                            headers.insert("Authorization", format!("Bearer {}", token).parse().unwrap());
                            headers
                        })
                        .build()?;

                    let stream = client.stream(url);

                    let mut reader = stream.reader()
                        .offset(Offset::Beginning)
                        .live(LiveMode::Auto)
                        .on_error(|err| {
                            match err {
                                StreamError::Unauthorized => {
                                    // Token might be expired, retry will get fresh token
                                    ErrorAction::Retry { headers: None }
                                }
                                StreamError::RateLimited { retry_after } => {
                                    // Could log or adjust behavior
                                    ErrorAction::Retry { headers: None }
                                }
                                _ => ErrorAction::Stop,
                            }
                        })
                        .chunks()
                        .await?;

                    // Process with automatic error recovery
                    while let Some(chunk) = reader.next().await {
                        let chunk = chunk?;
                        process(chunk.data);
                    }

                    Ok(())
                }

                let server = RustServer::start().unwrap();
                let proxy = Proxy::start(server.url()).unwrap();
                proxy.rule(|request, nth| match (nth, request.header("authorization")) {
                    (0 | 1, _) => Action::refuse(401, (), "expired"),
                    (2, _) => Action::refuse(429, [("retry-after", "0")], ""),
                    (_, Some("Bearer token-3")) => Action::Pass,
                    (_, other) => Action::refuse(400, (), format!("wrong token: {other:?}")),
                });
                let path = unique("recovery");
                put(&format!("{}/{path}", server.url()), "text/plain", true, "content");
                <$stack>::block_on(main(&format!("{}/{path}", proxy.url()))).unwrap();
                assert_eq!(BYTES.load(Ordering::Relaxed), "content".len());
            }
        }
    };
}
pub(crate) use examples;
