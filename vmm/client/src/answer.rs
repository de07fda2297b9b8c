//! Reading answers.

use crate::{ClientError, Endpoint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use paravane_api::{Problem, problem};
use serde::de::DeserializeOwned;

/// The longest answer that is not a stream, in bytes. A page of 1000 VMs has less.
const MAX_ANSWER: usize = 64 << 20;

/// Reads a value.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Reads all of a body.
pub async fn collect(body: Incoming, endpoint: &Endpoint) -> Result<Vec<u8>, ClientError> {
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    let collected = collected.map_err(|error| match error.is::<LengthLimitError>() {
        true => ClientError::Answer {
            operation: "a request".to_string(),
            why: format!("it has more than {MAX_ANSWER} bytes"),
        },
        false => ClientError::Lost {
            endpoint: endpoint.clone(),
            why: error.to_string(),
        },
    })?;
    Ok(collected.to_bytes().into())
}

/// Reads a problem document; `None`: it is none.
pub async fn problem(
    response: Response<Incoming>,
    endpoint: &Endpoint,
) -> Result<Option<ClientError>, ClientError> {
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_problem = content_type.is_some_and(|value| {
        let value = value.to_str().unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim() == problem::MEDIA_TYPE
    });
    if !is_problem {
        return Ok(None);
    }
    let bytes = collect(response.into_body(), endpoint).await?;
    let problem = serde_json::from_slice::<Problem>(&bytes).ok();
    Ok(problem.map(|problem| ClientError::Problem(Box::new(problem))))
}
