//! The parameters of a request's query.

use crate::problem::{Error, Result};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use paravane_api::page::{DEFAULT_LIMIT, MAX_LIMIT};
use std::fmt::Display;
use std::str::FromStr;
use uuid::Uuid;

/// The parameters that were not used yet. One that no one uses is an error.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let text = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        // Only for browsers, which cannot set a header; it has been looked at.
        Ok(Self(
            pairs.filter(|(name, _)| name != "access_token").collect(),
        ))
    }
}

impl Query {
    /// All values of a parameter.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let found = self.0.extract_if(.., |(given, _)| given == name);
        found.map(|(_, value)| value).collect()
    }

    /// The value of a parameter that comes at most once.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        let mut all = self.all(name);
        let value = all.pop();
        if all.is_empty() {
            Ok(value)
        } else {
            Err(Error::parameter(name, "it is there more than once"))
        }
    }

    /// The value of a parameter; `right` says what it has to be.
    pub fn value<T: FromStr>(&mut self, name: &str, right: impl Display) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let wrong = |_| Error::parameter(name, format!("{text:?} is not {right}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// A parameter that is `true` or `false`, by default false.
    pub fn flag(&mut self, name: &str) -> Result<bool> {
        Ok(self.value(name, "true or false")?.unwrap_or(false))
    }

    /// The size of a page.
    pub fn limit(&mut self) -> Result<usize> {
        let right = format!("a number from 1 to {MAX_LIMIT}");
        let limit = self.value::<u32>("limit", &right)?.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(limit as usize)
        } else {
            Err(Error::parameter("limit", format!("{limit} is not {right}")))
        }
    }

    /// Where a page begins: after the thing of this id.
    pub fn cursor(&mut self) -> Result<Option<Uuid>> {
        self.value("cursor", "a cursor that a page gave")
    }

    /// There are no other parameters.
    pub fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::parameter(name, "there is no such parameter here")),
        }
    }
}
