//! Which daemon is spoken to.

use crate::cli::exit_code::Failure;
use clap::Args;
use paravane_client::{Client, Endpoint, Tls};
use rustix::process::geteuid;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Which daemon is spoken to.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Daemon")]
pub struct ConnectionArgs {
    /// The daemon's Unix socket; without it /run/paravane.sock for root, and
    /// $XDG_RUNTIME_DIR/paravane.sock for others
    #[arg(long, value_name = "PATH", env = "PARAVANE_SOCKET")]
    pub socket: Option<PathBuf>,
    /// A daemon that listens at TCP, http:// or https://, in place of a socket
    #[arg(long, value_name = "http://HOST:PORT")]
    pub url: Option<String>,
    /// A file with the token that a daemon at TCP wants
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// A file in PEM of who has to have signed the daemon's certificate, for https://
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ca: Option<PathBuf>,
    /// A file in PEM of the certificate to show to the daemon
    #[arg(long, value_name = "FILE", requires = "ca", requires = "key")]
    pub cert: Option<PathBuf>,
    /// A file in PEM of the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// What all verbs have.
#[derive(Debug, Default, Args)]
pub struct Common {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    daemon: ConnectionArgs,
}

impl Common {
    /// The client of the daemon.
    pub fn client(&self) -> Result<Client, Failure> {
        self.daemon.client()
    }
}

impl ConnectionArgs {
    /// The client of that daemon.
    pub fn client(&self) -> Result<Client, Failure> {
        let Some(url) = &self.url else {
            let path = match &self.socket {
                Some(path) => path.clone(),
                None => default_socket(geteuid().is_root(), env::var_os("XDG_RUNTIME_DIR"))?,
            };
            return Ok(Client::unix(path));
        };
        let endpoint = Endpoint::parse_url(url)?;
        let client = match &endpoint {
            Endpoint::Tls { .. } => Client::secure(endpoint, self.tls()?),
            Endpoint::Unix(_) | Endpoint::Tcp { .. } => Client::new(endpoint),
        };
        match &self.token_file {
            Some(path) => Ok(client.with_token(&read_token(path)?)?),
            None => Ok(client),
        }
    }

    fn tls(&self) -> Result<Tls, Failure> {
        let Some(ca) = &self.ca else {
            return Err(Failure::configuration(
                "https:// needs --ca, a file of who has to have signed the daemon's certificate",
            ));
        };
        let ca = read("file of authorities", ca)?;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read("certificate", cert)?, read("key", key)?)),
            _ => None,
        };
        let identity = identity
            .as_ref()
            .map(|(cert, key)| (cert.as_bytes(), key.as_bytes()));
        Ok(Tls::from_pem(ca.as_bytes(), identity)?)
    }
}

fn read(what: &str, path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Failure::configuration(format!("the {what} {path} cannot be read: {error}"))
    })
}

/// Where a daemon listens that nobody told where to.
fn default_socket(
    is_root: bool,
    runtime_dir: Option<std::ffi::OsString>,
) -> Result<PathBuf, Failure> {
    const NAME: &str = "paravane.sock";
    if is_root {
        return Ok(Path::new("/run").join(NAME));
    }
    match runtime_dir {
        Some(folder) if !folder.is_empty() => Ok(Path::new(&folder).join(NAME)),
        _ => Err(Failure::configuration(
            "XDG_RUNTIME_DIR is not set, so nobody knows where the daemon listens; name its \
             socket with --socket",
        )),
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = read("token file", path)?;
    match text.trim() {
        "" => Err(Failure::configuration(format!(
            "the token file {} is empty; write the daemon's token into it",
            path.display()
        ))),
        token => Ok(token.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_default_socket() {
        let socket = |is_root, folder: Option<&str>| {
            default_socket(is_root, folder.map(Into::into)).map_err(|failure| failure.message)
        };
        assert_eq!(socket(true, None), Ok("/run/paravane.sock".into()));
        let of_user = Ok("/run/user/7/paravane.sock".into());
        assert_eq!(socket(false, Some("/run/user/7")), of_user);
        assert!(socket(false, None).unwrap_err().contains("--socket"));
    }

    #[test]
    fn a_token_is_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "secret\n").unwrap();
        assert_eq!(read_token(file.path()).unwrap(), "secret");
        fs::write(file.path(), "\n").unwrap();
        assert!(read_token(file.path()).is_err());
    }
}
