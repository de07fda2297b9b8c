//! Errors of the API, as problem documents (RFC 9457).

use crate::store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paravane_api::Problem;
use paravane_api::problem::{FieldError, MEDIA_TYPE};
use rustix::io::Errno;
use std::{fmt, io};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:ident, $title:literal;)*) => {
        /// What kind of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)* }

        impl Kind {
            /// Its code, as in `urn:paravane:problem:CODE`.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The kind, in words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The request is not what HTTP or the API expects.
    BadRequest = "bad-request", BAD_REQUEST, "The request cannot be understood";
    /// No token, or a wrong one.
    Unauthorized = "unauthorized", UNAUTHORIZED, "The request has no valid token";
    /// There is no such thing.
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    /// The path is there, but not for this method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The path has no such method";
    /// The client took too long, or what it waited for has not happened.
    TimedOut = "timed-out", REQUEST_TIMEOUT, "It did not happen in time";
    /// The VM's state does not allow it.
    WrongState = "wrong-state", CONFLICT, "The VM is in another state";
    /// The name belongs to something else.
    NameTaken = "name-taken", CONFLICT, "The name is taken";
    /// There are as many as there may be.
    LimitReached = "limit-reached", CONFLICT, "There are as many as there may be";
    /// Something uses it.
    InUse = "in-use", CONFLICT, "It is in use";
    /// The body is too long.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The body is too long";
    /// The body is of another media type.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE,
        "The body is of another media type";
    /// Fields have values that are not possible.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "A value is not possible";
    /// The VM could not be started.
    StartFailed = "start-failed", UNPROCESSABLE_ENTITY, "The VM could not be started";
    /// The VM's process could not do it.
    OperationFailed = "operation-failed", UNPROCESSABLE_ENTITY, "The VM could not do it";
    /// The idempotency key came with another request before.
    KeyReused = "key-reused", UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request";
    /// A defect of the daemon.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The daemon failed";
    /// The daemon ends or has too much to do.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The daemon cannot take the request now";
    /// The VM's process does not answer.
    NotResponding = "not-responding", GATEWAY_TIMEOUT, "The VM's process does not answer";
    /// The host's disk is full.
    StorageFull = "storage-full", INSUFFICIENT_STORAGE, "The host's disk is full";
}

/// What a request ends with when it was not carried out. It is on the heap, because results are
/// passed on often and errors are rare.
#[derive(Clone, Debug)]
pub struct Error(Box<Problem>);

/// The result of carrying out a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A problem of a kind; `detail` says what is wrong, with which value, and what would be
    /// right.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("urn:paravane:problem:{}", kind.code()),
            title: kind.title().to_string(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }))
    }

    /// Values of fields that are not possible.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.detail),
            many => format!("{} fields have values that are not possible", many.len()),
        };
        let mut problem = Self::new(Kind::Invalid, detail);
        problem.0.errors = errors;
        problem
    }

    /// One field's value that is not possible.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            field: field.into(),
            detail: detail.into(),
        }])
    }

    /// A parameter or header of a request that is not as it should be.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new(Kind::BadRequest, format!("{name}: {detail}"));
        problem.0.errors.push(FieldError {
            field: name.to_string(),
            detail,
        });
        problem
    }

    /// Something that came cannot be kept: the disk is full, or there is another reason.
    pub fn not_kept(what: &str, error: &io::Error) -> Self {
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG];
        let is_full = full
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        let kind = match is_full {
            true => Kind::StorageFull,
            false => Kind::Internal,
        };
        Self::new(kind, format!("{what} cannot be kept: {error}"))
    }

    /// The document.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        // Strings and numbers can always be written.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))],
            body,
        )
            .into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Full => Kind::StorageFull,
            StoreError::Closed => Kind::Unavailable,
            _ => Kind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
