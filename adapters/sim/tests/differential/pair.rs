//! The model and a real server side by side.

use crate::LONG_POLL;
use crate::compare::{Difference, Reply, Tokens, compare};
use crate::operation::{At, Operation, STREAMS, State};
use bytes::Bytes;
use durable_streams_sim::model::{Dialect, Handled, Model, Moment, ServerOptions, Step};
use http::Request;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};
use test_servers::direct;

pub(crate) struct Pair {
    pub(crate) url: String,
    base: String,
    pub(crate) model: Model,
    begun: Instant,
    /// What corresponds to what, for each stream.
    pub(crate) tokens: [Tokens; STREAMS],
    /// The stream of which a fork was made last.
    forked: Option<usize>,
}

/// Which side is being asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Model,
    Real,
}

impl Pair {
    pub(crate) fn new(url: &str, base: &str, dialect: Dialect) -> Self {
        let mut options = ServerOptions::default();
        options.dialect = dialect;
        options.long_poll = LONG_POLL;
        Self {
            url: url.to_owned(),
            base: base.to_owned(),
            model: Model::new(options, 0),
            begun: Instant::now(),
            tokens: Default::default(),
            forked: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        State {
            offsets: std::array::from_fn(|i| self.tokens[i].offsets.len()),
            forked: self.forked,
            etags: std::array::from_fn(|i| self.tokens[i].etags.len()),
        }
    }

    /// Lets time pass on both sides.
    pub(crate) fn pass(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Runs an operation on both; the status, if they agree.
    pub(crate) fn run(&mut self, operation: &Operation) -> Result<u16, Difference> {
        let (model, real) = match &operation.meanwhile {
            None => (self.ask_model(operation), self.ask_real(operation)),
            Some(body) => self.both_meanwhile(operation, body)?,
        };
        let status = compare(operation, &model, &real, &mut self.tokens[operation.stream])?;
        // A stream that is made anew begins anew; one that is gone is known no more.
        if operation.method == "DELETE" && status == 204 {
            self.tokens[operation.stream] = Tokens::default();
        }
        if let (Some(fork), 201) = (&operation.fork, status) {
            self.forked = Some(fork.source);
        }
        Ok(status)
    }

    /// A long-poll during which an append comes in: whichever is first, the answer is the same.
    fn both_meanwhile(&mut self, operation: &Operation, body: &str) -> Result<(Reply, Reply), Difference> {
        let content_type = self.model.stream(&self.path(operation.stream)).map(|stream| stream.content_type);
        let mut append = Operation::new("POST", operation.stream).body(body);
        append.headers = append.headers.with("content-type", content_type.unwrap_or("text/plain".to_owned()));
        let real = std::thread::scope(|scope| {
            let asking = scope.spawn(|| self.ask_real(operation));
            let appended = self.ask_real(&append);
            (asking.join().unwrap(), appended)
        });
        // On the model it comes after the wait has begun, where there is one.
        let at = self.moment();
        let request = self.model_request(operation);
        let handled = self.model.handle(&request, at);
        let appended = self.ask_model(&append);
        let model = match handled {
            Handled::Wait(wait) => {
                let answer = self.model.resume(&wait, at).or_else(|| {
                    let late = Moment { elapsed: wait.deadline(), ..at };
                    self.model.resume(&wait, late)
                });
                Reply::of_model(answer.unwrap())
            }
            // The data that was there already; an append that came first would have been part of it.
            Handled::Answer(answer) => {
                let data = answer.status() == 200 && appended.status < 300;
                if data { self.ask_model(operation) } else { Reply::of_model(answer) }
            }
            Handled::Events(..) => unreachable!("a long-poll has no events"),
        };
        compare(&append, &appended, &real.1, &mut self.tokens[operation.stream])?;
        // Both orders are right where there was data already: then ask once more.
        match model.status == 200 && model.body != real.0.body {
            true => Ok((self.ask_model(operation), self.ask_real(operation))),
            false => Ok((model, real.0)),
        }
    }

    pub(crate) fn path(&self, stream: usize) -> String {
        format!("{}/{stream}", self.base)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { elapsed: self.begun.elapsed(), wall: SystemTime::now() }
    }

    fn offset(&self, side: Side, stream: usize, at: At) -> String {
        match at {
            At::Beginning => "-1".to_owned(),
            At::Now => "now".to_owned(),
            At::Malformed => "no offset".to_owned(),
            At::Known(n) => self.tokens[stream].offset(side, n),
        }
    }

    /// Target and header fields for one side.
    fn request(&self, side: Side, operation: &Operation) -> (String, Vec<(String, String)>) {
        let mut query = Vec::new();
        if let Some(cursor) = operation.cursor {
            query.push(format!("cursor={cursor}"));
        }
        if let Some(live) = operation.live {
            query.push(format!("live={live}"));
        }
        if let Some(at) = operation.offset {
            query.push(format!("offset={}", self.offset(side, operation.stream, at).replace(' ', "%20")));
        }
        let mut target = self.path(operation.stream);
        if !query.is_empty() {
            target += &format!("?{}", query.join("&"));
        }
        let mut headers: Vec<(String, String)> =
            operation.headers.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        if let Some(etag) = operation.etag {
            headers.push(("if-none-match".to_owned(), self.tokens[operation.stream].etag(side, etag)));
        }
        if let Some(fork) = &operation.fork {
            headers.push(("stream-forked-from".to_owned(), self.path(fork.source)));
            if let Some(at) = fork.at {
                headers.push(("stream-fork-offset".to_owned(), self.offset(side, fork.source, at)));
            }
        }
        (target, headers)
    }

    fn model_request(&self, operation: &Operation) -> Request<Bytes> {
        let (target, headers) = self.request(Side::Model, operation);
        let mut request = Request::builder().method(operation.method).uri(format!("http://model{target}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Bytes::from(operation.body.clone())).unwrap()
    }

    pub(crate) fn ask_model(&mut self, operation: &Operation) -> Reply {
        let request = self.model_request(operation);
        let at = self.moment();
        match self.model.handle(&request, at) {
            Handled::Answer(answer) => Reply::of_model(answer),
            Handled::Wait(wait) => {
                let late = Moment { elapsed: wait.deadline(), ..at };
                Reply::of_model(self.model.resume(&wait, late).unwrap())
            }
            Handled::Events(head, mut events) => {
                let mut text = Vec::new();
                loop {
                    match self.model.step(&mut events, at) {
                        Step::Send(bytes) => text.extend_from_slice(&bytes),
                        Step::End(bytes) => {
                            text.extend_from_slice(&bytes);
                            break;
                        }
                        Step::Wait(_) => break,
                    }
                }
                Reply::of_model(head.map(|()| text.into()))
            }
        }
    }

    pub(crate) fn ask_real(&self, operation: &Operation) -> Reply {
        let (target, headers) = self.request(Side::Real, operation);
        if operation.live == Some("sse") {
            return self.ask_events(&target, &headers);
        }
        let mut fields = test_servers::Headers::new();
        for (name, value) in &headers {
            fields.append(name, value);
        }
        let url = format!("{}{target}", self.url);
        let answer = direct(operation.method, &url, fields, &operation.body).unwrap();
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()));
        Reply { status: answer.status, headers: headers.collect(), body: answer.body.to_vec() }
    }

    /// Reads events until they are up to date, or end.
    fn ask_events(&self, target: &str, headers: &[(String, String)]) -> Reply {
        let authority = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut head = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = std::collections::BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        let chunked = fields.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let done = |body: &[u8]| {
            let text = String::from_utf8_lossy(body);
            text.ends_with("\n\n")
                && (text.contains("\"upToDate\":true") || text.contains("\"streamClosed\":true"))
        };
        if chunked {
            while !done(&body) || status != 200 {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let length = usize::from_str_radix(line.trim(), 16).unwrap();
                let mut chunk = vec![0; length + 2];
                reader.read_exact(&mut chunk).unwrap();
                body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        } else {
            let length: usize = fields.get("content-length").map_or(0, |length| length.parse().unwrap());
            body.resize(length, 0);
            reader.read_exact(&mut body).unwrap();
        }
        Reply { status, headers: fields, body }
    }
}
