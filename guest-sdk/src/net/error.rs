//! What goes wrong with networks and connections.

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The peer does not want it.
    #[error("the connection is refused")]
    Refused,
    /// There is no way to such an address from here, or it is no address.
    #[error("the address cannot be reached from here")]
    Unreachable,
    /// All local ports are in use.
    #[error("all ports are in use")]
    NoPort,
}

/// The connection has ended, and not as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset, or the peer did not answer any more")]
pub struct Reset;

impl embedded_io_async::Error for Reset {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        embedded_io_async::ErrorKind::ConnectionReset
    }
}
