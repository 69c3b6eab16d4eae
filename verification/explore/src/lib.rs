//! Explores what becomes of the client on bad days.
//!
//! A seed is a [`Plan`]: streams, writers, readers, a server and a network with their peculiarities, and all
//! that goes wrong. Two days of three are about one thing, their [`Theme`]: what takes several rare things at once hardly
//! happens by chance. [`play`] runs it in a simulated world and checks that
//!
//! - every acknowledged record is stored, none twice, each writer's in order and without holes;
//! - nothing is stored that the application was told is not;
//! - a reader, whatever its mode and wherever it crashed, has consumed each byte once;
//! - the queue, bodies, batches in flight and request rates stay within their bounds;
//! - everything ends: no deadlock, no endless wait, no task left behind.

mod check;
mod disk;
mod ledger;
mod plan;
mod prepare;
mod reading;
mod run;
mod stage;
mod theme;
mod wire;
mod writing;

pub use plan::{Beginning, Content, Expiry, Finish, Live, Mishap, Plan, Reader, Way, Who, Writer};
pub use run::{Played, play, shrunk};
pub use theme::Theme;
