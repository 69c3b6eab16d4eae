//! smol and isahc.

pub use durable_streams_smol::{IsahcTransport, SmolRuntime};

super::aliases::aliases!(IsahcTransport, SmolRuntime, "smol and isahc");
