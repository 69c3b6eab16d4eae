//! What both real servers have in common: a process on a leased port.

use std::io;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::port::PortLease;
use crate::process::{Process, StartError};
use crate::sync::lock;
use crate::temp::TempDir;

/// On a loaded machine even a small server may be slow to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const PORT_ATTEMPTS: usize = 5;

type MakeCommand = Box<dyn Fn(u16) -> Command + Send + Sync>;

/// A server process that can be killed and started again at the same address.
pub(crate) struct Server {
    name: &'static str,
    url: String,
    // Dropped in this order: the process first, then what it used.
    running: Mutex<Option<Process>>,
    make_command: MakeCommand,
    port: PortLease,
    scratch: Option<TempDir>,
}

impl Server {
    /// Starts the server that `make_command` describes for a port; `scratch` goes when the server goes.
    pub(crate) fn start(
        name: &'static str,
        scratch: Option<TempDir>,
        make_command: impl Fn(u16) -> Command + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut server = Self {
            name,
            url: String::new(),
            running: Mutex::new(None),
            make_command: Box::new(make_command),
            port: PortLease::new()?,
            scratch,
        };
        for attempt in 1.. {
            match server.launch() {
                Ok(()) => break,
                // A process without a lease took the port between our check and the server's bind.
                Err(StartError::Server { address_in_use: true, .. }) if attempt < PORT_ATTEMPTS => {
                    server.port = PortLease::new()?;
                }
                Err(error) => return Err(server.explain(error)),
            }
        }
        server.url = format!("http://127.0.0.1:{}", server.port.port());
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        lock(&self.running).as_ref().map(Process::pid)
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        match lock(&self.running).take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    pub(crate) fn restart(&self) -> io::Result<()> {
        self.kill()?;
        self.launch().map_err(|error| self.explain(error))
    }

    fn launch(&self) -> Result<(), StartError> {
        let command = (self.make_command)(self.port.port());
        let scratch = self.scratch.as_ref().map(TempDir::path);
        let mut process = Process::spawn(command, scratch).map_err(StartError::System)?;
        process.wait_until_accepting(self.port.port(), START_TIMEOUT)?;
        *lock(&self.running) = Some(process);
        Ok(())
    }

    fn explain(&self, error: StartError) -> io::Error {
        match error {
            StartError::System(error) => error,
            StartError::Server { message, .. } => {
                io::Error::other(format!("{} on port {} {message}", self.name, self.port.port()))
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(self.name).field("url", &self.url).field("pid", &self.pid()).finish_non_exhaustive()
    }
}
