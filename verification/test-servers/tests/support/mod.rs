//! A bare client for these tests: one connection, written to and read from by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How a connection ended, as the client saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Fin,
    Reset,
}

pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Everything up to and including `text`.
    pub(crate) fn read_through(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            let mut byte = [0];
            let read = self.0.read(&mut byte).unwrap();
            assert_eq!(read, 1, "ended after {:?}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        String::from_utf8(seen).unwrap()
    }

    /// Everything there is, and how it ended.
    pub(crate) fn read_to_end(mut self) -> (String, Ending) {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let ending = loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break Ending::Fin,
                Ok(read) => seen.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break Ending::Reset,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&seen)),
            }
        };
        (String::from_utf8(seen).unwrap(), ending)
    }
}
