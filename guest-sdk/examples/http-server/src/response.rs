//! What is answered.

use crate::request::Request;
use crate::stats::Stats;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt::Write;

const INDEX: &str = "A server in a Paravane guest.\n/hello\n/stats\n/bytes/N\n";

/// An answer.
pub struct Response {
    status: &'static str,
    kind: &'static str,
    body: Body,
    /// Whether it is an answer to HEAD: without the body.
    head_only: bool,
}

/// The body of an answer.
enum Body {
    Text(Cow<'static, str>),
    /// So many bytes.
    Bytes(u64),
}

impl Response {
    /// The answer to a request.
    pub fn to(request: &Request<'_>, stats: &Stats) -> Self {
        let head_only = request.method == "HEAD";
        if request.method != "GET" && !head_only {
            return Self::error("405 Method Not Allowed");
        }
        let path = request.path.split('?').next().unwrap_or("");
        let text = |text: &'static str| ("text/plain", Body::Text(Cow::Borrowed(text)));
        let (kind, body) = match path {
            "/" => text(INDEX),
            "/hello" => text("Hello from the guest\n"),
            "/stats" => ("application/json", Body::Text(stats.to_json().into())),
            _ => match path.strip_prefix("/bytes/").map(str::parse) {
                Some(Ok(size)) => ("application/octet-stream", Body::Bytes(size)),
                Some(Err(_)) => return Self::error("400 Bad Request"),
                None => return Self::error("404 Not Found"),
            },
        };
        Self {
            status: "200 OK",
            kind,
            body,
            head_only,
        }
    }

    /// An answer that says no.
    pub fn error(status: &'static str) -> Self {
        Self {
            status,
            kind: "text/plain",
            body: Body::Text(Cow::Borrowed(status)),
            head_only: false,
        }
    }

    /// Appends it, but for a body of [`Body::Bytes`]: how much of that has to follow.
    pub fn append(&self, keep: bool, output: &mut Vec<u8>) -> u64 {
        let size = match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Bytes(size) => *size,
        };
        let connection = if keep { "keep-alive" } else { "close" };
        let mut head = Head(output);
        // It cannot fail.
        let _ = write!(
            head,
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {size}\r\nConnection: {connection}\r\n\r\n",
            self.status, self.kind
        );
        match &self.body {
            _ if self.head_only => 0,
            Body::Bytes(size) => *size,
            Body::Text(text) => {
                output.extend_from_slice(text.as_bytes());
                0
            }
        }
    }
}

struct Head<'a>(&'a mut Vec<u8>);

impl Write for Head<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
