//! One exchange with a server: from a request in the protocol's terms to a response, or an error.
//!
//! - [`target`]: a stream's URL, parsed and checked once.
//! - [`call`]: the request and its response in the protocol's terms.
//! - [`headers`], [`query`]: what the application adds to a request, and what it may not add.
//! - [`memory`]: what earlier responses said of servers and streams.
//! - [`scrutiny`]: whether a response can be the answer to its request.
//! - [`upload`]: how much of a large body has left.
//! - [`redirect`]: which redirects are followed, and where credentials are left out.
//! - [`http_client`]: sends one attempt, with a deadline from [`timers`].
//! - [`retry_loop`]: sends attempts until the operation succeeds or must not be tried again.

pub(crate) mod call;
pub(crate) mod error_action;
pub(crate) mod headers;
pub(crate) mod http_client;
mod memory;
mod query;
mod redirect;
pub(crate) mod retry_loop;
mod scrutiny;
pub(crate) mod target;
#[cfg(test)]
mod tests;
mod timers;
mod upload;
