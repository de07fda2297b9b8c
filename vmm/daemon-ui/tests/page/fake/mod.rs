//! A daemon that is none: the API that the page talks to, with VMs of which only the JSON is
//! there. A test sets what it answers and sees what it was asked for.

mod console;
mod routes;
mod snapshots;
mod state;
mod streams;

pub use state::{Daemon, TOKEN};

use axum::Router;
use tokio::net::TcpListener;

impl Daemon {
    /// Serves the page and the API on a port of this host; returns the origin.
    ///
    /// # Errors
    ///
    /// That there is no port.
    pub async fn serve(&self) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let router: Router = routes::router(self.clone()).merge(paravane_daemon_ui::router());
        // Ends with the runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }
}
