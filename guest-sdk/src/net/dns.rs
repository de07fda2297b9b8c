//! DNS: the addresses of names.

use super::{Network, Shared};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::Poll;
use smoltcp::socket::dns::{GetQueryResultError, QueryHandle, Socket};
use smoltcp::wire::{DnsQueryType, IpAddress};

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It is no name.
    #[error("this is no name")]
    NoName,
    /// There is no name server, it does not answer, or it does not know the name.
    #[error("no name server knows this name")]
    Unknown,
}

impl Network {
    /// The IPv4 addresses of a name, by the name server of the [`Lease`](super::Lease). A name that
    /// is an address is that address.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn lookup(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupError> {
        if let Ok(address) = name.parse() {
            return Ok(alloc::vec![address]);
        }
        let query = Query::start(&self.0, name)?;
        let addresses = poll_fn(|context| {
            let mut stack = query.network.stack.lock();
            let handle = stack.dns;
            let Some(query) = query.handle else {
                return Poll::Ready(Err(LookupError::Unknown));
            };
            let socket = stack.sockets.get_mut::<Socket<'_>>(handle);
            socket.register_query_waker(query, context.waker());
            match socket.get_query_result(query) {
                Ok(addresses) => Poll::Ready(Ok(addresses)),
                Err(GetQueryResultError::Failed) => Poll::Ready(Err(LookupError::Unknown)),
                Err(GetQueryResultError::Pending) => Poll::Pending,
            }
        })
        .await;
        query.forget();
        let addresses = addresses?.into_iter().filter_map(|address| match address {
            IpAddress::Ipv4(address) => Some(address),
            IpAddress::Ipv6(_) => None,
        });
        Ok(addresses.collect())
    }
}

/// A query under way, which is cancelled when this is dropped.
struct Query {
    network: Arc<Shared>,
    handle: Option<QueryHandle>,
}

impl Query {
    fn start(network: &Arc<Shared>, name: &str) -> Result<Self, LookupError> {
        let mut stack = network.stack.lock();
        if stack
            .lease
            .as_ref()
            .is_none_or(|lease| lease.dns.is_empty())
        {
            return Err(LookupError::Unknown);
        }
        let handle = stack.start_query(name, DnsQueryType::A);
        drop(stack);
        network.work.raise();
        Ok(Self {
            network: Arc::clone(network),
            handle: Some(handle.map_err(|_| LookupError::NoName)?),
        })
    }

    /// The stack has forgotten it.
    fn forget(mut self) {
        self.handle = None;
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        if let Some(query) = self.handle {
            let mut stack = self.network.stack.lock();
            let handle = stack.dns;
            stack
                .sockets
                .get_mut::<Socket<'_>>(handle)
                .cancel_query(query);
        }
    }
}
