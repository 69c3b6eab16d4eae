//! A child process: its last words kept, its end made sure of.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How much of what a server printed is kept for error messages.
const KEPT_OUTPUT: usize = 8 * 1024;

/// A running server. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watchdog: Option<Child>,
    output: Arc<Mutex<VecDeque<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command`. Should this process die without dropping the value, the child is killed all the
    /// same, and `scratch` removed (on Unix).
    pub(crate) fn spawn(mut command: Command, scratch: Option<&Path>) -> io::Result<Self> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
                |e| io::Error::new(e.kind(), format!("cannot start {:?}: {e}", command.get_program())),
            )?;
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(keep(stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(keep(stderr, Arc::clone(&output)));
        }
        let mut process = Self { child, watchdog: None, output, readers };
        process.watchdog = watch(process.pid(), scratch)?;
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server accepts connections on `port`.
    pub(crate) fn wait_until_accepting(&mut self, port: u16, timeout: Duration) -> Result<(), StartError> {
        let deadline = Instant::now() + timeout;
        let address = (Ipv4Addr::LOCALHOST, port).into();
        loop {
            let accepts = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            // Asked after connecting: another program's listener would have made ours end.
            if let Some(status) = self.child.try_wait().map_err(StartError::System)? {
                return Err(self.explain(&format!("ended at once ({status})")));
            }
            if accepts {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.explain(&format!("did not accept connections within {timeout:?}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the child, by a signal that it cannot catch, and waits for its end.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        // First the watchdog: once our child is waited for, its number may belong to another process.
        if let Some(mut watchdog) = self.watchdog.take() {
            watchdog.kill()?;
            watchdog.wait()?;
        }
        self.child.kill()?;
        self.child.wait()?;
        for reader in self.readers.drain(..) {
            if reader.join().is_err() {
                return Err(io::Error::other("the thread that keeps a server's output panicked"));
            }
        }
        Ok(())
    }

    fn explain(&mut self, what: &str) -> StartError {
        if let Err(error) = self.kill() {
            return StartError::System(error);
        }
        let output: Vec<u8> = lock(&self.output).iter().copied().collect();
        let output = String::from_utf8_lossy(&output);
        let said = if output.trim().is_empty() { "It printed nothing." } else { "It printed:\n" };
        StartError::Server {
            address_in_use: output.contains("in use") || output.contains("EADDRINUSE"),
            message: format!("{what}. {said}{}", output.trim_end()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            crate::tools::say(&format!("could not end the server with process id {}: {error}", self.pid()));
        }
    }
}

/// Why a server did not come up.
pub(crate) enum StartError {
    /// It ran and failed; `message` has its last words.
    Server { address_in_use: bool, message: String },
    /// The system refused something.
    System(io::Error),
}

fn keep(mut from: impl Read + Send + 'static, into: Arc<Mutex<VecDeque<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // An error here means the same as the end: the child is gone.
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut kept = lock(&into);
            kept.extend(&buffer[..read]);
            let surplus = kept.len().saturating_sub(KEPT_OUTPUT);
            kept.drain(..surplus);
        }
    })
}

/// A shell that reads from a pipe of ours. The pipe ends when this process ends, however it ends: test
/// harnesses leave without dropping statics, and are killed.
#[cfg(unix)]
fn watch(pid: u32, scratch: Option<&Path>) -> io::Result<Option<Child>> {
    use std::os::unix::process::CommandExt;

    let script = r#"read -r _; kill -9 "$1"; if [ -n "$2" ]; then sleep 0.1; rm -rf -- "$2"; fi"#;
    Command::new("/bin/sh")
        .args(["-c", script, "watchdog"])
        .arg(pid.to_string())
        .arg(scratch.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // An interrupt at the terminal goes to us; the watchdog acts on our end.
        .process_group(0)
        .spawn()
        .map(Some)
}

#[cfg(not(unix))]
fn watch(_pid: u32, _scratch: Option<&Path>) -> io::Result<Option<Child>> {
    Ok(None)
}
