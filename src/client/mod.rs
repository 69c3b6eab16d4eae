//! The client: a transport, a runtime, and the options that all of its streams share.

mod builder;
pub(crate) mod handle;

pub use builder::ClientBuilder;
pub use handle::Client;
