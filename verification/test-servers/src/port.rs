//! Ports that stay ours while the server on them is down.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use crate::temp::random;

/// Below what systems hand out to outgoing connections (Linux from 32768, others from 49152): nobody gets
/// one of these by chance while a server that is to come back on it is down.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

/// A loopback port that no other lease, in this process or another, has while this one lives.
#[derive(Debug)]
pub(crate) struct PortLease {
    port: u16,
    /// Locked; the system unlocks it when the process dies.
    _claim: File,
}

impl PortLease {
    /// Leases a port on which nothing listens now.
    pub(crate) fn new() -> io::Result<Self> {
        let claims = claims_dir();
        std::fs::create_dir_all(&claims)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot create {}: {e}", claims.display())))?;
        let start = random();
        for step in 0..u64::from(COUNT) {
            let port = FIRST + (start.wrapping_add(step) % u64::from(COUNT)) as u16;
            let claim = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(claims.join(port.to_string()))?;
            let ours = fs4::FileExt::try_lock(&claim).is_ok();
            if ours && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(Self { port, _claim: claim });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "every loopback port for tests is taken"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// One directory for each user, since another's lock files could not be opened.
fn claims_dir() -> PathBuf {
    let user = ["USER", "USERNAME", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    std::env::temp_dir().join(format!("durable-streams-test-ports-{user}"))
}
