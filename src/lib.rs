//! Durable Streams client.
