//! Headers and parameters that are computed anew for each request, and what was computed last.

use crate::command::SetDynamic;
use durable_streams::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Timestamp,
    Token,
}

#[derive(Debug)]
struct Value {
    kind: Kind,
    initial: String,
    count: u64,
}

impl Value {
    fn next(&mut self) -> String {
        self.count += 1;
        match self.kind {
            Kind::Counter => self.count.to_string(),
            Kind::Timestamp => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
            }
            Kind::Token => self.initial.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    headers: BTreeMap<String, Value>,
    params: BTreeMap<String, Value>,
    headers_sent: BTreeMap<String, String>,
    params_sent: BTreeMap<String, String>,
}

/// Shared between the session, which sets the values, and the client's providers, which ask for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dynamic(Arc<Mutex<State>>);

impl Dynamic {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_header(&self, command: SetDynamic) -> Result<(), String> {
        let (name, value) = parse(command)?;
        self.state().headers.insert(name, value);
        Ok(())
    }

    pub(crate) fn set_param(&self, command: SetDynamic) -> Result<(), String> {
        let (name, value) = parse(command)?;
        self.state().params.insert(name, value);
        Ok(())
    }

    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    /// The header provider.
    pub(crate) fn headers(&self) -> HeaderMap {
        let state = &mut *self.state();
        let mut headers = HeaderMap::new();
        for (name, value) in &mut state.headers {
            let text = value.next();
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(&text)) {
                headers.insert(name, value);
            }
            state.headers_sent.insert(name.clone(), text);
        }
        headers
    }

    /// The query provider.
    pub(crate) fn params(&self) -> Vec<(String, String)> {
        let state = &mut *self.state();
        let params: Vec<_> =
            state.params.iter_mut().map(|(name, value)| (name.clone(), value.next())).collect();
        state.params_sent.extend(params.iter().cloned());
        params
    }

    /// What was sent last: headers and parameters.
    pub(crate) fn sent(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let state = self.state();
        (state.headers_sent.clone(), state.params_sent.clone())
    }
}

fn parse(command: SetDynamic) -> Result<(String, Value), String> {
    let kind = match command.value_type.as_str() {
        "counter" => Kind::Counter,
        "timestamp" => Kind::Timestamp,
        "token" => Kind::Token,
        other => return Err(format!("unknown valueType {other}")),
    };
    Ok((command.name, Value { kind, initial: command.initial_value.unwrap_or_default(), count: 0 }))
}
