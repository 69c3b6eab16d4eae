//! The state between commands, and the commands that are one request each.

use crate::answer::{During, Failure};
use crate::command::{Append, Benchmark, Close, Command, Create, Headers};
use crate::dynamic::Dynamic;
use crate::fields::{Fields, fields};
use crate::producers::Producers;
use crate::stack::{Stack, Stream};
use crate::{reading, validate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use durable_streams::{Client, CreateOptions, DateTime, HeaderMap, HeaderName, HeaderValue, RetryConfig};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One session with the runner.
pub(crate) struct Session<S: Stack> {
    client: Option<Client<S::Transport, S::Runtime>>,
    /// The content type of each created path, because append commands do not have it.
    content_types: HashMap<String, String>,
    pub(crate) dynamic: Dynamic,
    pub(crate) producers: Producers<S>,
}

impl<S: Stack> Default for Session<S> {
    fn default() -> Self {
        Self {
            client: None,
            content_types: HashMap::new(),
            dynamic: Dynamic::default(),
            producers: Producers::default(),
        }
    }
}

impl<S: Stack> Session<S> {
    /// The result for one line, and whether the session continues.
    pub(crate) async fn answer(&mut self, line: &str) -> (Value, bool) {
        let kind =
            serde_json::from_str::<Value>(line).ok().and_then(|v| Some(v.get("type")?.as_str()?.to_owned()));
        let kind = kind.unwrap_or_default();
        let outcome = match serde_json::from_str(line) {
            Ok(Command::Shutdown) => return (json!({ "type": "shutdown", "success": true }), false),
            Ok(command) => self.carry_out(command).await,
            Err(error) => Err(Failure::new("INVALID_ARGUMENT", format!("not a command: {error}"))),
        };
        let answer = match outcome {
            Ok(mut fields) => {
                fields.insert("type".into(), kind.into());
                fields.insert("success".into(), true.into());
                Value::Object(fields)
            }
            Err(failure) => failure.into_answer(&kind),
        };
        (answer, true)
    }

    async fn carry_out(&mut self, command: Command) -> Result<Fields, Failure> {
        match command {
            Command::Init { server_url } => self.init(&server_url),
            Command::Create(command) => self.create(command).await,
            Command::Connect(target) => {
                let head = self.stream(&target.path, &target.headers)?.head().await?;
                Ok(fields(json!({ "status": 200, "offset": head.next_offset.to_string() })))
            }
            Command::Append(command) => self.append(command).await,
            Command::IdempotentAppend(command) => self.idempotent_append(command).await,
            Command::IdempotentAppendBatch(command) => self.idempotent_append_batch(command).await,
            Command::IdempotentClose(command) => self.idempotent_close(command).await,
            Command::IdempotentDetach(command) => self.idempotent_detach(command).await,
            Command::Read(command) => {
                let stream = self.stream(&command.path, &command.headers)?;
                let mut fields =
                    reading::read::<S>(&stream, &command).await.map_err(|e| Failure::of(&e, During::Read))?;
                self.add_sent(&mut fields);
                Ok(fields)
            }
            Command::Head(target) => {
                let head = self.stream(&target.path, &target.headers)?.head().await?;
                Ok(fields(json!({
                    "status": 200,
                    "offset": head.next_offset.to_string(),
                    "contentType": head.content_type,
                    "ttlSeconds": head.ttl.map(|ttl| ttl.as_secs()),
                    "expiresAt": head.expires_at.map(|at| at.to_rfc3339()),
                    "streamClosed": head.closed,
                })))
            }
            Command::Delete(target) => {
                self.stream(&target.path, &target.headers)?.delete().await?;
                self.content_types.remove(&target.path);
                Ok(fields(json!({ "status": 200 })))
            }
            Command::Close(command) => self.close(command).await,
            Command::SetDynamicHeader(command) => self.set(|dynamic| dynamic.set_header(command)),
            Command::SetDynamicParam(command) => self.set(|dynamic| dynamic.set_param(command)),
            Command::ClearDynamic => {
                self.dynamic.clear();
                Ok(Fields::new())
            }
            Command::Validate { target } => {
                let stream = self.stream("validate", &Headers::new())?;
                validate::validate::<S>(&stream, &target).map(|()| Fields::new())
            }
            Command::Benchmark(command) => self.benchmark(command).await,
            Command::Shutdown => Ok(Fields::new()),
        }
    }

    fn init(&mut self, server_url: &str) -> Result<Fields, Failure> {
        let (headers, params) = (self.dynamic.clone(), self.dynamic.clone());
        let client = Client::builder()
            .base_url(server_url)
            .header_provider(move || headers.headers())
            .query_provider(move || params.params())
            // Gives up within the 30 s that the runner grants a command.
            .retry_config(RetryConfig { max_retries: Some(5), ..RetryConfig::default() })
            .build()?;
        self.client = Some(client);
        Ok(fields(json!({
            "clientName": format!("durable-streams-client ({})", S::NAME),
            "clientVersion": env!("CARGO_PKG_VERSION"),
            "features": {
                "batching": true, "sse": true, "longPoll": true, "auto": true, "streaming": true,
                "dynamicHeaders": true, "retryOptions": true, "batchItems": true, "strictZeroValidation": true,
            },
        })))
    }

    /// A handle to the stream at `path`, with the command's headers and what is known of its type.
    pub(crate) fn stream(&self, path: &str, headers: &Headers) -> Result<Stream<S>, Failure> {
        let client = self
            .client
            .as_ref()
            .ok_or_else(|| Failure::new("INTERNAL_ERROR", "no init command came first"))?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let invalid =
                |what: &str| Failure::new("INVALID_ARGUMENT", format!("{what} of header {name}: {value}"));
            let name = HeaderName::try_from(name).map_err(|_| invalid("invalid name"))?;
            map.insert(name, HeaderValue::try_from(value).map_err(|_| invalid("invalid value"))?);
        }
        let stream = client.stream(path).with_headers(map);
        Ok(match self.content_types.get(path) {
            Some(content_type) => stream.with_content_type(content_type),
            None => stream,
        })
    }

    fn set(&self, set: impl FnOnce(&Dynamic) -> Result<(), String>) -> Result<Fields, Failure> {
        set(&self.dynamic).map_err(|message| Failure::new("INVALID_ARGUMENT", message))?;
        Ok(Fields::new())
    }

    /// Tells what the providers gave to the last requests.
    fn add_sent(&self, fields: &mut Fields) {
        let (headers, params) = self.dynamic.sent();
        for (name, sent) in [("headersSent", headers), ("paramsSent", params)] {
            if !sent.is_empty() {
                fields.insert(name.into(), json!(sent));
            }
        }
    }

    async fn create(&mut self, command: Create) -> Result<Fields, Failure> {
        let mut options = CreateOptions::new().closed(command.closed);
        if let Some(content_type) = command.content_type {
            options = options.content_type(content_type);
        }
        if let Some(seconds) = command.ttl_seconds {
            options = options.ttl(Duration::from_secs(seconds));
        }
        if let Some(text) = command.expires_at {
            let time = DateTime::parse_from_rfc3339(&text)
                .map_err(|e| Failure::new("INVALID_ARGUMENT", format!("expiresAt {text}: {e}")))?;
            options = options.expires_at(time.to_utc());
        }
        if let Some(data) = command.data {
            options = options.data(data);
        }
        let created = self.stream(&command.path, &command.headers)?.create(options).await?;
        self.content_types.insert(command.path, created.content_type);
        let status = if created.created { 201 } else { 200 };
        Ok(fields(json!({ "status": status, "offset": created.next_offset.to_string() })))
    }

    async fn append(&mut self, command: Append) -> Result<Fields, Failure> {
        let data = if command.binary {
            STANDARD
                .decode(&command.data)
                .map_err(|e| Failure::new("INVALID_ARGUMENT", format!("not base64: {e}")))?
        } else {
            command.data.into_bytes()
        };
        let mut append = self.stream(&command.path, &command.headers)?.append(data);
        if let Some(seq) = command.seq {
            append = append.seq(seq.as_str().map_or_else(|| seq.to_string(), str::to_owned));
        }
        let producer = (command.producer_id, command.producer_epoch, command.producer_seq);
        // The cases expect a plain append to be sent again after a 500.
        append = match producer {
            (Some(id), epoch, seq) => append.producer(id, epoch.unwrap_or_default(), seq.unwrap_or_default()),
            (None, ..) => append.at_least_once(),
        };
        let response = append.await?;
        let mut fields = fields(json!({ "status": 200, "offset": response.next_offset.to_string() }));
        if let Some(producer) = response.producer {
            fields.insert("duplicate".into(), response.duplicate.into());
            fields.insert("producerEpoch".into(), producer.epoch.into());
            fields.insert("producerSeq".into(), producer.seq.into());
        }
        self.add_sent(&mut fields);
        Ok(fields)
    }

    async fn close(&mut self, command: Close) -> Result<Fields, Failure> {
        let mut stream = self.stream(&command.path, &Headers::new())?;
        if let Some(content_type) = command.content_type {
            stream = stream.with_content_type(content_type);
        }
        let closed = match command.data {
            Some(data) => stream.close_with(data).await?,
            None => stream.close().await?,
        };
        Ok(fields(json!({ "finalOffset": closed.final_offset.to_string() })))
    }

    /// Times one operation, named and shaped as the public runner does.
    async fn benchmark(&mut self, command: Benchmark) -> Result<Fields, Failure> {
        let text =
            |name: &str| command.operation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| command.operation.get(name).and_then(Value::as_u64).unwrap_or_default();
        let path = text("path");
        let size = usize::try_from(number("size")).unwrap_or(usize::MAX);
        let stream = self.stream(&path, &Headers::new())?;
        let began = Instant::now();
        let metrics = match text("op").as_str() {
            "append" => {
                stream.append(vec![42; size]).at_least_once().await?;
                json!({ "bytesTransferred": size })
            }
            "read" => {
                let mut chunks = stream.reader().chunks().await?;
                let mut read = 0;
                while let Some(chunk) = chunks.try_next().await? {
                    read += chunk.data.len();
                }
                json!({ "bytesTransferred": read })
            }
            "create" => {
                let content_type = command.operation.get("contentType").and_then(Value::as_str);
                let options =
                    content_type.map_or_else(CreateOptions::new, |t| CreateOptions::new().content_type(t));
                stream.create(options).await?;
                json!({})
            }
            other => return Err(Failure::new("NOT_SUPPORTED", format!("unknown operation {other}"))),
        };
        let nanos = began.elapsed().as_nanos().to_string();
        Ok(fields(json!({ "iterationId": command.iteration_id, "durationNs": nanos, "metrics": metrics })))
    }
}
