//! What is measured, one file each: through the client, and through the HTTP library alone.

mod append;
mod backlog;
mod catch_up;
mod common;
mod idle;
mod produce;
mod run;
mod tail;

pub(crate) use run::run;
