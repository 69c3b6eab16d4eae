//! One module for each stack: aliases of the library's types on it, and one function.

#[cfg(any(
    feature = "async-std",
    feature = "smol",
    feature = "smol-hyper",
    feature = "tokio",
    feature = "tokio-hyper"
))]
mod aliases;
#[cfg(feature = "async-std")]
pub mod async_std;
#[cfg(feature = "smol")]
pub mod smol;
#[cfg(feature = "smol-hyper")]
pub mod smol_hyper;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tokio-hyper")]
pub mod tokio_hyper;
