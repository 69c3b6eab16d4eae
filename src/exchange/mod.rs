//! One exchange with a server: the request's URL, its headers, redirects, deadlines and retries.

mod attempt;
mod perform;
pub(crate) mod target;
pub(crate) mod timers;

pub(crate) use attempt::{Answer, Call, Failure, Wait, replace};
pub(crate) use perform::{Failed, Resend, located};
pub(crate) use target::Target;
