//! TLS by rustls.

use crate::byte_stream::ByteStream;
use crate::classify::chain;
use durable_streams_contract::{TransportError, TransportErrorKind};
use futures_rustls::TlsConnector;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::Verifier;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

/// Whom a transport trusts, and who it is.
///
/// Without more, it trusts the authorities of the operating system.
///
/// ```no_run
/// use durable_streams_hyper::TlsOptions;
///
/// let authority = std::fs::read("authority.pem")?;
/// let identity = std::fs::read("client.pem")?;
/// let options = TlsOptions::new().with_root_certificates(&authority)?.with_client_certificate(&identity)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct TlsOptions {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl TlsOptions {
    /// Trusts the authorities of the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities too: certificates in PEM.
    ///
    /// # Errors
    ///
    /// [`Tls`](TransportErrorKind::Tls) where there is no certificate.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self, TransportError> {
        self.roots.extend(certificates(pem)?);
        Ok(self)
    }

    /// Shows this certificate where a server asks for one: the certificate, those of the authorities in between, and the
    /// private key, in PEM.
    ///
    /// # Errors
    ///
    /// [`Tls`](TransportErrorKind::Tls) where the certificate or the key is missing.
    pub fn with_client_certificate(mut self, pem: &[u8]) -> Result<Self, TransportError> {
        let key = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| invalid("the client certificate's private key cannot be read", error))?;
        self.identity = Some((certificates(pem)?, key));
        Ok(self)
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("roots", &self.roots.len())
            .field("has_client_certificate", &self.identity.is_some())
            .finish()
    }
}

fn invalid(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> TransportError {
    TransportError::new(TransportErrorKind::Tls).with_message(format!("{what}: {error}")).with_source(error)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| invalid("a certificate cannot be read", error))?;
    if certificates.is_empty() {
        return Err(
            TransportError::new(TransportErrorKind::Tls).with_message("there is no certificate in the PEM")
        );
    }
    Ok(certificates)
}

/// The provider of all stacks of this project. Passed on and never looked up: a process may hold several.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Wraps connections in TLS.
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// The same, for a proxy: HTTP/1.1 only.
    #[cfg(feature = "http2")]
    http1_config: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(options: TlsOptions) -> Result<Self, TransportError> {
        let provider = provider();
        let verifier = Verifier::new_with_extra_roots(options.roots, Arc::clone(&provider))
            .map_err(|error| invalid("the trusted authorities cannot be loaded", error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("TLS cannot be set up", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match options.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| invalid("the client certificate cannot be used", error))?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        #[cfg(feature = "http2")]
        let http1_config = Arc::new(config.clone());
        #[cfg(feature = "http2")]
        config.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(Self {
            config: Arc::new(config),
            #[cfg(feature = "http2")]
            http1_config,
        })
    }

    /// Shakes hands with an origin; also tells whether both sides agreed on HTTP/2.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: ByteStream,
    ) -> Result<(ByteStream, bool), TransportError> {
        handshake(&self.config, host, stream).await
    }

    /// Shakes hands with a proxy.
    pub(crate) async fn connect_http1(
        &self,
        host: &str,
        stream: ByteStream,
    ) -> Result<ByteStream, TransportError> {
        #[cfg(feature = "http2")]
        let config = &self.http1_config;
        #[cfg(not(feature = "http2"))]
        let config = &self.config;
        Ok(handshake(config, host, stream).await?.0)
    }
}

async fn handshake(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: ByteStream,
) -> Result<(ByteStream, bool), TransportError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        TransportError::new(TransportErrorKind::InvalidRequest)
            .with_message(format!("the host is no name that a certificate can have: {error}"))
    })?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, stream).await.map_err(failed_handshake)?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((ByteStream::new(stream), http2))
}

/// Whether the peer ended the handshake for a reason that may pass: it failed, or gave up (RFC 8446, section 6).
fn is_transient(error: &std::io::Error) -> bool {
    let alert = error.get_ref().and_then(|inner| match inner.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    });
    use rustls::AlertDescription::{CloseNotify, InternalError, UserCanceled};
    matches!(alert, Some(CloseNotify | InternalError | UserCanceled))
}

fn failed_handshake(error: std::io::Error) -> TransportError {
    // rustls reports a bad certificate or an alert as invalid data, and a lost connection with its own kind.
    let refused =
        error.kind() == ErrorKind::InvalidData && error.get_ref().is_some() && !is_transient(&error);
    let kind = if refused { TransportErrorKind::Tls } else { TransportErrorKind::Connect };
    let mut root = chain(&error).last().map(ToString::to_string).unwrap_or_default();
    if root.contains("InvalidContentType") {
        root.push_str("; does this port speak http, without TLS?");
    }
    TransportError::new(kind).with_message(root).with_source(error)
}
