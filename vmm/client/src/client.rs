//! The client.

use crate::connector::Connector;
use crate::operation::Operation;
use crate::request::{Body, Call};
use crate::{ClientError, Endpoint};
use hyper::header::HeaderValue;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a request is repeated when its connection fails, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// For how long a connection that nobody uses is kept. The daemon keeps it longer.
const IDLE: Duration = Duration::from_secs(15);

/// A client of one daemon. Copies share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) http: legacy::Client<Connector, Body>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) patience: Duration,
}

impl Client {
    /// A client of the daemon at this Unix socket. It connects when there is something to ask.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Endpoint::Unix(path.into()))
    }

    /// A client of the daemon at this endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self::with_connector(Connector {
            endpoint,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// A client of the daemon at this endpoint, which speaks TLS.
    #[cfg(feature = "tls")]
    pub fn secure(endpoint: Endpoint, tls: crate::Tls) -> Self {
        let tls = Some(tls);
        Self::with_connector(Connector { endpoint, tls })
    }

    fn with_connector(connector: Connector) -> Self {
        let endpoint = Arc::new(connector.endpoint.clone());
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self {
            http,
            endpoint,
            authorization: None,
            patience: PATIENCE,
        }
    }

    /// The client, with a token to show, which TCP wants.
    ///
    /// # Errors
    ///
    /// It cannot be sent: [`ClientError::Token`].
    pub fn with_token(mut self, token: &str) -> Result<Self, ClientError> {
        let value = format!("Bearer {token}");
        let mut value = HeaderValue::try_from(value).map_err(|_| ClientError::Token)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// The client, which repeats a request for this long when its connection was lost; 10 s
    /// without this. A daemon that was not there to begin with is not waited for.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The daemon.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A request for an operation, with the arguments of its path.
    pub(crate) fn call(&self, operation: &'static Operation, arguments: &[&str]) -> Call<'_> {
        Call::new(self, operation, arguments)
    }
}
