use super::moment::Moment;
use super::options::ServerOptions;
use super::reply::{
    EXPECTED_SEQ, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQ, RECEIVED_SEQ, SEQ, Set, error, status, text,
};
use super::server::Model;
use super::stream::{Addition, Stream, addition, essence};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};

/// The largest number that every language has.
const MOST: u64 = (1 << 53) - 1;

/// Who appends, and which of its appends it is.
struct Producer<'a> {
    id: &'a str,
    epoch: u64,
    seq: u64,
}

/// What a producer's numbers mean for its append.
enum Judgement {
    New,
    Duplicate,
    Refused(Response<Bytes>),
}

impl Model {
    pub(super) fn append(&mut self, path: &str, request: &Request<Bytes>, at: Moment) -> Response<Bytes> {
        match self.try_append(path, request, at) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn try_append(
        &mut self,
        path: &str,
        request: &Request<Bytes>,
        at: Moment,
    ) -> Result<Response<Bytes>, Response<Bytes>> {
        let options = self.options.clone();
        let (headers, body) = (request.headers(), request.body());
        let close = self.asks_to_close(headers);
        if !options.dialect.judges_append_first() {
            self.find(path)?;
        }
        if body.is_empty() && !close {
            return Err(error(400, "empty append body"));
        }
        let content_type = text(headers, header::CONTENT_TYPE);
        if content_type.is_none() && !body.is_empty() && options.dialect.judges_append_first() {
            return Err(error(400, "missing Content-Type"));
        }
        let producer = producer(headers)?;
        let stream = self.find(path)?;
        if content_type.is_none() && !body.is_empty() {
            return Err(error(400, "missing Content-Type"));
        }
        let mut added = None;
        let matches = content_type.is_some_and(|given| essence(given) == essence(&stream.content_type));
        if matches && options.dialect.judges_json_first() {
            added = Some(validated(stream, body)?);
        }
        if close && !body.is_empty() && !matches && options.dialect.closing_judges_type_first() {
            return Err(error(409, "content-type mismatch"));
        }
        if stream.closed {
            return Ok(already_closed(stream, &options, producer.as_ref(), body.is_empty(), close));
        }
        if !body.is_empty() && !matches {
            return Err(error(409, "content-type mismatch"));
        }
        if let Some(producer) = &producer {
            match judge(stream, producer, &options) {
                Judgement::New => {}
                Judgement::Refused(answer) => return Err(answer),
                Judgement::Duplicate => {
                    let mut answer = accepted(204, stream, Some(producer));
                    if options.dialect.refusals_say_tail() {
                        stream.say_tail(&mut answer, &options);
                    }
                    return Ok(answer);
                }
            }
        }
        let seq = text(headers, SEQ);
        if seq.is_some_and(|seq| stream.last_seq.as_deref().is_some_and(|last| seq <= last)) {
            let mut answer = error(409, "Sequence conflict");
            if options.dialect.refusals_say_tail() {
                stream.say_tail(&mut answer, &options);
            }
            return Err(answer);
        }
        let added = match added {
            Some(added) => added,
            None => validated(stream, body)?,
        };
        let stored = !body.is_empty();
        stream.push(added, at.elapsed);
        stream.touched = at.elapsed;
        stream.last_seq = seq.map(str::to_owned).or(stream.last_seq.take());
        if let Some(producer) = &producer {
            stream.producers.insert(producer.id.to_owned(), (producer.epoch, producer.seq));
        }
        if close {
            stream.closed = true;
            stream.closed_by = producer.as_ref().map(|p| (p.id.to_owned(), p.epoch, p.seq));
        }
        let mut answer =
            accepted(if producer.is_some() && stored { 200 } else { 204 }, stream, producer.as_ref());
        stream.say_tail(&mut answer, &options);
        Ok(answer)
    }
}

fn validated(stream: &Stream, body: &Bytes) -> Result<Addition, Response<Bytes>> {
    if body.is_empty() {
        return Ok(Addition::Bytes(Bytes::new()));
    }
    let added = addition(stream.json, body).ok_or_else(|| error(400, "invalid JSON body"))?;
    if added.is_empty() {
        return Err(error(400, "empty JSON array append"));
    }
    Ok(added)
}

fn producer(headers: &HeaderMap) -> Result<Option<Producer<'_>>, Response<Bytes>> {
    let fields = [PRODUCER_ID, PRODUCER_EPOCH, PRODUCER_SEQ].map(|name| text(headers, name));
    let (id, epoch, seq) = match fields {
        [None, None, None] => return Ok(None),
        [Some(id), Some(epoch), Some(seq)] => (id, epoch, seq),
        _ => return Err(error(400, "producer headers must all be provided together")),
    };
    if id.is_empty() {
        return Err(error(400, "empty Producer-Id"));
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let number: Option<u64> = digits.then(|| text.parse().ok()).flatten();
        number.filter(|number| *number <= MOST).ok_or_else(|| error(400, "invalid producer header"))
    };
    Ok(Some(Producer { id, epoch: number(epoch)?, seq: number(seq)? }))
}

fn judge(stream: &Stream, producer: &Producer<'_>, options: &ServerOptions) -> Judgement {
    let gap = |expected: u64| {
        let mut answer = error(409, "producer sequence gap");
        answer.set_number(EXPECTED_SEQ, expected);
        answer.set_number(RECEIVED_SEQ, producer.seq);
        Judgement::Refused(answer)
    };
    let Some(&(epoch, last)) = stream.producers.get(producer.id) else {
        return if producer.seq == 0 { Judgement::New } else { gap(0) };
    };
    if producer.epoch < epoch {
        let mut answer = error(403, "stale producer epoch");
        answer.set_number(PRODUCER_EPOCH, epoch);
        if options.dialect.refusals_say_tail() {
            stream.say_tail(&mut answer, options);
        }
        return Judgement::Refused(answer);
    }
    if producer.epoch > epoch {
        return match producer.seq {
            0 => Judgement::New,
            _ => Judgement::Refused(error(400, "new producer epoch must start at seq 0")),
        };
    }
    match producer.seq {
        seq if seq <= last => Judgement::Duplicate,
        seq if seq == last + 1 => Judgement::New,
        _ => gap(last + 1),
    }
}

/// A success, with where the producer now stands.
fn accepted(code: u16, stream: &Stream, producer: Option<&Producer<'_>>) -> Response<Bytes> {
    let mut answer = status(code);
    if let Some(producer) = producer {
        let (epoch, seq) =
            stream.producers.get(producer.id).copied().unwrap_or((producer.epoch, producer.seq));
        answer.set_number(PRODUCER_EPOCH, epoch);
        answer.set_number(PRODUCER_SEQ, seq);
    }
    answer
}

fn already_closed(
    stream: &Stream,
    options: &ServerOptions,
    producer: Option<&Producer<'_>>,
    empty: bool,
    close: bool,
) -> Response<Bytes> {
    let closer = stream.closed_by.as_ref();
    let repeats = producer.is_some_and(|p| {
        closer.is_some_and(|(id, epoch, seq)| (id.as_str(), *epoch, *seq) == (p.id, p.epoch, p.seq))
    });
    let mut answer = if repeats && (close || !options.dialect.repeat_must_close()) {
        accepted(204, stream, producer)
    } else if producer.is_none() && empty && close {
        status(204)
    } else {
        error(409, "stream is closed")
    };
    stream.say_tail(&mut answer, options);
    answer
}
