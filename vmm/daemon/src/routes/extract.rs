//! What requests carry.

use super::objects::Objects;
use super::receive::discard;
use crate::idempotency::RequestKey;
use crate::problem::{Error, Kind, Result};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Deserializer};
use std::time::Duration;

/// The longest JSON body in bytes.
pub const MAX_JSON: usize = 1 << 20;

/// How long a JSON body may take to come.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// A JSON body, and the request's idempotency key.
#[derive(Debug)]
pub struct Body<T> {
    /// What was sent.
    pub value: T,
    /// The key.
    pub key: RequestKey,
}

/// The same where a request may come without a body, which then says nothing.
#[derive(Debug)]
pub struct OptionalBody<T>(pub Body<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (bytes, headers, key) = read(request).await?;
        is_json(&headers)?;
        let value = parse(&bytes)?;
        Ok(Self { value, key })
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (bytes, headers, key) = read(request).await?;
        let value = if bytes.is_empty() {
            T::default()
        } else {
            is_json(&headers)?;
            parse(&bytes)?
        };
        Ok(Self(Body { value, key }))
    }
}

async fn read(request: Request) -> Result<(Bytes, HeaderMap, RequestKey)> {
    let (parts, mut body) = request.into_parts();
    let limited = Limited::new(&mut body, MAX_JSON).collect();
    let came = tokio::time::timeout(BODY_LIMIT, limited)
        .await
        .map_err(|_| {
            let detail = format!("the body has not come within {} s", BODY_LIMIT.as_secs());
            Error::new(Kind::TimedOut, detail)
        })?;
    let bytes = match came {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(&mut body).await;
            let detail = format!("the body has more than {MAX_JSON} bytes");
            return Err(Error::new(Kind::TooLarge, detail));
        }
        Err(error) => {
            let detail = format!("the body did not come: {error}");
            return Err(Error::new(Kind::BadRequest, detail));
        }
    };
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let key = RequestKey::of(&parts.method, path, &parts.headers, &bytes)?;
    Ok((bytes, parts.headers, key))
}

fn is_json(headers: &HeaderMap) -> Result<()> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default());
    let essence = media_type.map(|text| text.split(';').next().unwrap_or_default().trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        other => {
            let detail = format!(
                "the body is of the media type {:?}; it has to be application/json",
                other.unwrap_or("")
            );
            Err(Error::new(Kind::UnsupportedMediaType, detail))
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let json = serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::BadRequest, format!("the body is no JSON: {error}")))?;
    let value = take_apart(Objects(json))?;
    // Of two fields of one name the JSON above has the last. This finds both.
    take_apart::<T, _>(&mut serde_json::Deserializer::from_slice(bytes))?;
    Ok(value)
}

fn take_apart<'a, T, D>(from: D) -> Result<T>
where
    T: DeserializeOwned,
    D: Deserializer<'a, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(from).map_err(|error| {
        let field = pointer(error.path());
        Error::field(field, error.into_inner().to_string())
    })
}

/// The path of a field as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", paravane_api::check::pointer(key)),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => "/?".to_string(),
        })
        .collect()
}
