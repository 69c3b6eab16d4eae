//! One request's way to the server, and the response's way back.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{Action, Cut, End, ResponseHead};
use crate::connection::{Connection, Farewell, is_pause};
use crate::front::After;
use crate::headers::Headers;
use crate::message::{BodyFraming, BodyReader, StatusHead, read_response_head, status_line};
use crate::recorded::Recorded;

/// What concerns one connection and is not passed on.
const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"];

const EARLY_HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";

/// To a producer of epoch 0 it says that its first batch is stored.
const STRAY: &[u8] =
    b"HTTP/1.1 204 No Content\r\nstream-next-offset: stray\r\nproducer-epoch: 0\r\nproducer-seq: 0\r\n\r\n";

/// An action, or several, taken apart.
#[derive(Default)]
struct Plan {
    delay: Duration,
    instead: Option<Instead>,
    swallow: Option<End>,
    delay_response: Duration,
    edit_head: Vec<Action>,
    edit_whole: bool,
    cut_head: Option<(usize, End)>,
    is_followed_by_stray: bool,
    closes_after: bool,
    has_early_hints: bool,
    dribble: Option<(usize, Duration)>,
    cut: Option<(Cut, End)>,
}

/// What happens in place of asking the server.
enum Instead {
    Answer(StatusHead, Vec<u8>),
    End(End),
}

impl Plan {
    fn add(&mut self, action: Action) {
        match action {
            Action::Pass => {}
            Action::RefuseStatus { status, headers, body } => {
                self.instead = Some(Instead::Answer(StatusHead { status, headers }, body.into()));
            }
            Action::DropBefore => self.instead = Some(Instead::End(End::Reset)),
            Action::Hang => self.instead = Some(Instead::End(End::Hang)),
            Action::DropAfter => self.swallow = Some(End::Reset),
            Action::HangAfter => self.swallow = Some(End::Hang),
            Action::TruncateBody { bytes, end } => self.cut = Some((Cut::Bytes(bytes), end)),
            Action::CutAfter { cut, end } => self.cut = Some((cut, end)),
            Action::CutHead { bytes, end } => self.cut_head = Some((bytes, end)),
            Action::StrayResponse => {
                self.edit_whole = true;
                self.is_followed_by_stray = true;
            }
            Action::CloseAfter => self.closes_after = true,
            Action::EarlyHints => self.has_early_hints = true,
            Action::Delay(time) => self.delay = time,
            Action::DelayResponse(time) => self.delay_response = time,
            Action::Dribble { chunk, pause } => self.dribble = Some((chunk.max(1), pause)),
            edit @ Action::EditHead(_) => self.edit_head.push(edit),
            edit @ Action::EditResponse(_) => {
                self.edit_whole = true;
                self.edit_head.push(edit);
            }
            Action::All(actions) => actions.into_iter().for_each(|action| self.add(action)),
        }
    }
}

/// Answers `request`. Whatever goes wrong with the server resets the client's connection; whatever goes
/// wrong with the client ends it.
pub(super) fn relay(client: &Arc<Connection>, request: &Recorded, upstream: &str, action: Action) -> After {
    let mut plan = Plan::default();
    plan.add(action);
    carry_out(client, request, upstream, plan).unwrap_or(After::End(Farewell::Reset))
}

fn carry_out(
    client: &Arc<Connection>,
    request: &Recorded,
    upstream: &str,
    mut plan: Plan,
) -> io::Result<After> {
    if client.wait_over(plan.delay) {
        return Ok(After::End(Farewell::Fin));
    }
    match plan.instead.take() {
        Some(Instead::End(how)) => return Ok(end(client, how)),
        Some(Instead::Answer(mut head, body)) => {
            if !matches!(head.status, 204 | 304) {
                head.headers.set("content-length", body.len().to_string());
            }
            send_head(client, &head)?;
            if request.method != "HEAD" {
                client.send(&body)?;
            }
            return Ok(After::KeepAlive);
        }
        None => {}
    }

    let server = Arc::new(TcpStream::connect(upstream)?);
    client.tie(&server);
    let result = exchange(client, request, &server, upstream, plan);
    client.untie();
    result
}

fn exchange(
    client: &Connection,
    request: &Recorded,
    server: &TcpStream,
    authority: &str,
    plan: Plan,
) -> io::Result<After> {
    server.set_nodelay(true)?;
    send_request(server, request, authority)?;
    let mut from = BufReader::with_capacity(64 * 1024, server);
    let mut head = read_response_head(&mut from)?;
    if let Some(how) = plan.swallow {
        return Ok(end(client, how));
    }
    if client.wait_over(plan.delay_response) {
        return Ok(After::End(Farewell::Fin));
    }

    let framing = BodyFraming::of_response(&request.method, &head)?;
    for name in HOP_BY_HOP {
        head.headers.remove(name);
    }
    if plan.edit_whole {
        let mut body = Vec::new();
        BodyReader::new(from, framing).read_to_end(&mut body)?;
        let mut head = edit(&plan.edit_head, head, &mut body);
        let framing = match framing {
            BodyFraming::None if body.is_empty() => BodyFraming::None,
            _ => BodyFraming::Length(body.len() as u64),
        };
        if framing != BodyFraming::None {
            head.headers.set("content-length", body.len().to_string());
        }
        return pass_on(client, server, head, BodyReader::new(body.as_slice(), framing), framing, plan);
    }
    let head = edit(&plan.edit_head, head, &mut Vec::new());
    pass_on(client, server, head, BodyReader::new(from, framing), framing, plan)
}

/// The request as it came, but on a connection for it alone and with its body's length known.
fn send_request(mut server: &TcpStream, request: &Recorded, authority: &str) -> io::Result<()> {
    let mut headers: Headers = request.headers.iter().filter(|(name, _)| !is_hop_by_hop(name)).collect();
    if headers.count("host") == 0 {
        headers.set("host", authority);
    }
    if !request.body.is_empty() {
        headers.set("content-length", request.body.len().to_string());
    }
    headers.set("connection", "close");
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    headers.write_to(&mut bytes);
    server.write_all(&bytes)?;
    server.write_all(&request.body)
}

fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn edit(edits: &[Action], head: StatusHead, body: &mut Vec<u8>) -> StatusHead {
    let mut head = ResponseHead { status: head.status, headers: head.headers };
    for action in edits {
        match action {
            Action::EditHead(edit) => edit(&mut head),
            Action::EditResponse(edit) => edit(&mut head, body),
            _ => {}
        }
    }
    StatusHead { status: head.status, headers: head.headers }
}

fn pass_on(
    client: &Connection,
    server: &TcpStream,
    mut head: StatusHead,
    mut body: impl Read,
    framing: BodyFraming,
    plan: Plan,
) -> io::Result<After> {
    let chunked = matches!(framing, BodyFraming::Chunked | BodyFraming::UntilClose);
    if chunked {
        head.headers.set("transfer-encoding", "chunked");
    }
    if plan.has_early_hints {
        client.send(EARLY_HINTS)?;
    }
    if let Some((bytes, how)) = plan.cut_head {
        let head = head_bytes(&head);
        client.send(&head[..bytes.min(head.len() - 1)])?;
        return Ok(end(client, how));
    }
    if plan.is_followed_by_stray {
        // In one piece: a client that reads the end of the response has the stray one too.
        let mut all = head_bytes(&head);
        body.read_to_end(&mut all)?;
        all.extend_from_slice(STRAY);
        client.send(&all)?;
        return Ok(After::KeepAlive);
    }
    send_head(client, &head)?;

    let (piece, pause) = plan.dribble.unwrap_or((usize::MAX, Duration::ZERO));
    let mut cutter = plan.cut.map(|(cut, end)| (Cutter::new(cut), end));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match &cutter {
            Some((Cutter::Bytes(0), how)) => return Ok(end(client, *how)),
            Some((Cutter::Time(deadline), how)) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(end(client, *how));
                }
                server.set_read_timeout(Some(left))?;
            }
            _ => {}
        }
        let read = match body.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => match &cutter {
                // Only a cut by time sets a time limit.
                Some((Cutter::Time(_), how)) if is_pause(&error) => return Ok(end(client, *how)),
                _ if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(After::End(Farewell::Fin)),
                _ => return Err(error),
            },
        };
        if read == 0 {
            if chunked {
                client.send(b"0\r\n\r\n")?;
            }
            return Ok(if plan.closes_after { After::End(Farewell::Fin) } else { After::KeepAlive });
        }
        let wanted = match &mut cutter {
            Some((cutter, _)) => cutter.allow(&buffer[..read]),
            None => None,
        };
        for part in buffer[..wanted.unwrap_or(read)].chunks(piece) {
            if chunked {
                client.send(&chunk(part))?;
            } else {
                client.send(part)?;
            }
            if !pause.is_zero() && client.wait_over(pause) {
                return Ok(After::End(Farewell::Fin));
            }
        }
        if let (Some(_), Some((_, how))) = (wanted, &cutter) {
            return Ok(end(client, *how));
        }
    }
}

fn send_head(client: &Connection, head: &StatusHead) -> io::Result<()> {
    client.send(&head_bytes(head))
}

fn head_bytes(head: &StatusHead) -> Vec<u8> {
    let mut bytes = status_line(head.status).into_bytes();
    head.headers.write_to(&mut bytes);
    bytes
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn end(client: &Connection, how: End) -> After {
    match how {
        End::Fin => After::End(Farewell::Fin),
        End::Reset => After::End(Farewell::Reset),
        End::Hang => {
            client.wait_over_forever();
            After::End(Farewell::Fin)
        }
    }
}

/// Finds the place where a body is to be cut.
enum Cutter {
    Bytes(u64),
    Text {
        text: Vec<u8>,
        /// The last bytes passed on, in which the text may have begun.
        before: Vec<u8>,
    },
    Time(Instant),
}

impl Cutter {
    fn new(cut: Cut) -> Self {
        match cut {
            Cut::Bytes(bytes) => Self::Bytes(bytes),
            Cut::Text(text) => Self::Text { text: text.into(), before: Vec::new() },
            Cut::Time(time) => Self::Time(Instant::now() + time),
        }
    }

    /// How much of `piece` still goes to the client if the cut lies in it; `None` if it does not.
    fn allow(&mut self, piece: &[u8]) -> Option<usize> {
        match self {
            Self::Bytes(left) => {
                let length = piece.len() as u64;
                if length >= *left {
                    return usize::try_from(*left).ok();
                }
                *left -= length;
                None
            }
            Self::Text { text, before } => {
                let known = before.len();
                before.extend_from_slice(piece);
                let found = before.windows(text.len().max(1)).position(|window| window == text.as_slice());
                if let Some(at) = found {
                    return Some(at + text.len() - known);
                }
                let surplus = before.len().saturating_sub(text.len().saturating_sub(1));
                before.drain(..surplus);
                None
            }
            Self::Time(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_across_pieces() {
        let mut cutter = Cutter::new(Cut::Text("event: control".into()));
        assert_eq!(cutter.allow(b"event: data\n\nevent: con"), None);
        assert_eq!(cutter.allow(b"t"), None);
        assert_eq!(cutter.allow(b"rol\ndata"), Some(3));
    }

    #[test]
    fn bytes_are_counted_across_pieces() {
        let mut cutter = Cutter::new(Cut::Bytes(5));
        assert_eq!(cutter.allow(b"abc"), None);
        assert_eq!(cutter.allow(b"d"), None);
        assert_eq!(cutter.allow(b"ef"), Some(1));
    }
}
