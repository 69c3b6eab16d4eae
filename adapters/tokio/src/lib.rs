//! tokio and reqwest for the Durable Streams client.
