//! Who may use the API.

use crate::problem::{Error, Kind};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What clients of a listener have to show.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing: whoever can open the socket may use it.
    Open,
    /// A token, if there is one; certificates of clients are checked before.
    Token(Option<String>),
}

/// Guards a listener.
#[derive(Debug)]
pub struct Guard {
    /// The SHA-256 of the token.
    token: Option<[u8; 32]>,
}

impl Guard {
    /// A guard of a listener.
    pub fn new(access: Access) -> Self {
        let token = match access {
            Access::Open | Access::Token(None) => None,
            Access::Token(Some(token)) => Some(Sha256::digest(token).into()),
        };
        Self { token }
    }

    /// The service behind the guard.
    pub fn service(self: &Arc<Self>, router: Router) -> Router {
        if self.token.is_none() {
            return router;
        }
        router.layer(middleware::from_fn_with_state(Arc::clone(self), check))
    }

    /// Whether a client shows the token. Sums of one length are compared, in a time that says
    /// nothing of them.
    fn fits(&self, shown: Option<&str>) -> bool {
        match (&self.token, shown) {
            (None, _) => true,
            (Some(token), Some(shown)) => Sha256::digest(shown).ct_eq(token).into(),
            (Some(_), None) => false,
        }
    }
}

async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // The page asks for the token itself.
    let public = path == "/ui" || path.starts_with("/ui/") || path == "/healthz";
    if public || guard.fits(shown(&request).as_deref()) {
        return next.run(request).await;
    }
    let detail = "this address wants the header Authorization: Bearer TOKEN";
    Error::new(Kind::Unauthorized, detail).into_response()
}

/// The token that a request shows: in its header, or, as a WebSocket of a browser has no other
/// way, in its query.
fn shown(request: &Request) -> Option<String> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        return bearer.then(|| token.trim().to_string());
    }
    if !request.headers().contains_key(header::UPGRADE) {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "access_token")
        .map(|(_, token)| token.into_owned())
}
