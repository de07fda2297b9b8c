//! Requests that come with a key are carried out once, however often they come.
//!
//! The key goes into the store together with what the request makes, and the answer when there
//! is one. A client that repeats a request gets the first answer; if the daemon ended before it
//! had one, the things that the request made are found by the key.

use crate::problem::{Error, Kind, Result};
use crate::store::{Change, KeyRecord, KeyResponse, Store};
use crate::time;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use paravane_api::IDEMPOTENCY_KEY;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// How long a key is known.
pub const KEPT_MS: u64 = 24 * 3600 * 1000;

/// The longest key in bytes.
const MAX_KEY: usize = 128;

/// The longest answer that is kept, in bytes.
const MAX_RESPONSE: usize = 4 << 20;

/// The requests with keys that are being carried out.
#[derive(Debug, Default)]
pub struct Idempotency {
    busy: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// A request's key, if it has one.
#[derive(Clone, Debug, Default)]
pub struct RequestKey(Option<Known>);

#[derive(Clone, Debug)]
struct Known {
    key: String,
    request: String,
}

/// A request that is carried out now, and no other of its key.
#[derive(Debug)]
pub struct Turn {
    known: Option<Known>,
    /// What the request made, perhaps before the daemon that carried it out ended.
    made: Mutex<Vec<String>>,
    at_ms: u64,
    _guard: Option<OwnedMutexGuard<()>>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Verdict {
    /// Carry it out.
    Do(Turn),
    /// Give this answer again.
    Again(Response<Body>),
}

impl RequestKey {
    /// The key of a request.
    ///
    /// # Errors
    ///
    /// It is no key.
    pub fn of(method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
            return Ok(Self(None));
        };
        let key = value.to_str().unwrap_or_default();
        let right = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > MAX_KEY || !right {
            let detail = format!("a key has 1 to {MAX_KEY} printable ASCII characters, no spaces");
            return Err(Error::parameter(IDEMPOTENCY_KEY, detail));
        }
        let digest = Sha256::new()
            .chain_update(method.as_str())
            .chain_update([0])
            .chain_update(path)
            .chain_update([0])
            .chain_update(body)
            .finalize();
        Ok(Self(Some(Known {
            key: key.to_string(),
            request: hex(&digest),
        })))
    }
}

impl Idempotency {
    /// Waits until no other request of the key is carried out, and says what to do.
    ///
    /// # Errors
    ///
    /// The key came with another request, or the store cannot be read.
    pub async fn begin(&self, store: &Store, key: RequestKey) -> Result<Verdict> {
        let Some(known) = key.0 else {
            return Ok(Verdict::Do(Turn::without_key()));
        };
        let guard = self.lock(&known.key).lock_owned().await;
        let record = store.key(&known.key)?;
        let record = record.filter(|r| r.at_ms + KEPT_MS > time::now_ms());
        let (made, at_ms) = match record {
            None => (Vec::new(), time::now_ms()),
            Some(record) if record.request != known.request => {
                let detail = format!(
                    "the key {} came with another method, path or body before: use a new one for \
                     each request",
                    known.key
                );
                return Err(Error::new(Kind::KeyReused, detail));
            }
            Some(KeyRecord {
                response: Some(response),
                ..
            }) => return Ok(Verdict::Again(again(response))),
            Some(record) => (record.made, record.at_ms),
        };
        Ok(Verdict::Do(Turn {
            known: Some(known),
            made: Mutex::new(made),
            at_ms,
            _guard: Some(guard),
        }))
    }

    fn lock(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has or waits for a lock keeps a copy of it.
        busy.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(busy.entry(key.to_string()).or_default())
    }
}

impl Turn {
    /// The turn of a request that has no key.
    pub fn without_key() -> Self {
        Self {
            known: None,
            made: Mutex::default(),
            at_ms: time::now_ms(),
            _guard: None,
        }
    }

    /// The ids of what the request made already.
    pub fn made(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The change by which the key belongs to the request, which makes things of these ids. To
    /// be committed together with them.
    ///
    /// # Errors
    ///
    /// It cannot be encoded, a defect.
    pub fn claim(&self, made: &[String]) -> Result<Option<Change>> {
        *self.lock() = made.to_vec();
        self.change(None)
    }

    /// Keeps the answer for those who ask again, and gives it. One that says that the daemon
    /// could not do it is not kept: it is worth another try.
    pub async fn finish(&self, store: &Store, result: Result<Response<Body>>) -> Response<Body> {
        let response = result.unwrap_or_else(IntoResponse::into_response);
        if self.known.is_none() || response.status().is_server_error() {
            return response;
        }
        self.keep(store, response)
            .await
            .unwrap_or_else(IntoResponse::into_response)
    }

    async fn keep(&self, store: &Store, response: Response<Body>) -> Result<Response<Body>> {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Error::new(Kind::Internal, error.to_string()))?
            .to_bytes();
        let text = String::from_utf8(body.to_vec());
        if let Ok(text) = text
            && text.len() <= MAX_RESPONSE
        {
            let location = parts.headers.get(header::LOCATION);
            let response = KeyResponse {
                status: parts.status.as_u16(),
                location: location.and_then(|value| Some(value.to_str().ok()?.to_string())),
                body: text,
            };
            if let Some(change) = self.change(Some(response))?
                && let Err(error) = store.commit(vec![change]).await
            {
                // What was asked for is done. If it is asked again, it is found by the key.
                tracing::warn!("the answer to a request with a key is not kept: {error}");
            }
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    fn change(&self, response: Option<KeyResponse>) -> Result<Option<Change>> {
        let Some(known) = &self.known else {
            return Ok(None);
        };
        let record = KeyRecord {
            request: known.request.clone(),
            at_ms: self.at_ms,
            made: self.made(),
            response,
        };
        Ok(Some(Change::key(&known.key, &record)?))
    }
}

fn again(kept: KeyResponse) -> Response<Body> {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let media_type = if status.is_success() {
        "application/json"
    } else {
        paravane_api::problem::MEDIA_TYPE
    };
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(location) = kept.location.and_then(|l| HeaderValue::try_from(l).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
