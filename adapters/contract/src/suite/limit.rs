/// What an HTTP library cannot do, declared by the adapter over it.
///
/// A check that meets a declared limit does not pass by skipping: it asserts how the adapter fails, as
/// each variant states it. In every case without a hang, a panic, or a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// A status without a registered meaning (299, 599) is an error: `Malformed`, sent `Maybe`. The next
    /// request is answered right.
    UnregisteredStatus,
    /// A 1xx response before the final one is an error: `Malformed`, sent `Maybe`. The next request is
    /// answered right.
    EarlyResponse,
    /// A body that is ended by closing the connection is an error: `Malformed`, sent `Maybe`.
    BodyEndedByClose,
    /// A response's head above 8 KB is an error: `Malformed`, sent `Maybe`. The next request is
    /// answered right.
    LargeHead,
    /// A response's head is handed over with the first byte of its body: a silent server-sent event stream has
    /// no head.
    HeadWithFirstByte,
    /// A response cut in its head, behind the complete `content-length` or `transfer-encoding` field, may come out as if it were
    /// whole, with an empty body. Not where a `content-length` announces a body, and not where a reader would go on from the
    /// response's `stream-next-offset`: both are errors.
    CutHead,
    /// A request header that is not ASCII is an error: `InvalidRequest`, never sent.
    AsciiRequestHeaders,
    /// A response header that is not ASCII is an error: `Malformed`, sent `Maybe`.
    AsciiResponseHeaders,
    /// Connections are not reused: each request opens one, which is closed after it.
    NoReuse,
    /// A request for a fresh connection may be sent on one that was idle. Each request that is given up closes the
    /// connection that it used, so a pool of dead connections costs one request for each of them.
    NoFreshConnection,
    /// There is no TLS in this build: an https URL is `Unsupported`, never sent, and the message names the
    /// feature that adds it.
    NoTls,
    /// Every TLS alert is `Connect`, never sent, and so is retried, also one that says that the server will not accept this client.
    TlsAlerts,
    /// The adapter asks for compression, and decodes it.
    Compression,
}
