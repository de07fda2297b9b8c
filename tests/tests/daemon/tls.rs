//! A daemon that listens by TLS.

use crate::authority::Authority;
use paravane_client::{Client, ClientError, Endpoint, VmFilter};
use paravane_tests::daemon::{Daemon, Place};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const TOKEN: &str = "a-token-of-this-test";

/// A daemon with certificates of an authority, and where it is.
struct Secure {
    place: Place,
    authority: Authority,
    address: SocketAddr,
    _daemon: Daemon,
}

impl Secure {
    /// With these lines more under `[listen]` and `[listen.tls]`.
    fn start(listen: impl Fn(&Place) -> String, tls: impl Fn(&Place) -> String) -> Self {
        let place = Place::new();
        let authority = Authority::new();
        let identity = authority.sign("localhost");
        let certificate = place.file("daemon.pem", &identity.certificate);
        let key = place.file("daemon.key", &identity.key);
        place.file("authority.pem", authority.pem());
        // A port that was free a moment ago.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let text = format!(
            "[listen]\naddress = \"{address}\"\n{}\n\
             [listen.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n{}\n",
            listen(&place),
            tls(&place)
        );
        let config = place.file("daemon.toml", text);
        let mut command = place.command();
        let daemon = place.start(command.arg("--config").arg(config)).unwrap();
        Self {
            place,
            authority,
            address,
            _daemon: daemon,
        }
    }

    fn endpoint(&self, scheme: &str) -> Endpoint {
        let port = self.address.port();
        Endpoint::parse_url(&format!("{scheme}://localhost:{port}")).unwrap()
    }

    /// A client that trusts the daemon's authority, and shows this certificate.
    fn client(&self, shown: Option<&Authority>) -> Client {
        let identity = shown.map(|authority| authority.sign("client"));
        let tls = self.authority.tls(identity.as_ref());
        Client::secure(self.endpoint("https"), tls).with_patience(Duration::ZERO)
    }
}

async fn list(client: &Client) -> Result<(), ClientError> {
    let page = client.list_vms(&VmFilter::default(), None, None).await?;
    assert!(page.items.is_empty());
    Ok(())
}

fn token(place: &Place) -> String {
    format!("token_file = {:?}", place.file("token", TOKEN))
}

fn client_ca(place: &Place) -> String {
    format!("client_ca = {:?}", place.path().join("authority.pem"))
}

fn nothing(_: &Place) -> String {
    String::new()
}

#[tokio::test]
async fn by_tls_too_a_client_shows_the_token() {
    let secure = Secure::start(token, nothing);
    let client = secure.client(None);
    let refused = list(&client).await.unwrap_err();
    assert_eq!(refused.status(), Some(401), "{refused}");
    let wrong = client
        .clone()
        .with_token("another-token-of-somebody")
        .unwrap();
    let refused = list(&wrong).await.unwrap_err();
    assert_eq!(refused.status(), Some(401), "{refused}");
    list(&client.with_token(TOKEN).unwrap()).await.unwrap();
    // Who does not speak TLS does not get as far as the token.
    let plain = Client::new(secure.endpoint("http")).with_patience(Duration::ZERO);
    let error = list(&plain.with_token(TOKEN).unwrap()).await.unwrap_err();
    assert!(error.is_connection(), "{error}");
    // Nor does a client say its token to a daemon that it does not trust.
    let tls = Authority::new().tls(None);
    let stranger = Client::secure(secure.endpoint("https"), tls);
    let error = list(&stranger.with_token(TOKEN).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    // The socket is as open as before.
    list(&secure.place.client()).await.unwrap();
}

#[tokio::test]
async fn a_certificate_lets_a_client_in() {
    let secure = Secure::start(nothing, client_ca);
    list(&secure.client(Some(&secure.authority))).await.unwrap();
    for shown in [None, Some(&Authority::new())] {
        let error = list(&secure.client(shown)).await.unwrap_err();
        assert!(error.is_connection(), "{error}");
    }
    // What asks for no token otherwise is as closed to strangers.
    let error = secure.client(None).health().await.unwrap_err();
    assert!(error.is_connection(), "{error}");
}

#[tokio::test]
async fn a_certificate_and_the_token_are_wanted_where_both_are_set() {
    let secure = Secure::start(token, client_ca);
    let known = secure.client(Some(&secure.authority));
    let refused = list(&known).await.unwrap_err();
    assert_eq!(refused.status(), Some(401), "{refused}");
    list(&known.with_token(TOKEN).unwrap()).await.unwrap();
    let stranger = secure.client(None).with_token(TOKEN).unwrap();
    let error = list(&stranger).await.unwrap_err();
    assert!(error.is_connection(), "{error}");
}

#[test]
fn certificates_that_do_not_fit_are_told() {
    let place = Place::new();
    let identity = Authority::new().sign("localhost");
    let certificate = place.file("daemon.pem", &identity.certificate);
    let other = place.file("other.key", Authority::new().sign("localhost").key);
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n{}\n\
         [listen.tls]\ncertificate = {certificate:?}\nkey = {other:?}\n",
        token(&place)
    );
    let config = place.file("daemon.toml", text);
    let said = place
        .start(place.command().arg("--config").arg(config))
        .unwrap_err();
    let expected = format!("{} cannot be used for TLS: ", certificate.display());
    assert!(said.contains(&expected), "{said}");
}
