//! The reference server, `@durable-streams/server` on npm.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::direct::direct;
use crate::server::Server;
use crate::tools;

/// Set to anything but `0`, it turns a missing Node from a skipped test into a failed one.
const REQUIRE_NODE: &str = "DURABLE_STREAMS_REQUIRE_NODE";
const OLDEST_NODE: u32 = 20;

/// Serves until killed. Resolves its packages from the working directory.
const PROGRAM: &str = r#"
const { DurableStreamTestServer } = await import("@durable-streams/server");
const [port, longPollTimeout] = process.argv.slice(1).map(Number);
await new DurableStreamTestServer({ port, longPollTimeout }).start();
"#;

/// The reference server for Node (0.3.7) in a process of its own, on a free loopback port. It keeps its
/// streams in memory: a restart loses them.
///
/// The first start on a machine installs it with `npm` under `<target directory>/tools/node-server`, which
/// takes some seconds and prints that on standard error; parallel test processes wait for one another.
///
/// Tests get it from [`skip_without_node`]. Dropping the value kills the server.
#[derive(Debug)]
pub struct NodeServer {
    server: Server,
}

impl NodeServer {
    /// Whether Node, in a version that the server runs on (20 or later), is on this machine.
    #[must_use]
    pub fn available() -> bool {
        unavailable().is_none()
    }

    /// Starts a server with the builder's defaults.
    ///
    /// # Errors
    ///
    /// As [`NodeServerBuilder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Options for a server.
    #[must_use]
    pub fn builder() -> NodeServerBuilder {
        NodeServerBuilder::default()
    }

    /// Its address, `http://127.0.0.1:PORT`, which stays the same over a restart. Streams live at any path,
    /// and what concerns subscriptions under `/v1/stream/__ds/`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Its process id, or `None` while it is killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Kills the process with SIGKILL and waits for its end. A killed server may be killed again.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&self) -> io::Result<()> {
        self.server.kill()
    }

    /// Starts the server again, at the same address and empty, after killing it if it runs.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message has its last words.
    pub fn restart(&self) -> io::Result<()> {
        self.server.restart()
    }

    /// Makes the server misbehave: `fault` is a JSON object for its `/_test/inject-error`. It must name a
    /// `path`, and may have `count` (of requests; 1), `method`, `probability`, and what happens: `status`,
    /// `retryAfter` (seconds), `delayMs`, `jitterMs`, `dropConnection`, `truncateBodyBytes`, `corruptBody`,
    /// `injectSseEvent` (`{"eventType": .., "data": ..}`).
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses the fault.
    pub fn inject_error(&self, fault: &str) -> io::Result<()> {
        self.faults("POST", fault)
    }

    /// Takes back every injected fault.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses.
    pub fn clear_errors(&self) -> io::Result<()> {
        self.faults("DELETE", "")
    }

    fn faults(&self, method: &str, body: &str) -> io::Result<()> {
        let url = format!("{}/_test/inject-error", self.url());
        let answer = direct(method, &url, [("content-type", "application/json")], body)?;
        if !(200..300).contains(&answer.status) {
            let said = answer.text();
            return Err(io::Error::other(format!("{method} {url} answered {}: {said}", answer.status)));
        }
        Ok(())
    }
}

/// Options for a [`NodeServer`].
#[derive(Clone, Debug)]
pub struct NodeServerBuilder {
    long_poll_timeout: Duration,
}

impl Default for NodeServerBuilder {
    fn default() -> Self {
        Self { long_poll_timeout: Duration::from_millis(500) }
    }
}

impl NodeServerBuilder {
    /// After how long a long-poll without news is answered, in whole milliseconds; 500 ms by default.
    #[must_use]
    pub fn long_poll_timeout(mut self, timeout: Duration) -> Self {
        self.long_poll_timeout = timeout;
        self
    }

    /// Installs the server where that is still to be done, starts it, and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// When there is no Node (see [`NodeServer::available`]), the server cannot be installed, or does not
    /// come up within a minute. The message has the reason and the server's last output.
    pub fn start(self) -> io::Result<NodeServer> {
        if let Some(reason) = unavailable() {
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        let place = tools::node_server()?;
        let long_poll_ms = self.long_poll_timeout.as_millis().to_string();
        let server = Server::start("the reference server", None, move |port| {
            let mut command = Command::new("node");
            command
                .args(["--input-type=module", "--eval", PROGRAM, &port.to_string(), &long_poll_ms])
                .current_dir(&place);
            command
        })?;
        Ok(NodeServer { server })
    }
}

/// A fresh reference server, or `None` where Node is missing: the test then returns, after one line on
/// standard error that says so (`skipped without Node: TEST: REASON`), which a runner can count.
///
/// ```
/// # fn body() {
/// let Some(server) = test_servers::skip_without_node() else { return };
/// # drop(server);
/// # }
/// ```
///
/// # Panics
///
/// When Node is missing and `DURABLE_STREAMS_REQUIRE_NODE` is set (to anything but `0`), and when the server
/// cannot be installed or does not start.
#[must_use]
pub fn skip_without_node() -> Option<NodeServer> {
    if let Some(reason) = unavailable() {
        assert!(!node_is_required(), "{REQUIRE_NODE} is set, but {reason}");
        // The test harness names the thread after the test.
        let thread = std::thread::current();
        tools::say(&format!("skipped without Node: {}: {reason}", thread.name().unwrap_or("a test")));
        return None;
    }
    match NodeServer::start() {
        Ok(server) => Some(server),
        Err(error) => panic!("the reference server did not start: {error}"),
    }
}

fn node_is_required() -> bool {
    std::env::var_os(REQUIRE_NODE).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Why there is no usable Node, or `None` if there is.
fn unavailable() -> Option<String> {
    let output = Command::new("node").arg("--version").stdin(Stdio::null()).output();
    match output {
        Err(error) => Some(format!("`node` cannot be started: {error}")),
        Ok(output) => too_old(&String::from_utf8_lossy(&output.stdout)),
    }
}

fn too_old(version: &str) -> Option<String> {
    let version = version.trim();
    let major =
        version.strip_prefix('v').and_then(|v| v.split('.').next()).and_then(|v| v.parse::<u32>().ok());
    match major {
        Some(OLDEST_NODE..) => None,
        _ => Some(format!("`node` is {version:?}, and the reference server needs v{OLDEST_NODE} or later")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_20_is_the_oldest() {
        assert_eq!(too_old("v20.0.0\n"), None);
        assert_eq!(too_old("v24.1.0"), None);
        assert!(too_old("v18.19.1\n").is_some_and(|why| why.contains("\"v18.19.1\"")));
        assert!(too_old("").is_some());
    }
}
