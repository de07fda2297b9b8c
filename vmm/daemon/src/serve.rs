//! Connections of clients.

use crate::app::App;
use crate::auth::{Access, Guard};
use crate::listen::{Listeners, Tcp};
use crate::timed::Timed;
use axum::Router;
use axum::serve::{Listener, ListenerExt};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long the head of a request may take, and a connection may be idle between requests.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// The most bytes of the head of a request.
const MAX_HEAD: usize = 16 << 10;

/// How long a client may take to agree on TLS.
const TLS_LIMIT: Duration = Duration::from_secs(10);

/// The tasks that serve.
#[derive(Debug)]
pub struct Serving {
    accepting: JoinSet<()>,
    /// Each connection has one permit.
    connections: Arc<Semaphore>,
    most: u32,
    file: Option<PathBuf>,
}

/// Starts to serve.
pub fn start(router: Router, listeners: Listeners, app: &App) -> Serving {
    let most = app.config.max_connections;
    let connections = Arc::new(Semaphore::new(most));
    let mut accepting = JoinSet::new();
    let new = |access| Server {
        router: router.clone(),
        guard: Arc::new(Guard::new(access)),
        connections: Arc::clone(&connections),
        ending: app.ending.clone(),
    };
    for listener in listeners.unix {
        accepting.spawn(new(Access::Open).accept_all(listener, None));
    }
    if let Some(Tcp {
        listener,
        token,
        tls,
    }) = listeners.tcp
    {
        let listener = listener.tap_io(|stream| {
            // Small answers are not to wait for more; without it they would, and that is all.
            let _ = stream.set_nodelay(true);
        });
        accepting.spawn(new(Access::Token(token)).accept_all(listener, tls));
    }
    Serving {
        accepting,
        connections,
        most: u32::try_from(most).unwrap_or(u32::MAX),
        file: listeners.file,
    }
}

impl Serving {
    /// Takes no more connections, and waits until those that there are have ended, at most for
    /// `limit`.
    pub async fn drain(mut self, limit: Duration) {
        self.accepting.shutdown().await;
        if let Some(file) = self.file {
            // It may be gone already.
            let _ = fs::remove_file(file);
        }
        // It fails when the time is over; what is left then ends with the process.
        let _ = tokio::time::timeout(limit, self.connections.acquire_many(self.most)).await;
    }
}

struct Server {
    router: Router,
    guard: Arc<Guard>,
    connections: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Server {
    async fn accept_all<L: Listener>(self, mut listener: L, tls: Option<TlsAcceptor>) {
        loop {
            // More clients than there may be wait in the listener's queue.
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            // It waits and tries again after an error.
            let (stream, _) = listener.accept().await;
            let service = self.guard.service(self.router.clone());
            let ending = self.ending.clone();
            let tls = tls.clone();
            tokio::spawn(async move {
                let stream = Timed::new(stream);
                match tls {
                    None => serve(stream, service, ending).await,
                    Some(tls) => match timeout(TLS_LIMIT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => serve(stream, service, ending).await,
                        Ok(Err(error)) => tracing::info!("a connection has no TLS: {error}"),
                        Err(_) => tracing::info!("a connection has no TLS in time"),
                    },
                }
                drop(permit);
            });
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    service: Router,
    mut ending: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ends = async {
        // Without a sender there is no daemon any more.
        let _ = ending.wait_for(|ending| *ending).await;
    };
    let result = tokio::select! {
        result = &mut connection => result,
        () = ends => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection failed: {error}");
    }
}
