//! Making a request and sending it.

use crate::operation::Operation;
use crate::repetition::Repetition;
use crate::{Client, ClientError, Endpoint, answer};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// What is sent.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// [`paravane_api::IDEMPOTENCY_KEY`], as HTTP libraries write names.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How much of what is streamed is read at a time, in bytes.
const CHUNK: usize = 128 << 10;

/// What stands for itself in a path's segment and a query's value (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request that is being made.
#[derive(Debug)]
pub struct Call<'client> {
    client: &'client Client,
    operation: &'static Operation,
    target: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    has_query: bool,
}

impl<'client> Call<'client> {
    /// A request for an operation, with the arguments of its path.
    pub fn new(client: &'client Client, operation: &'static Operation, arguments: &[&str]) -> Self {
        let mut arguments = arguments.iter();
        let mut target = format!("http://{}", client.endpoint.authority());
        for segment in operation.path.split('/').skip(1) {
            target.push('/');
            match segment.starts_with('{') {
                true => target.extend(arguments.next().map(|argument| encode(argument))),
                false => target.push_str(segment),
            }
        }
        let mut headers = Vec::new();
        if let Some(authorization) = &client.authorization {
            headers.push((AUTHORIZATION, authorization.clone()));
        }
        if operation.method == Method::POST {
            headers.push((IDEMPOTENCY_KEY, idempotency_key()));
        }
        Self {
            client,
            operation,
            target,
            headers,
            body: Bytes::new(),
            has_query: false,
        }
    }

    /// Adds a parameter to the query.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        let mark = if self.has_query { '&' } else { '?' };
        self.has_query = true;
        let value = encode(&value.to_string());
        // A String takes all.
        let _ = write!(self.target, "{mark}{name}={value}");
        self
    }

    /// Adds a parameter to the query, if there is a value.
    pub fn query_if(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the body.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let json = serde_json::to_vec(body);
        self.body = json
            .map_err(|error| ClientError::Request(error.to_string()))?
            .into();
        Ok(self.header(CONTENT_TYPE, HeaderValue::from_static("application/json")))
    }

    /// Sends the request, again when a connection is lost, and gives the answer if it is not a
    /// problem.
    pub async fn send(&self) -> Result<Response<Incoming>, ClientError> {
        let mut repetition = Repetition::new(self.client.patience);
        loop {
            match self.send_once(self.body()).await {
                Err(error) if repetition.is_due(&error) => repetition.pause().await,
                result => return result,
            }
        }
    }

    /// Sends the request and reads its answer, again when a connection is lost.
    pub async fn answer<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let text = self.text().await?;
        answer::parse(&text).map_err(|why| self.bad_answer(why))
    }

    /// As [`Call::answer`], of an answer that is a text.
    pub async fn text(&self) -> Result<String, ClientError> {
        let mut repetition = Repetition::new(self.client.patience);
        loop {
            match self.text_once(self.body()).await {
                Err(error) if repetition.is_due(&error) => repetition.pause().await,
                result => return result,
            }
        }
    }

    /// As [`Call::answer`], of a deletion, which has none.
    pub async fn delete(&self) -> Result<(), ClientError> {
        let mut repetition = Repetition::new(self.client.patience);
        loop {
            match self.text_once(self.body()).await {
                Err(error) if repetition.is_due(&error) => repetition.pause().await,
                // Gone by the request whose answer was lost.
                Err(error) if repetition.has_begun() && error.is_not_found() => return Ok(()),
                result => return result.map(|_| ()),
            }
        }
    }

    /// Sends this body once, and reads the answer.
    pub async fn answer_once<T: DeserializeOwned>(&self, body: Body) -> Result<T, ClientError> {
        let text = self.text_once(body).await?;
        answer::parse(&text).map_err(|why| self.bad_answer(why))
    }

    async fn text_once(&self, body: Body) -> Result<String, ClientError> {
        let response = self.send_once(body).await?;
        let endpoint = &self.client.endpoint;
        let bytes = answer::collect(response.into_body(), endpoint).await?;
        String::from_utf8(bytes).map_err(|_| self.bad_answer("it is not UTF-8".to_string()))
    }

    fn body(&self) -> Body {
        let body = Full::new(self.body.clone());
        UnsyncBoxBody::new(body.map_err(|never| match never {}))
    }

    async fn send_once(&self, body: Body) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(body);
        *request.method_mut() = self.operation.method.clone();
        let uri = self.target.parse();
        let too_long = |_| ClientError::Request("its URI is too long".to_string());
        *request.uri_mut() = uri.map_err(too_long)?;
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        let endpoint = &self.client.endpoint;
        let sent = self.client.http.request(request).await;
        let response = sent.map_err(|error| connection_error(endpoint, &error))?;
        let status = response.status();
        match status.is_success() || status == hyper::StatusCode::SWITCHING_PROTOCOLS {
            true => Ok(response),
            false => {
                let problem = answer::problem(response, endpoint).await?;
                Err(problem.unwrap_or_else(|| {
                    self.bad_answer(format!("it is {status} without a problem document"))
                }))
            }
        }
    }

    /// The answer was not what it should be.
    pub fn bad_answer(&self, why: String) -> ClientError {
        ClientError::Answer {
            operation: format!("{} {}", self.operation.method, self.operation.path),
            why,
        }
    }
}

/// A body that is read as it is sent.
pub fn streamed(contents: impl AsyncRead + Send + 'static) -> Body {
    let chunks = ReaderStream::with_capacity(contents, CHUNK).map_ok(Frame::data);
    UnsyncBoxBody::new(StreamBody::new(chunks))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A key that no other request has.
fn idempotency_key() -> HeaderValue {
    let (high, low) = (fastrand::u64(..), fastrand::u64(..));
    let key = HeaderValue::try_from(format!("{high:016x}{low:016x}"));
    key.unwrap_or(HeaderValue::from_static("0"))
}

fn connection_error(endpoint: &Endpoint, error: &legacy::Error) -> ClientError {
    let endpoint = endpoint.clone();
    let io = root_cause(error);
    if !error.is_connect() {
        let why = match io {
            Some(error) => error.to_string(),
            None => innermost(error).to_string(),
        };
        return ClientError::Lost { endpoint, why };
    }
    let copy = match io {
        Some(error) => match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        },
        None => io::Error::other(innermost(error).to_string()),
    };
    let nobody = matches!(
        copy.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    );
    match (&endpoint, nobody) {
        (Endpoint::Unix(_), true) => ClientError::NoDaemon {
            endpoint,
            error: copy,
        },
        _ => ClientError::Connect {
            endpoint,
            error: copy,
        },
    }
}

/// The error of the system that is behind an error.
fn root_cause<'error>(error: &'error (dyn Error + 'static)) -> Option<&'error io::Error> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
}

fn innermost<'error>(error: &'error (dyn Error + 'static)) -> &'error (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation;

    #[test]
    fn arguments_cannot_leave_their_place() {
        let client = Client::unix("/none");
        let call = client.call(operation::START_VM, &["../a b?c/ä"]);
        let call = call.query("state", "a&b").query_if("x", None::<u32>);
        assert_eq!(
            call.target,
            "http://localhost/v1/vms/..%2Fa%20b%3Fc%2F%C3%A4/start?state=a%26b"
        );
    }

    #[test]
    fn each_post_has_a_key_of_its_own() {
        let client = Client::unix("/none");
        let key = |operation| {
            let call = client.call(operation, &["a"]);
            let headers = call.headers.into_iter();
            headers
                .filter(|(name, _)| *name == paravane_api::IDEMPOTENCY_KEY)
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        let (one, other) = (key(operation::START_VM), key(operation::START_VM));
        assert_eq!((one.len(), other.len()), (1, 1));
        assert_ne!(one, other);
        assert!(key(operation::SHOW_VM).is_empty());
    }
}
