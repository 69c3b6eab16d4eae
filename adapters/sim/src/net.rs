use crate::core::Core;
use crate::gateway::allows_cache;
use crate::model::{Handled, Model, Moment};
use crate::pool::{Connection, Pool};
use crate::sync::locked;
use crate::{Event, Fault, Gateway, Incident, Memory, Rng, Schedule};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

/// How long a shared cache keeps an answer: fresh, then stale while it is asked for again.
const CACHED: Duration = Duration::from_secs(360);

/// The network without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkOptions {
    /// The shortest way from client to server, or back. Default: 1 ms.
    pub fastest: Duration,
    /// The longest. Requests overtake each other within this span. Default: 5 ms.
    pub slowest: Duration,
    /// How many of a hundred bodies arrive in pieces, cut anywhere. Default: 50.
    pub in_pieces: u64,
    /// Bytes that a client can send in a second, over all its connections. `None`: no limit. Default: `None`.
    pub uplink: Option<u32>,
    /// Whether the transport counts what it uploads. Default: true.
    pub counts_uploads: bool,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            fastest: Duration::from_millis(1),
            slowest: Duration::from_millis(5),
            in_pieces: 50,
            uplink: None,
            counts_uploads: true,
        }
    }
}

/// A request that a client sent, as [`World::requests`](crate::World::requests) lists them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// When it was sent, since the world's beginning.
    pub at: Duration,
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// The length of its body.
    pub body: usize,
    /// The connection that it was sent on, counted over the whole world.
    pub connection: u64,
    /// The connection carried a request before.
    pub is_reused: bool,
    /// The network had lost the connection's state: the request did not arrive, and got no error.
    pub is_silent: bool,
    /// The status that came back, if one did.
    pub status: Option<StatusCode>,
    /// When the client had the answer's head or an error, or dropped the request before.
    pub ended_at: Option<Duration>,
}

/// The network and the server behind it.
pub(crate) struct Net {
    pub(crate) core: Arc<Core>,
    pub(crate) options: NetworkOptions,
    state: Mutex<State>,
}

struct State {
    model: Model,
    rng: Rng,
    faults: HashMap<u64, Fault>,
    log: Vec<RequestRecord>,
    /// What a cache holds, where the schedule has a use for it.
    cache: Option<HashMap<String, (Duration, Response<Bytes>)>>,
    /// The last page of each client and path, where the schedule has a use for it.
    last_pages: Option<HashMap<String, Response<Bytes>>>,
    pool: Pool,
    /// Until when the uplink of each client is taken.
    uplinks: HashMap<String, Duration>,
    /// What every request meets until then.
    gateway: Option<(Gateway, Duration)>,
    waiters: Vec<Waker>,
    /// Changes with everything that a waiting request may be waiting for.
    version: u64,
    /// Changes when every connection is reset.
    connections: u64,
    down_until: Duration,
    dark_until: Duration,
}

impl Net {
    pub(crate) fn new(
        core: Arc<Core>,
        options: NetworkOptions,
        model: Model,
        rng: Rng,
        schedule: &Schedule,
    ) -> Arc<Self> {
        let mut faults = HashMap::new();
        for event in schedule.events() {
            if let Event::Request(number, fault) = event {
                faults.entry(*number).or_insert_with(|| fault.clone());
            }
        }
        let cache = faults.values().any(|fault| *fault == Fault::StaleCache).then(HashMap::new);
        let ignores_query = schedule.events().iter().any(|event| {
            matches!(
                event,
                Event::Request(_, Fault::Gateway(Gateway::IgnoreQuery))
                    | Event::At(_, Incident::Gateway(Gateway::IgnoreQuery, _))
            )
        });
        let state = State {
            model,
            rng,
            faults,
            log: Vec::new(),
            cache,
            last_pages: ignores_query.then(HashMap::new),
            pool: Pool::default(),
            uplinks: HashMap::new(),
            gateway: None,
            waiters: Vec::new(),
            version: 0,
            connections: 0,
            down_until: Duration::ZERO,
            dark_until: Duration::ZERO,
        };
        Arc::new(Self { core, options, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { elapsed: self.core.now(), wall: self.core.server_wall() }
    }

    /// Calls `change` with the model, then wakes the requests that wait for a change.
    pub(crate) fn with_model<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let result = change(&mut self.state().model);
        self.changed(|_| {});
        result
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Model) -> T) -> T {
        look(&mut self.state().model)
    }

    fn changed(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.version += 1;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn apply(self: &Arc<Self>, incident: &Incident) {
        self.core.note(|| incident.to_string());
        match incident {
            Incident::Restart { down, memory } => self.restart(*down, *memory),
            Incident::Partition(duration) => {
                let until = self.core.now() + *duration;
                self.changed(|state| state.dark_until = until.max(state.dark_until));
            }
            Incident::ResetConnections => self.changed(|state| state.connections += 1),
            Incident::Gateway(gateway, duration) => {
                self.state().gateway = Some((gateway.clone(), self.core.now() + *duration));
            }
            Incident::PinConnections(duration) => {
                let until = self.core.now() + *duration;
                self.with_pool(|pool| pool.pin(until));
            }
            Incident::SilenceIdle => self.with_pool(Pool::silence_idle),
            Incident::Retention => self.with_model(Model::drop_older_half),
            Incident::Recreate => self.with_model(Model::recreate_all),
            Incident::Suspend(duration) => self.core.freeze_all(*duration),
            Incident::WallClock(ahead) => self.core.shift_wall(*ahead),
        }
    }

    pub(crate) fn restart(&self, down: Duration, memory: Memory) {
        let until = self.core.now() + down;
        self.changed(|state| {
            state.connections += 1;
            state.down_until = until.max(state.down_until);
            state.model.restart(memory);
        });
    }

    /// Handles a request at the server. `None` if the server is down.
    pub(crate) fn handle(&self, request: &Request<Bytes>) -> Option<Handled> {
        let at = self.moment();
        if at.elapsed < self.state().down_until {
            return None;
        }
        let handled = self.look(|model| model.handle(request, at));
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            self.changed(|_| {});
        }
        Some(handled)
    }

    /// What has changed in an answer between the append and the moment in which it is given.
    pub(crate) fn retell(&self, request: &Request<Bytes>, answer: &mut Response<Bytes>) {
        if *request.method() != Method::POST || answer.status() != StatusCode::OK {
            return;
        }
        let tail = self.look(|model| {
            let late = model.options().dialect.tells_late_tails();
            if late { model.tail(request.uri().path()) } else { None }
        });
        if let Some(Ok(tail)) = tail.map(HeaderValue::try_from) {
            answer.headers_mut().insert("stream-next-offset", tail);
        }
    }

    pub(crate) fn fault(&self, number: u64) -> Option<Fault> {
        self.state().faults.get(&number).cloned()
    }

    /// Uses the network's own chance.
    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.state().rng)
    }

    pub(crate) fn version(&self) -> u64 {
        self.state().version
    }

    /// Whether something has changed since `version`; if not, `waker` is called when it does.
    pub(crate) fn changed_since(&self, version: u64, waker: &Waker) -> bool {
        let mut state = self.state();
        let changed = state.version != version;
        if !changed && !state.waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            state.waiters.push(waker.clone());
        }
        changed
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state().connections
    }

    pub(crate) fn dark_until(&self) -> Duration {
        self.state().dark_until
    }

    /// What every request meets now.
    pub(crate) fn gateway(&self) -> Option<Gateway> {
        let now = self.core.now();
        self.state().gateway.as_ref().filter(|(_, until)| now < *until).map(|(gateway, _)| gateway.clone())
    }

    pub(crate) fn with_pool<T>(&self, change: impl FnOnce(&mut Pool) -> T) -> T {
        change(&mut self.state().pool)
    }

    /// A connection for this request.
    pub(crate) fn connect(&self, request: &Request<Bytes>, fresh: bool) -> Connection {
        let mut state = self.state();
        let generation = state.connections;
        state.pool.take(request.uri().host().unwrap_or_default(), generation, fresh)
    }

    /// Takes the uplink of the client at `host` for so many bytes. Returns how long it takes until they are sent.
    pub(crate) fn reserve_uplink(&self, host: &str, bytes: usize, rate: u32) -> Duration {
        let now = self.core.now();
        let mut state = self.state();
        let free_at = state.uplinks.entry(host.to_owned()).or_default();
        *free_at = now.max(*free_at) + Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1)));
        *free_at - now
    }

    /// Whether the connection leads to a broken backend.
    pub(crate) fn is_pinned(&self, connection: Connection) -> bool {
        let now = self.core.now();
        self.state().pool.is_pinned(connection, now)
    }

    /// The last page that this client got from the request's path.
    pub(crate) fn last_page(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        self.state().last_pages.as_ref()?.get(&client_and_path(request)).cloned()
    }

    /// Lets a cache see an answer.
    pub(crate) fn remember(&self, request: &Request<Bytes>, answer: &Response<Bytes>) {
        let mut state = self.state();
        let now = self.core.now();
        let public = answer.headers().get(http::header::CACHE_CONTROL).is_some_and(|v| v != "no-store");
        if let Some(cache) = &mut state.cache
            && *request.method() == Method::GET
            && answer.status() == StatusCode::OK
            && public
        {
            cache.entry(request.uri().to_string()).or_insert_with(|| (now, answer.clone()));
        }
        if let Some(pages) = &mut state.last_pages
            && *request.method() == Method::GET
            && answer.status() == StatusCode::OK
        {
            pages.insert(client_and_path(request), answer.clone());
        }
    }

    /// What a cache has for this request.
    pub(crate) fn stale(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let state = self.state();
        let (at, answer) = state.cache.as_ref()?.get(&request.uri().to_string())?;
        let usable = allows_cache(request) && self.core.now() < *at + CACHED;
        usable.then(|| answer.clone())
    }

    pub(crate) fn log(&self, request: &Request<Bytes>, connection: Connection) -> u64 {
        let mut state = self.state();
        let number = state.log.len() as u64;
        state.log.push(RequestRecord {
            at: self.core.now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            body: request.body().len(),
            connection: connection.id,
            is_reused: connection.is_reused,
            is_silent: connection.is_silent,
            status: None,
            ended_at: None,
        });
        number
    }

    pub(crate) fn log_answer(&self, number: u64, status: Option<StatusCode>) {
        let at = self.core.now();
        if let Some(record) = self.state().log.get_mut(number as usize) {
            record.status = status;
            record.ended_at = Some(at);
        }
    }

    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        self.state().log.clone()
    }
}

/// The key of a client's own cache that ignores the query.
fn client_and_path(request: &Request<Bytes>) -> String {
    format!("{} {}", request.uri().host().unwrap_or_default(), request.uri().path())
}
