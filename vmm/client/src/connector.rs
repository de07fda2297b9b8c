//! Connections to a daemon, as hyper's connection pool wants them.

use crate::Endpoint;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tower_service::Service;

/// Connects to one endpoint, whatever URI is asked for.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Who is trusted, and who this is.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let stream = match connector.endpoint {
                Endpoint::Unix(path) => {
                    Either::Left(Either::Left(UnixStream::connect(path).await?))
                }
                Endpoint::Tcp { host, port } => {
                    Either::Left(Either::Right(connect(&host, port).await?))
                }
                #[cfg(feature = "tls")]
                Endpoint::Tls { host, port } => {
                    let Some(tls) = connector.tls else {
                        return Err(io::Error::other(
                            "it is not said whose certificates are trusted",
                        ));
                    };
                    let stream = connect(&host, port).await?;
                    Either::Right(tls.connect(host, stream).await?)
                }
            };
            Ok(Stream(TokioIo::new(stream)))
        })
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Each key typed at a console is a packet.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(feature = "tls")]
type Secure = tokio_rustls::client::TlsStream<TcpStream>;
#[cfg(not(feature = "tls"))]
type Secure = tokio::io::Empty;

/// A connection.
#[derive(Debug)]
pub struct Stream(TokioIo<Either<Either<UnixStream, TcpStream>, Secure>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }
}
