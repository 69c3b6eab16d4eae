use crate::Result;
use durable_streams::{Client, ClientBuilder, contract};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A runtime with its HTTP library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// tokio and reqwest.
    Tokio,
    /// tokio and hyper.
    TokioHyper,
    /// async-std and surf.
    AsyncStd,
    /// smol and isahc.
    Smol,
    /// smol and hyper.
    SmolHyper,
}

impl FromStr for Stack {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let all = [Self::Tokio, Self::TokioHyper, Self::AsyncStd, Self::Smol, Self::SmolHyper];
        let named = all.into_iter().find(|stack| stack.to_string() == name);
        named.ok_or_else(|| format!("{name:?} is none of tokio, tokio-hyper, async-std, smol, smol-hyper"))
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokio => "tokio",
            Self::TokioHyper => "tokio-hyper",
            Self::AsyncStd => "async-std",
            Self::Smol => "smol",
            Self::SmolHyper => "smol-hyper",
        })
    }
}

/// A client on one of the stacks, and what keeps it alive. The rest of the program is independent of the stack.
pub(crate) struct Host {
    client: Client,
    _runtime: Option<tokio::runtime::Runtime>,
}

impl Host {
    pub(crate) fn new(stack: Stack, url: &str) -> Result<Self> {
        Ok(match stack {
            Stack::Tokio => Self::on_tokio(|| client(durable_streams::tokio::Client::builder(), url))?,
            Stack::TokioHyper => {
                Self::on_tokio(|| client(durable_streams::tokio_hyper::Client::builder(), url))?
            }
            Stack::AsyncStd => {
                Self { client: client(durable_streams::async_std::Client::builder(), url)?, _runtime: None }
            }
            Stack::Smol => {
                Self { client: client(durable_streams::smol::Client::builder(), url)?, _runtime: None }
            }
            Stack::SmolHyper => {
                Self { client: client(durable_streams::smol_hyper::Client::builder(), url)?, _runtime: None }
            }
        })
    }

    fn on_tokio(make: impl FnOnce() -> Result<Client>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let client = runtime.block_on(async { make() })?;
        Ok(Self { client, _runtime: Some(runtime) })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

fn client<T, R>(builder: ClientBuilder<T, R>, url: &str) -> Result<Client>
where
    T: contract::DefaultTransport + Clone,
    R: contract::DefaultRuntime + Clone,
{
    // Some requests are never answered: they are not to be waited for longer than the others take at their worst.
    Ok(builder.base_url(url).header_timeout(Duration::from_secs(2)).build()?.to_any())
}
