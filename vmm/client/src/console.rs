//! The console of a VM, over a WebSocket (RFC 6455).

use crate::operation::VM_CONSOLE;
use crate::{Client, ClientError, Endpoint};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::StatusCode;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::sync::Arc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The longest message in bytes.
const MAX_MESSAGE: usize = 1 << 20;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What is asked for of a console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsoleMode {
    /// To read.
    #[default]
    Read,
    /// To read and to type, if nobody else does.
    Write,
    /// To read and to type, in place of whoever does.
    Steal,
}

/// What comes from a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleMessage {
    /// What the guest wrote; first what it wrote last.
    Output(Bytes),
    /// So many bytes of the guest's were lost, because this reader was slow.
    Lost(u64),
    /// Nothing more comes, and why.
    Closed(String),
}

/// What the daemon says beside the guest's bytes.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Notice {
    Lost(u64),
    Closed(String),
}

/// A connection to a console.
#[derive(Debug)]
pub struct Console {
    socket: Socket,
    endpoint: Arc<Endpoint>,
}

/// The end of a console where the guest's bytes come.
#[derive(Debug)]
pub struct ConsoleReader {
    stream: SplitStream<Socket>,
    endpoint: Arc<Endpoint>,
}

/// The end of a console where one types.
#[derive(Debug)]
pub struct ConsoleWriter {
    sink: SplitSink<Socket, Message>,
    endpoint: Arc<Endpoint>,
}

impl Client {
    /// Connects to the console of a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn console(&self, vm: &str, mode: ConsoleMode) -> Result<Console, ClientError> {
        let key = generate_key();
        let key_header = HeaderValue::try_from(&key)
            .map_err(|_| ClientError::Request("the WebSocket has no key".to_string()))?;
        let (write, steal) = (mode != ConsoleMode::Read, mode == ConsoleMode::Steal);
        let call = self
            .call(VM_CONSOLE, &[vm])
            .query_if("write", write.then_some(true))
            .query_if("steal", steal.then_some(true))
            .header(CONNECTION, HeaderValue::from_static("upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, key_header);
        let response = call.send().await?;
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        let accepted = accept.is_some_and(|value| *value == derive_accept_key(key.as_bytes()));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
            return Err(call.bad_answer("it is no WebSocket".to_string()));
        }
        let upgraded = hyper::upgrade::on(response).await;
        let upgraded = upgraded.map_err(|error| lost(&self.endpoint, &error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let stream = TokioIo::new(upgraded);
        Ok(Console {
            socket: WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await,
            endpoint: Arc::clone(&self.endpoint),
        })
    }
}

impl Console {
    /// Both ends, to be used apart.
    pub fn split(self) -> (ConsoleReader, ConsoleWriter) {
        let (sink, stream) = self.socket.split();
        let endpoint = Arc::clone(&self.endpoint);
        let reader = ConsoleReader { stream, endpoint };
        let endpoint = self.endpoint;
        (reader, ConsoleWriter { sink, endpoint })
    }
}

impl ConsoleReader {
    /// What comes next; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection was lost, or what comes is not what a console says.
    pub async fn next(&mut self) -> Result<Option<ConsoleMessage>, ClientError> {
        loop {
            let message = match self.stream.next().await {
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Ok(None);
                }
                Some(message) => message.map_err(|error| lost(&self.endpoint, &error))?,
            };
            match message {
                Message::Binary(bytes) => return Ok(Some(ConsoleMessage::Output(bytes))),
                Message::Text(text) => {
                    let notice = serde_json::from_str(text.as_str());
                    let notice = notice.map_err(|error| ClientError::Answer {
                        operation: format!("{} {}", VM_CONSOLE.method, VM_CONSOLE.path),
                        why: error.to_string(),
                    })?;
                    return Ok(Some(match notice {
                        Notice::Lost(bytes) => ConsoleMessage::Lost(bytes),
                        Notice::Closed(why) => ConsoleMessage::Closed(why),
                    }));
                }
                // The end follows; pings are answered by the library.
                Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

impl ConsoleWriter {
    /// Types.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> Result<(), ClientError> {
        let sent = self.sink.send(Message::Binary(bytes.into())).await;
        sent.map_err(|error| lost(&self.endpoint, &error))
    }

    /// Ends the connection; what is under way still comes to the reader.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        let closed = self.sink.close().await;
        closed.map_err(|error| lost(&self.endpoint, &error))
    }
}

fn lost(endpoint: &Endpoint, error: &dyn std::error::Error) -> ClientError {
    ClientError::Lost {
        endpoint: endpoint.clone(),
        why: error.to_string(),
    }
}
