//! TLS: who is trusted to be the daemon, and who this client is.

use crate::ClientError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who is trusted, and who this is.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts daemons whose certificate one of these authorities has signed, and shows the
    /// daemon a certificate with its key, if it wants one. All are in PEM.
    ///
    /// # Errors
    ///
    /// What cannot be used: [`ClientError::Certificate`].
    pub fn from_pem(
        authorities: &[u8],
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates("the authorities", authorities)? {
            roots
                .add(authority)
                .map_err(|error| bad("the authorities", error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("TLS", error))?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates("the client's certificate", chain)?;
                let key = PrivateKeyDer::from_pem_slice(key);
                let key = key.map_err(|error| bad("the client's key", error))?;
                let built = builder.with_client_auth_cert(chain, key);
                built.map_err(|error| bad("the client's certificate", error))?
            }
        };
        let config = Arc::new(config);
        Ok(Self { config })
    }

    /// Makes a connection secure.
    pub(crate) async fn connect(
        &self,
        host: String,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await
    }
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| bad(what, error))?;
    match all.is_empty() {
        true => Err(bad(what, "there is no certificate in PEM")),
        false => Ok(all),
    }
}

fn bad(what: &str, why: impl std::fmt::Display) -> ClientError {
    ClientError::Certificate(format!("{what} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told() {
        let error = Tls::from_pem(b"nothing", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the authorities cannot be used: there is no certificate in PEM"
        );
    }
}
