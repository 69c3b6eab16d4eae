use super::moment::Moment;
use super::reply::{
    CLOSED, EXPIRES_AT, FORK_OFFSET, FORK_SUB_OFFSET, FORKED_FROM, NEXT_OFFSET, Set, TTL, error, status, text,
};
use super::server::Model;
use super::stream::{Addition, Fork, Lifetime, Stream, addition, essence};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use std::collections::BTreeMap;
use std::time::SystemTime;

const OCTETS: &str = "application/octet-stream";

/// What a PUT asks for.
struct Wanted<'a> {
    content_type: Option<&'a str>,
    lifetime: Lifetime,
    closed: bool,
    fork: Option<WantedFork<'a>>,
}

struct WantedFork<'a> {
    source: &'a str,
    offset: Option<&'a str>,
    sub_offset: Option<u64>,
}

impl WantedFork<'_> {
    /// Zero is the same as none.
    fn sub_offset(&self) -> u64 {
        self.sub_offset.unwrap_or(0)
    }
}

impl Model {
    pub(super) fn create(&mut self, path: &str, request: &Request<Bytes>, at: Moment) -> Response<Bytes> {
        match self.try_create(path, request, at) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn try_create(
        &mut self,
        path: &str,
        request: &Request<Bytes>,
        at: Moment,
    ) -> Result<Response<Bytes>, Response<Bytes>> {
        let wanted = self.wanted(request.headers())?;
        let exists = self.streams.contains_key(path);
        if exists && !self.options.dialect.judges_content_first() {
            return self.exists(path, &wanted);
        }
        let mut stream = self.initial(&wanted, request.body(), at)?;
        if exists {
            return self.exists(path, &wanted);
        }
        if wanted.lifetime != Lifetime::Unlimited {
            stream.lifetime = wanted.lifetime;
        }
        stream.closed = wanted.closed;
        stream.touched = at.elapsed;
        if let Some(source) = stream.fork.as_ref().and_then(|fork| self.streams.get_mut(&fork.source)) {
            source.forks += 1;
        }
        let mut answer = self.created(201, &stream);
        answer.set(header::LOCATION, &request.uri().to_string());
        self.streams.insert(path.to_owned(), stream);
        Ok(answer)
    }

    /// The stream that a PUT would make, with its first content.
    fn initial(&mut self, wanted: &Wanted<'_>, body: &Bytes, at: Moment) -> Result<Stream, Response<Bytes>> {
        if body.len() > self.options.max_body {
            return Err(error(413, "body too large"));
        }
        let mut stream = match &wanted.fork {
            None => self.blank(wanted.content_type.unwrap_or(OCTETS)),
            Some(fork) => self.forked(fork, wanted.content_type, at)?,
        };
        let added = match body.is_empty() {
            true => Addition::Bytes(Bytes::new()),
            false => addition(stream.json, body).ok_or_else(|| error(400, "invalid JSON body"))?,
        };
        stream.push(added, at.elapsed);
        Ok(stream)
    }

    fn wanted<'a>(&self, headers: &'a HeaderMap) -> Result<Wanted<'a>, Response<Bytes>> {
        let lifetime = match (text(headers, TTL), text(headers, EXPIRES_AT)) {
            (None, None) => Lifetime::Unlimited,
            (Some(_), Some(_)) => return Err(error(400, "Stream-TTL conflicts with Stream-Expires-At")),
            (Some(seconds), None) => {
                Lifetime::Ttl(decimal(seconds).ok_or_else(|| error(400, "invalid Stream-TTL"))?)
            }
            (None, Some(time)) => {
                let parsed = chrono::DateTime::parse_from_rfc3339(time)
                    .map_err(|_| error(400, "invalid Stream-Expires-At"))?;
                Lifetime::Until(time.to_owned(), SystemTime::from(parsed))
            }
        };
        let sub_offset = text(headers, FORK_SUB_OFFSET);
        let offset = text(headers, FORK_OFFSET);
        let malformed = offset.is_some_and(|offset| self.options.offsets.decode(offset).is_none());
        if malformed && !self.options.dialect.forks_at_sentinels() {
            return Err(error(400, "malformed fork offset"));
        }
        let fork = match text(headers, FORKED_FROM) {
            None if offset.is_some() || sub_offset.is_some() => {
                return Err(error(400, "fork headers require Stream-Forked-From"));
            }
            None => None,
            Some(source) => {
                let sub_offset = match sub_offset {
                    None => None,
                    Some(_) if offset.is_none() => {
                        return Err(error(400, "Stream-Fork-Sub-Offset requires Stream-Fork-Offset"));
                    }
                    Some(sub) if !sub.is_empty() && sub.bytes().all(|c| c.is_ascii_digit()) => {
                        let number =
                            sub.parse().map_err(|_| error(400, "malformed Stream-Fork-Sub-Offset"))?;
                        Some(number)
                    }
                    Some(_) => return Err(error(400, "malformed Stream-Fork-Sub-Offset")),
                };
                Some(WantedFork { source, offset, sub_offset })
            }
        };
        let closed = self.asks_to_close(headers);
        Ok(Wanted { content_type: text(headers, header::CONTENT_TYPE), lifetime, closed, fork })
    }

    pub(super) fn asks_to_close(&self, headers: &HeaderMap) -> bool {
        text(headers, CLOSED).is_some_and(|value| match self.options.dialect.closes_in_any_case() {
            true => value.eq_ignore_ascii_case("true"),
            false => value == "true",
        })
    }

    /// A PUT to a path in use succeeds if it asks for what is there.
    fn exists(&self, path: &str, wanted: &Wanted<'_>) -> Result<Response<Bytes>, Response<Bytes>> {
        let stream = &self.streams[path];
        let inherits = wanted.fork.is_some() && self.options.dialect.repeated_fork_inherits();
        let same_type = match wanted.content_type {
            None if inherits => true,
            wanted => essence(wanted.unwrap_or(OCTETS)) == essence(&stream.content_type),
        };
        let same_fork = match (&stream.fork, &wanted.fork) {
            (None, None) => true,
            (Some(is), Some(wanted)) => {
                let same_offset = match self.options.dialect.repeats_forks_to_the_letter() {
                    true => is.asked.as_deref() == wanted.offset,
                    false => wanted.offset.is_none_or(|o| self.fork_offset(o, is.offset) == Some(is.offset)),
                };
                is.source == wanted.source && is.sub_offset == wanted.sub_offset() && same_offset
            }
            _ => false,
        };
        let same_lifetime = stream.lifetime == wanted.lifetime
            || (wanted.fork.is_some() && inherits && wanted.lifetime == Lifetime::Unlimited);
        if stream.deleted || !same_type || !same_fork || !same_lifetime || stream.closed != wanted.closed {
            return Err(error(409, "stream exists with different configuration"));
        }
        Ok(self.created(200, stream))
    }

    fn created(&self, code: u16, stream: &Stream) -> Response<Bytes> {
        let mut answer = status(code);
        answer.set(header::CONTENT_TYPE, &stream.content_type);
        answer.set(NEXT_OFFSET, &self.options.offsets.encode(stream.tail() as u64));
        if stream.closed {
            answer.set(CLOSED, "true");
        }
        answer
    }

    pub(super) fn blank(&mut self, content_type: &str) -> Stream {
        self.created += 1;
        Stream {
            id: self.created,
            content_type: content_type.to_owned(),
            json: essence(content_type) == "application/json",
            data: Vec::new(),
            start: 0,
            messages: Vec::new(),
            appends: Vec::new(),
            appended_at: Vec::new(),
            lifetime: Lifetime::Unlimited,
            touched: std::time::Duration::ZERO,
            closed: false,
            closed_by: None,
            last_seq: None,
            producers: BTreeMap::new(),
            fork: None,
            forks: 0,
            deleted: false,
        }
    }

    fn forked(
        &mut self,
        wanted: &WantedFork<'_>,
        content_type: Option<&str>,
        at: Moment,
    ) -> Result<Stream, Response<Bytes>> {
        self.expire(wanted.source, at);
        let Some(source) = self.streams.get(wanted.source) else {
            return Err(error(404, "fork source not found"));
        };
        if source.deleted {
            return Err(error(409, "fork source is deleted"));
        }
        if content_type.is_some_and(|wanted| essence(wanted) != essence(&source.content_type)) {
            return Err(error(409, "fork content-type mismatch"));
        }
        let offset = match wanted.offset {
            None => source.tail(),
            Some(offset) => {
                self.fork_offset(offset, source.tail()).ok_or_else(|| error(400, "malformed fork offset"))?
            }
        };
        if offset > source.tail() {
            return Err(error(400, "fork offset beyond stream length"));
        }
        if wanted.sub_offset.is_some()
            && source.tail() == 0
            && self.options.dialect.refuses_sub_offset_of_empty()
        {
            return Err(error(400, "sub-offset on empty source stream"));
        }
        let end = self
            .refine(source, offset, wanted.sub_offset())
            .ok_or_else(|| error(400, "sub-offset overshoots"))?;
        let (data, messages, appends) = source.prefix(end);
        let inherited = content_type.unwrap_or(&source.content_type).to_owned();
        let lifetime = source.lifetime.clone();
        let mut stream = self.blank(&inherited);
        stream.appended_at = vec![std::time::Duration::ZERO; appends.len()];
        (stream.data, stream.messages, stream.appends) = (data, messages, appends);
        stream.lifetime = lifetime;
        stream.fork = Some(Fork {
            source: wanted.source.to_owned(),
            asked: wanted.offset.map(str::to_owned),
            offset,
            sub_offset: wanted.sub_offset(),
        });
        Ok(stream)
    }

    fn fork_offset(&self, offset: &str, tail: usize) -> Option<usize> {
        match offset {
            "-1" if self.options.dialect.forks_at_sentinels() => Some(0),
            "now" if self.options.dialect.forks_at_sentinels() => Some(tail),
            offset => self.options.offsets.decode(offset).and_then(|position| position.try_into().ok()),
        }
    }

    /// The position `sub_offset` bytes or messages after `offset`.
    fn refine(&self, source: &Stream, offset: usize, sub_offset: u64) -> Option<usize> {
        let sub_offset: usize = sub_offset.try_into().ok()?;
        if sub_offset == 0 {
            return Some(offset);
        }
        let limit = match self.options.dialect.sub_offset_spans_appends() {
            true => source.tail(),
            false => *source.appends.get(source.appends.partition_point(|end| *end <= offset))?,
        };
        let end = match source.json {
            false => offset.checked_add(sub_offset)?,
            true => {
                let first = source.messages.partition_point(|end| *end <= offset);
                *source.messages.get(first.checked_add(sub_offset - 1)?)?
            }
        };
        (end <= limit).then_some(end)
    }
}

/// A decimal number without sign or leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
