//! Failures, and the kinds of their errors.

use super::limit::Limit;
use super::server::{Reads, Server, Then};
use super::stack::{CheckResult, Stack, describe, ensure, get, post, request, sound};
use crate::{SendOptions, Sent, TransportErrorKind};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) async fn refused_connection_reports_not_sent(stack: Arc<Stack>) -> CheckResult {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.map_err(|error| error.to_string())?.port();
    let error = stack.transport().fails(post(format!("http://127.0.0.1:{port}/"), "x")?).await?;
    let text = describe(&error);
    ensure!(error.kind() == TransportErrorKind::Connect, "not Connect: {text}");
    ensure!(error.sent() == Sent::No, "nothing was listening, and yet it may have been sent: {text}");
    Ok(())
}

pub(crate) async fn unknown_host_reports_not_sent(stack: Arc<Stack>) -> CheckResult {
    let error = stack.transport().fails(post("http://no-such-host.invalid/", "x")?).await?;
    let text = describe(&error);
    let fits = matches!(error.kind(), TransportErrorKind::Dns | TransportErrorKind::Timeout);
    ensure!(fits, "not Dns: {text}");
    ensure!(error.sent() == Sent::No, "no address, and yet it may have been sent: {text}");
    Ok(())
}

pub(crate) async fn tls_to_a_plain_port_reports_not_sent(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let url = format!("https://127.0.0.1:{}/", server.port());
    let error = stack.transport().fails(post(url, "x")?).await?;
    let text = describe(&error);
    ensure!(error.sent() == Sent::No, "there was no handshake, and yet it may have been sent: {text}");
    if stack.is_limited(Limit::NoTls) {
        ensure!(error.kind() == TransportErrorKind::Unsupported, "no TLS, and not Unsupported: {text}");
        ensure!(error.to_string().contains("feature"), "the message names no feature: {text}");
    } else {
        let fits = matches!(error.kind(), TransportErrorKind::Tls | TransportErrorKind::Connect);
        ensure!(fits, "neither Tls nor Connect: {text}");
    }
    Ok(())
}

/// What a server does with the greeting of a client that wants TLS.
#[derive(Clone, Copy, Debug)]
enum Handshake {
    Alert(u8),
    Close,
    Reset,
}

impl Handshake {
    /// The URL of a server that does this once.
    fn start(self) -> std::io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("https://{}/", listener.local_addr()?);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            let mut record = [0; 5];
            stream.read_exact(&mut record)?;
            if matches!(self, Self::Reset) {
                // The rest of the greeting is unread, so that closing resets.
                return Ok(());
            }
            let length = usize::from(record[3]) << 8 | usize::from(record[4]);
            stream.read_exact(&mut vec![0; length])?;
            if let Self::Alert(alert) = self {
                let level = if matches!(alert, 0 | 90) { 1 } else { 2 };
                stream.write_all(&[21, 3, 3, 0, 2, level, alert])?;
            }
            std::io::Result::Ok(())
        });
        Ok(url)
    }
}

/// A server that fails or gives up may do better later; one that refuses what it was sent will not (RFC 8446, section 6).
pub(crate) async fn handshake_that_failed_is_retried_if_it_may_pass(stack: Arc<Stack>) -> CheckResult {
    if stack.is_limited(Limit::NoTls) {
        // `tls_to_a_plain_port_reports_not_sent` asserts how that fails.
        return Ok(());
    }
    const CLOSE_NOTIFY: u8 = 0;
    const BAD_CERTIFICATE: u8 = 42;
    const UNKNOWN_CA: u8 = 48;
    const INTERNAL_ERROR: u8 = 80;
    const USER_CANCELED: u8 = 90;
    const UNRECOGNIZED_NAME: u8 = 112;
    let lasting = [BAD_CERTIFICATE, UNKNOWN_CA, UNRECOGNIZED_NAME].map(Handshake::Alert);
    let passing = [INTERNAL_ERROR, USER_CANCELED, CLOSE_NOTIFY].map(Handshake::Alert);
    let lasting_kind = if stack.is_limited(Limit::TlsAlerts) {
        TransportErrorKind::Connect
    } else {
        TransportErrorKind::Tls
    };
    let cases = lasting.map(|handshake| (handshake, lasting_kind)).into_iter();
    let passing = passing.into_iter().chain([Handshake::Close, Handshake::Reset]);
    for (handshake, kind) in cases.chain(passing.map(|handshake| (handshake, TransportErrorKind::Connect))) {
        let url = handshake.start().map_err(|error| error.to_string())?;
        let error = stack.transport().fails(post(url, "x")?).await?;
        let text = describe(&error);
        ensure!(error.kind() == kind, "{handshake:?}: not {kind:?}: {text}");
        ensure!(error.sent() == Sent::No, "{handshake:?}: there was no handshake, and yet: {text}");
    }
    Ok(())
}

pub(crate) async fn unsupported_scheme_is_refused(stack: Arc<Stack>) -> CheckResult {
    for url in ["ftp://127.0.0.1/x", "file:///etc/hosts", "ws://127.0.0.1/x"] {
        let Ok(request) = request("GET", url, &[], b"") else { continue };
        let error = stack.transport().fails(request).await?;
        let text = describe(&error);
        ensure!(error.sent() == Sent::No, "{url}: {text}");
        ensure!(!error.is_retryable(), "{url}: to be tried again? {text}");
    }
    Ok(())
}

/// Which way a server goes away once it has the request.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Close,
    Reset,
}

/// The server takes the request and goes away without an answer, on a fresh connection and on one that was used
/// before: libraries like to send again there.
async fn goes_away(stack: &Stack, exit: Exit, method: &str, body: &str, warm: bool) -> CheckResult {
    let script = |received: &super::server::Received, connection: &mut super::server::Connection| {
        if received.is("/gone") { Ok(Then::Close) } else { sound(received, connection) }
    };
    let server = match exit {
        Exit::Close => Server::start(script),
        Exit::Reset => Server::reading(Reads::AllButOne, script),
    }
    .map_err(|error| error.to_string())?;
    let case = format!("{method} with {} bytes, {exit:?}, used connection: {warm}", body.len());
    let transport = stack.transport();
    if warm {
        for _ in 0..2 {
            transport.fetch(get(server.url("/warm"))?).await?;
        }
    }
    let headers: &[(&str, &[u8])] = &[("content-type", b"text/plain")];
    let error = transport.fails(request(method, server.url("/gone"), headers, body.as_bytes())?).await?;
    let text = describe(&error);
    ensure!(error.sent() == Sent::Maybe, "{case}: the server has it, and the error denies it: {text}");
    ensure!(error.is_retryable(), "{case}: not to be tried again? {text}");
    // A copy that the library sends unseen comes at once.
    crate::Timer::sleep(stack.runtime(), Duration::from_millis(50)).await;
    let copies = server.seen_at("/gone").len();
    ensure!(copies == 1, "{case}: delivered {copies} times");
    Ok(())
}

pub(crate) async fn received_write_is_not_sent_again(stack: Arc<Stack>) -> CheckResult {
    for exit in [Exit::Close, Exit::Reset] {
        for warm in [false, true] {
            for (method, body) in [("POST", "a record"), ("PUT", "a record")] {
                goes_away(&stack, exit, method, body, warm).await?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn received_write_without_a_body_is_not_sent_again(stack: Arc<Stack>) -> CheckResult {
    for warm in [false, true] {
        for method in ["POST", "PUT", "DELETE"] {
            goes_away(&stack, Exit::Close, method, "", warm).await?;
        }
    }
    Ok(())
}

/// The server closes the idle connection, and the client may not have noticed when it sends the next write.
pub(crate) async fn write_on_a_stale_connection_is_stored_once(stack: Arc<Stack>) -> CheckResult {
    let noticed = 200;
    for (wait, body) in
        [(noticed, "a record"), (noticed, ""), (1, "a record"), (1, ""), (0, "a record"), (0, "")]
    {
        let server = Server::start(|received, connection| {
            sound(received, connection)?;
            Ok(if received.is("/first") { Then::Close } else { Then::Keep })
        })
        .map_err(|error| error.to_string())?;
        let transport = stack.transport();
        transport.fetch(get(server.url("/first"))?).await?;
        if wait > 0 {
            stack.until("the server closes", || server.gone() >= 1).await?;
        }
        crate::Timer::sleep(stack.runtime(), Duration::from_millis(wait)).await;
        let case = format!("{} bytes, {wait} ms after the close", body.len());
        let outcome = transport
            .try_send(post(server.url("/sound/write"), body)?, SendOptions::new(), Duration::from_secs(10))
            .await
            .map_err(|error| format!("{case}: {error}"))?;
        crate::Timer::sleep(stack.runtime(), Duration::from_millis(20)).await;
        let copies = server.seen_at("/sound/write").len();
        match outcome {
            Ok(_) => ensure!(copies == 1, "{case}: success, with {copies} copies"),
            Err(error) => {
                let text = describe(&error);
                ensure!(copies <= 1, "{case}: {copies} copies, and {text}");
                ensure!(copies == 0 || error.sent() == Sent::Maybe, "{case}: it arrived, and {text}");
                ensure!(wait < noticed, "{case}: the connection was long gone: {text}");
            }
        }
        transport.is_sound(&server, &case).await?;
    }
    Ok(())
}

pub(crate) async fn truncated_head_is_an_error(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/status-line" => connection.send("HTTP/1.1 200 O")?,
            "/mid-head" => connection.send("HTTP/1.1 200 OK\r\nx-mark: he")?,
            "/before-the-end" => connection.send("HTTP/1.1 200 OK\r\nx-mark: here\r\n")?,
            _ => return sound(received, connection),
        }
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/status-line", "/mid-head", "/before-the-end"] {
        let limit = Duration::from_secs(10);
        match transport.try_send(get(server.url(path))?, SendOptions::new(), limit).await? {
            Err(error) => ensure!(error.sent() == Sent::Maybe, "{path}: {}", describe(&error)),
            Ok(response) if stack.is_limited(Limit::CutHead) => {
                // Whether the body is then empty or an error, it must not be data.
                let body = transport.read(response.into_body()).await?;
                ensure!(
                    !matches!(&body, Ok(body) if !body.is_empty()),
                    "{path}: data without a head: {body:?}"
                );
            }
            Ok(response) => return Err(format!("{path}: cut short, and taken for whole: {response:?}")),
        }
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

/// A response with content, in two framings.
struct Cut {
    path: &'static str,
    head: &'static str,
    body: &'static str,
}

const CUTS: [Cut; 3] = [
    Cut {
        path: "/length",
        head: "HTTP/1.1 200 OK\r\nstream-next-offset: 12_345\r\ncontent-length: 5\r\nx-mark: here\r\n\r\n",
        body: "hello",
    },
    Cut {
        path: "/chunked",
        head: "HTTP/1.1 200 OK\r\nstream-next-offset: 12_345\r\ntransfer-encoding: chunked\r\nx-mark: here\r\n\r\n",
        body: "5\r\nhello\r\n0\r\n\r\n",
    },
    Cut {
        path: "/chunked-first",
        head: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-mark: here\r\nstream-next-offset: 12_345\r\n\r\n",
        body: "5\r\nhello\r\n0\r\n\r\n",
    },
];

impl Cut {
    /// Whether the field that frames the body is complete in the first `sent` bytes.
    fn is_framed(&self, sent: usize) -> bool {
        let field = if self.path == "/length" { "content-length" } else { "chunked\r\n" };
        self.head.find(field).is_some_and(|at| sent + 2 >= at + field.len())
    }
}

/// A connection may end behind any byte of a response's head. Taken for a whole response, it loses the content.
pub(crate) async fn head_cut_at_any_byte_is_an_error(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        let mut parts = received.target.split('?').next().unwrap_or_default().rsplitn(2, '/');
        let sent = parts.next().and_then(|sent| sent.parse::<usize>().ok());
        let cut = parts.next().and_then(|path| CUTS.iter().find(|cut| cut.path == path));
        let (Some(sent), Some(cut)) = (sent, cut) else { return sound(received, connection) };
        let response = [cut.head, cut.body].concat();
        connection.send(&response[..sent])?;
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for cut in &CUTS {
        for offset in ["7_7"] {
            for sent in 0..=cut.head.len() {
                let case =
                    format!("{}?offset={offset}, {sent} of {} bytes of the head", cut.path, cut.head.len());
                let request = get(server.url(&format!("{}/{sent}?offset={offset}", cut.path)))?;
                let limit = Duration::from_secs(10);
                let (head, error) = match transport.try_send(request, SendOptions::new(), limit).await? {
                    Err(error) => (None, Some(error)),
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        let body = transport.read(body).await?;
                        ensure!(!matches!(&body, Ok(body) if !body.is_empty()), "{case}: content: {body:?}");
                        (Some(head), body.err())
                    }
                };
                match error {
                    Some(error) => ensure!(error.sent() == Sent::Maybe, "{case}: {}", describe(&error)),
                    None => {
                        let harmless = stack.is_limited(Limit::CutHead)
                            && cut.path != "/length"
                            && cut.is_framed(sent)
                            && head
                                .as_ref()
                                .is_some_and(|head| !head.headers.contains_key("stream-next-offset"));
                        ensure!(harmless, "{case}: cut, and taken for whole: {head:?}");
                    }
                }
            }
        }
    }
    transport.is_sound(&server, "heads that were cut").await
}

/// Which of the two holds is a guess, and the next response on the connection would begin at a guessed place
/// (RFC 9112, section 6.3).
pub(crate) async fn conflicting_content_lengths_are_an_error(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/short-first" => {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nhello")?;
            }
            "/long-first" => {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 3\r\n\r\nhello")?;
            }
            "/one-field" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5, 3\r\n\r\nhello")?,
            "/nothing-first" => {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\nhello")?;
            }
            _ => return sound(received, connection),
        }
        Ok(Then::Keep)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/short-first", "/long-first", "/one-field", "/nothing-first"] {
        let limit = Duration::from_secs(10);
        let error = match transport.try_send(get(server.url(path))?, SendOptions::new(), limit).await? {
            Err(error) => error,
            Ok(response) => match transport.read(response.into_body()).await? {
                Err(error) => error,
                Ok(body) => return Err(format!("{path}: one of two lengths was taken: {body:?}")),
            },
        };
        ensure!(error.sent() == Sent::Maybe, "{path}: {}", describe(&error));
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

/// A close that reached the client before a request was written says that the server has not received it.
pub(crate) async fn close_before_a_write_is_never_ambiguous(stack: Arc<Stack>) -> CheckResult {
    for after_answer in [20, 35, 50] {
        let server = Server::start(move |received, connection| {
            sound(received, connection)?;
            std::thread::sleep(Duration::from_millis(after_answer));
            Ok(Then::Close)
        })
        .map_err(|error| error.to_string())?;
        let transport = stack.transport();
        for turn in 0..8 {
            let before = server.gone();
            let case = format!("write {turn}, closed {after_answer} ms after the answer before");
            let write = post(server.url("/sound/write"), format!("record {turn}"))?;
            let outcome = transport.try_send(write, SendOptions::new(), Duration::from_secs(10)).await?;
            match outcome {
                Ok(response) => {
                    let body =
                        transport.read(response.into_body()).await?.map_err(|error| describe(&error))?;
                    ensure!(body == format!("record {turn}").as_bytes(), "{case}: {body:?}");
                }
                Err(error) => ensure!(error.sent() == Sent::No, "{case}: {}", describe(&error)),
            }
            stack.until("the server closes", || server.gone() > before).await?;
            // On its way through the loopback interface, and through the client's reactor.
            crate::Timer::sleep(stack.runtime(), Duration::from_millis(20)).await;
        }
        let seen = server.seen_at("/sound/write");
        let distinct: std::collections::HashSet<_> = seen.iter().map(|received| &received.body).collect();
        ensure!(seen.len() == distinct.len(), "a write arrived twice: {} of {}", seen.len(), distinct.len());
    }
    Ok(())
}

pub(crate) async fn response_that_is_not_http_is_an_error(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(|received, connection| {
        match received.target.as_str() {
            "/greeting" => connection.send("220 mail.example.com ESMTP\r\n\r\n")?,
            "/binary" => connection.send([0, 1, 2, 255, 13, 10, 13, 10])?,
            "/length" => connection.send("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nx")?,
            "/chunk" => {
                connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n")?
            }
            "/huge-chunk" => {
                connection.send(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n",
                )?;
            }
            _ => return sound(received, connection),
        }
        Ok(Then::Close)
    })
    .map_err(|error| error.to_string())?;
    let transport = stack.transport();
    for path in ["/greeting", "/binary", "/length", "/chunk", "/huge-chunk"] {
        let limit = Duration::from_secs(10);
        let error = match transport.try_send(get(server.url(path))?, SendOptions::new(), limit).await? {
            Err(error) => error,
            Ok(response) => match transport.read(response.into_body()).await? {
                Err(error) => error,
                Ok(body) => return Err(format!("{path}: taken for HTTP: {body:?}")),
            },
        };
        ensure!(error.sent() == Sent::Maybe, "{path}: {}", describe(&error));
        transport.is_sound(&server, path).await?;
    }
    Ok(())
}

pub(crate) async fn transport_works_outside_its_runtime(stack: Arc<Stack>) -> CheckResult {
    let server = Server::start(sound).map_err(|error| error.to_string())?;
    let transport = stack.transport();
    let url = server.url("/sound/outside");
    let done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&done);
    let thread = std::thread::spawn(move || {
        let outcome = futures_lite::future::block_on(async {
            let whole = transport.fetch(get(&url)?).await?;
            ensure!(whole.body == b"/sound/outside", "wrong answer: {whole:?}");
            let whole = transport.fetch(post(&url, "a record")?).await?;
            ensure!(whole.body == b"a record", "wrong answer: {whole:?}");
            Ok(())
        });
        drop(transport);
        flag.store(true, Ordering::Release);
        outcome
    });
    stack.until("a plain thread gets its answers", || done.load(Ordering::Acquire)).await?;
    thread.join().map_err(|_| "panicked in a plain thread".to_owned())?
}
