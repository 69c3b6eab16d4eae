//! A scenario as data: everything that is random, drawn before the run begins.

mod data;
mod generate;
mod queries;
mod scatter;
mod shape;
mod shape_path;
mod theme;
pub(crate) mod times;

pub use data::{
    Content, Expiry, Failure, Finish, InitialState, Live, ProcessId, Reader, Scenario, WriteMode, Writer,
};
pub use theme::Theme;
