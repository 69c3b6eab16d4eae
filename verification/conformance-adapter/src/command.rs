//! The commands, as the runner writes them.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(crate) type Headers = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Command {
    Init { server_url: String },
    Create(Create),
    Connect(Target),
    Append(Append),
    IdempotentAppend(Idempotent),
    IdempotentAppendBatch(Idempotent),
    IdempotentClose(Idempotent),
    IdempotentDetach(Idempotent),
    Read(Read),
    Head(Target),
    Delete(Target),
    Close(Close),
    SetDynamicHeader(SetDynamic),
    SetDynamicParam(SetDynamic),
    ClearDynamic,
    Validate { target: Map<String, Value> },
    Benchmark(Benchmark),
    Shutdown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: Headers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Create {
    pub(crate) path: String,
    pub(crate) content_type: Option<String>,
    pub(crate) ttl_seconds: Option<u64>,
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) headers: Headers,
    #[serde(default)]
    pub(crate) closed: bool,
    pub(crate) data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Append {
    pub(crate) path: String,
    pub(crate) data: String,
    #[serde(default)]
    pub(crate) binary: bool,
    pub(crate) seq: Option<Value>,
    #[serde(default)]
    pub(crate) headers: Headers,
    pub(crate) producer_id: Option<String>,
    pub(crate) producer_epoch: Option<u64>,
    pub(crate) producer_seq: Option<u64>,
}

/// The fields of all four commands of a producer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Idempotent {
    pub(crate) path: String,
    pub(crate) producer_id: String,
    #[serde(default)]
    pub(crate) epoch: u64,
    #[serde(default)]
    pub(crate) auto_claim: bool,
    pub(crate) data: Option<String>,
    #[serde(default)]
    pub(crate) items: Vec<String>,
    pub(crate) max_in_flight: Option<usize>,
    #[serde(default)]
    pub(crate) headers: Headers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Read {
    pub(crate) path: String,
    pub(crate) offset: Option<String>,
    #[serde(default)]
    pub(crate) live: Value,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_chunks: Option<usize>,
    #[serde(default)]
    pub(crate) wait_for_up_to_date: bool,
    #[serde(default)]
    pub(crate) headers: Headers,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Close {
    pub(crate) path: String,
    pub(crate) data: Option<String>,
    pub(crate) content_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetDynamic {
    pub(crate) name: String,
    pub(crate) value_type: String,
    pub(crate) initial_value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Benchmark {
    pub(crate) iteration_id: String,
    pub(crate) operation: Map<String, Value>,
}
