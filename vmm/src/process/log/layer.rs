//! What the VMM's code says by the crate tracing, as lines of the log.

use super::Log;
use paravane_api::log::{LogLevel, LogSource};
use std::fmt::{Debug, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Writes events to a log.
#[derive(Debug)]
pub struct LogLayer(Arc<Log>);

impl LogLayer {
    /// Writes to this log.
    pub fn new(log: Arc<Log>) -> Self {
        Self(log)
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG | Level::TRACE => LogLevel::Debug,
        };
        let message = text.message + &text.fields;
        self.0.write(LogSource::Vmm, level, &message);
    }
}

/// An event's message, and its other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A string takes anything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use paravane_control::folder::Folder;
    use paravane_control::plan::LogLimits;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn an_event_is_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let log = Arc::new(Log::new(&folder, LogLimits::default()));
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(log));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(device = "disk0", error = %"no \"space\"", "it {}", "failed");
        });
        let lines = read(&folder);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].level, LogLevel::Warn);
        assert_eq!(lines[0].source, LogSource::Vmm);
        let expected = "it failed device=\"disk0\" error=no \"space\"";
        assert_eq!(lines[0].message, expected);
    }
}
