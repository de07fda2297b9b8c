//! Where a daemon is.

use crate::ClientError;
use hyper::Uri;
use std::fmt;
use std::path::PathBuf;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// At a Unix socket.
    Unix(PathBuf),
    /// At a TCP port.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a TCP port, by TLS.
    #[cfg(feature = "tls")]
    Tls {
        /// The host's name or address, which its certificate has.
        host: String,
        /// The port.
        port: u16,
    },
}

/// The port of `http://HOST` without one.
const HTTP_PORT: u16 = 80;
/// The port of `https://HOST` without one.
const HTTPS_PORT: u16 = 443;

impl Endpoint {
    /// The endpoint of a URL such as `http://192.0.2.1:8080`, or `https://` with the feature
    /// `tls`.
    ///
    /// # Errors
    ///
    /// It is no such URL: [`ClientError::Url`].
    pub fn parse_url(url: &str) -> Result<Self, ClientError> {
        let wrong = |why| ClientError::Url {
            url: url.to_string(),
            why,
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is malformed"))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err(wrong("this client cannot speak TLS")),
            _ => return Err(wrong("it does not begin with http://")),
        };
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(wrong("it has a path"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user; the token is given apart from it"));
        }
        // An IPv6 address stands in brackets, which only URLs want.
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().ends_with(authority.host()) => match is_secure {
                true => HTTPS_PORT,
                false => HTTP_PORT,
            },
            None => return Err(wrong("its port is not a number from 1 to 65535")),
        };
        let host = host.to_string();
        #[cfg(feature = "tls")]
        if is_secure {
            return Ok(Self::Tls { host, port });
        }
        Ok(Self::Tcp { host, port })
    }

    /// What the `Host` header says, and stands between `http://` and the path.
    pub(crate) fn authority(&self) -> String {
        match self {
            // A socket has no name that HTTP knows.
            Self::Unix(_) => "localhost".to_string(),
            Self::Tcp { host, port } => authority(host, *port),
            #[cfg(feature = "tls")]
            Self::Tls { host, port } => authority(host, *port),
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            #[cfg(feature = "tls")]
            Self::Tls { .. } => write!(f, "https://{}", self.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        for (url, host, port) in [
            ("http://192.0.2.1:8080", "192.0.2.1", 8080),
            ("http://host/", "host", 80),
            ("http://[::1]:8080", "::1", 8080),
            ("http://[::1]", "::1", 80),
        ] {
            let host = host.to_string();
            let endpoint = Endpoint::parse_url(url).unwrap();
            assert_eq!(endpoint, Endpoint::Tcp { host, port }, "{url}");
        }
        let endpoint = Endpoint::parse_url("http://[::1]:8080").unwrap();
        assert_eq!(endpoint.to_string(), "http://[::1]:8080");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn secure_urls_are_parsed() {
        let endpoint = Endpoint::parse_url("https://host").unwrap();
        assert_eq!(endpoint.to_string(), "https://host:443");
    }

    #[test]
    fn what_is_no_url_is_told_why() {
        for (url, why) in [
            ("", "it is malformed"),
            ("host:8080", "it does not begin with http://"),
            ("ftp://host", "it does not begin with http://"),
            ("http://host/v1", "it has a path"),
            ("http://host?a", "it has a path"),
            (
                "http://me@host",
                "it has a user; the token is given apart from it",
            ),
            (
                "http://host:99999",
                "its port is not a number from 1 to 65535",
            ),
        ] {
            let error = Endpoint::parse_url(url).unwrap_err();
            let expected =
                format!("the URL {url:?} is not a daemon's: {why}; one is like http://HOST:PORT");
            assert_eq!(error.to_string(), expected);
        }
    }
}
