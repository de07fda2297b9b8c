//! What is asked for.

use httparse::{EMPTY_HEADER, Header, Status};

/// Most headers of a request.
const HEADERS: usize = 64;

/// A request, as far as this server looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Whether the connection is kept after the answer.
    pub keep: bool,
    /// Size of the head in bytes.
    pub head: usize,
    /// Size of the body in bytes.
    pub body: usize,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// They are no head of a request.
    Malformed,
    /// The body has no size that is known before it comes.
    NoLength,
}

impl<'a> Request<'a> {
    /// The first request in what has come; `None` while its head is not complete.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, BadRequest> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head = match request.parse(bytes) {
            Ok(Status::Complete(head)) => head,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(BadRequest::Malformed),
        };
        let (Some(method), Some(path), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(BadRequest::Malformed);
        };
        if value(request.headers, "transfer-encoding").is_some() {
            return Err(BadRequest::NoLength);
        }
        let body = match value(request.headers, "content-length") {
            None => 0,
            Some(size) => size.parse().map_err(|_| BadRequest::Malformed)?,
        };
        let connection = value(request.headers, "connection").unwrap_or("");
        let wants = |what: &str| {
            let mut words = connection.split(',');
            words.any(|word| word.trim().eq_ignore_ascii_case(what))
        };
        let keep = match version {
            0 => wants("keep-alive"),
            _ => !wants("close"),
        };
        Ok(Some(Self {
            method,
            path,
            keep,
            head,
            body,
        }))
    }
}

fn value<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok().map(str::trim)
}
