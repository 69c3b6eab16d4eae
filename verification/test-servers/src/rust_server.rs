//! The public server, `durable-streams` on crates.io.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::server::Server;
use crate::temp::TempDir;
use crate::tools;

/// Whether a [`RustServer`]'s streams outlive its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The server's fast mode: it promises nothing about a killed process.
    #[default]
    Memory,
    /// A write-ahead log: every acknowledged append survives [`RustServer::kill`].
    Wal,
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Wal => "wal",
        }
    }
}

/// The public Rust server (0.1.5) in a process of its own, on a free loopback port.
///
/// The first start on a machine installs it with `cargo install` under `<target directory>/tools`, which
/// takes about a minute and prints that on standard error; parallel test processes wait for one another. The
/// environment variable `DURABLE_STREAMS_SERVER_BIN` names a binary to use instead.
///
/// Dropping the value kills the server and removes its data directory, unless one was given.
#[derive(Debug)]
pub struct RustServer {
    server: Server,
}

impl RustServer {
    /// Starts a server with the builder's defaults.
    ///
    /// # Errors
    ///
    /// As [`RustServerBuilder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Options for a server.
    #[must_use]
    pub fn builder() -> RustServerBuilder {
        RustServerBuilder::default()
    }

    /// Its address, `http://127.0.0.1:PORT`, which stays the same over a restart. Streams live at any path.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Its process id, or `None` while it is killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Kills the process with SIGKILL, as a power cut would, and waits for its end. A killed server may be
    /// killed again.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&self) -> io::Result<()> {
        self.server.kill()
    }

    /// Starts the server again, at the same address and with the same data directory, after killing it if
    /// it runs. What it still knows depends on [`Durability`].
    ///
    /// # Errors
    ///
    /// When it does not come up; the message has its last words.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()
    }
}

/// Options for a [`RustServer`].
#[derive(Clone, Debug)]
pub struct RustServerBuilder {
    durability: Durability,
    long_poll_timeout: Duration,
    data_dir: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Default for RustServerBuilder {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            long_poll_timeout: Duration::from_millis(500),
            data_dir: None,
            arguments: Vec::new(),
        }
    }
}

impl RustServerBuilder {
    /// Whether streams outlive the process; [`Durability::Memory`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// After how long a long-poll without news is answered, in whole milliseconds; 500 ms by default.
    #[must_use]
    pub fn long_poll_timeout(mut self, timeout: Duration) -> Self {
        self.long_poll_timeout = timeout;
        self
    }

    /// Where the data lies. The directory is left alone afterwards; by default there is a temporary one.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// One more argument for the server's command line, such as `--worker-threads` and then `2`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Installs the server where that is still to be done, starts it, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When it cannot be installed (no cargo, no network; the message has the way out), or does not come up
    /// within a minute (the message has its last words).
    pub fn start(self) -> io::Result<RustServer> {
        let binary = tools::rust_server()?;
        let (scratch, data_dir) = match self.data_dir {
            Some(given) => (None, given),
            None => {
                let scratch = TempDir::new()?;
                let path = scratch.path().to_owned();
                (Some(scratch), path)
            }
        };
        let (durability, arguments) = (self.durability, self.arguments);
        let long_poll_ms = self.long_poll_timeout.as_millis().to_string();
        let server = Server::start("durable-streams-server", scratch, move |port| {
            let mut command = Command::new(&binary);
            command
                .args(["--port", &port.to_string(), "--durability", durability.name()])
                .args(["--long-poll-timeout-ms", &long_poll_ms])
                .arg("--data-dir")
                .arg(&data_dir)
                .args(&arguments);
            command
        })?;
        Ok(RustServer { server })
    }
}
