//! The client at a server that speaks TLS and wants to know who it speaks to.

use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use paravane_client::{Client, ClientError, Endpoint, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, in PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server that this authority has signed, and which wants certificates of it; where it is.
async fn serve(authority: &Authority) -> Endpoint {
    let (certificate, key) = authority.sign("localhost");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            chain,
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let router = Router::new().route("/healthz", get(async || "well"));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                // A client that is not let in ends here.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let service = TowerToHyperService::new(router);
                    let stream = TokioIo::new(stream);
                    let _ = http1::Builder::new()
                        .serve_connection(stream, service)
                        .await;
                }
            });
        }
    });
    Endpoint::parse_url(&format!("https://localhost:{port}")).unwrap()
}

fn tls(authority: &Authority, identity: Option<&(String, String)>) -> Tls {
    let identity = identity.map(|(chain, key)| (chain.as_bytes(), key.as_bytes()));
    Tls::from_pem(authority.pem().as_bytes(), identity).unwrap()
}

#[tokio::test]
async fn both_know_each_other() {
    let authority = Authority::new();
    let endpoint = serve(&authority).await;
    let identity = authority.sign("client");
    let client = Client::secure(endpoint, tls(&authority, Some(&identity)));
    client.health().await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_told() {
    let authority = Authority::new();
    let endpoint = serve(&authority).await;
    let identity = authority.sign("client");
    // A daemon that nobody who is trusted has signed.
    let other = Authority::new();
    let client = Client::secure(endpoint.clone(), tls(&other, Some(&identity)));
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    // A client without a certificate.
    let client = Client::secure(endpoint, tls(&authority, None));
    let client = client.with_patience(std::time::Duration::ZERO);
    let error = client.health().await.unwrap_err();
    assert!(error.is_connection(), "{error:?}");
}
