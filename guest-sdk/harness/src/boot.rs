//! Booting an image.

use crate::Error;
use crate::protocol::{self, Test};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// How long a test may run. Without it a test that hangs would hang all.
const TIMEOUT: &str = "60s";

/// Boots an image with tests.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The program.
    pub program: Arc<Path>,
    /// The image.
    pub image: Arc<Path>,
    /// Whether the guest's console is shown while it runs.
    pub show_console: bool,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// What the guest wrote to its console.
    pub console: String,
    /// What the VMM said: the explanation of a crash.
    pub explanation: String,
    /// The VMM's report; `Value::Null` when it wrote none.
    pub report: Value,
}

impl Boot {
    /// Asks the image for its tests.
    pub fn list(&self) -> Result<Vec<Test>, Error> {
        let ended = self.boot("list", &Test::default(), false)?;
        let failed = |why| Error::List {
            image: self.image.to_path_buf(),
            why,
        };
        match ended.code {
            0 => protocol::tests(&ended.console).map_err(failed),
            code => Err(failed(format!(
                "exit code {code}\n{}{}",
                ended.console, ended.explanation
            ))),
        }
    }

    /// Runs a test.
    pub fn run(&self, test: &Test) -> Result<Ended, Error> {
        self.boot(&format!("run {}", test.name), test, self.show_console)
    }

    fn boot(&self, command_line: &str, test: &Test, show: bool) -> Result<Ended, Error> {
        let report = tempfile::NamedTempFile::new().map_err(Error::Temporary)?;
        let mut command = Command::new(&*self.program);
        command
            .args(["run", "--timeout", TIMEOUT, "--cmdline", command_line])
            .arg("--report")
            .arg(report.path());
        if test.vcpus > 1 {
            command.args(["--vcpus", &test.vcpus.to_string()]);
        }
        if test.memory > 0 {
            command.args(["--mem", &format!("{}M", test.memory)]);
        }
        let mut child = command
            .arg(&*self.image)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start {
                program: self.program.display().to_string(),
                source,
            })?;
        let console = child.stdout.take();
        let console = std::thread::spawn(move || copy(console, show));
        let mut explanation = Vec::new();
        if let Some(mut stderr) = child.stderr.take() {
            // What is left of it is what there is to say.
            let _ = stderr.read_to_end(&mut explanation);
        }
        let status = child.wait().map_err(Error::Temporary)?;
        let report = std::fs::read_to_string(report.path()).unwrap_or_default();
        Ok(Ended {
            code: status.code().unwrap_or(-1),
            console: console.join().unwrap_or_default(),
            explanation: String::from_utf8_lossy(&explanation).into_owned(),
            report: serde_json::from_str(&report).unwrap_or_default(),
        })
    }
}

/// Reads what a guest writes, and shows it at once if that is asked for.
fn copy(from: Option<impl Read>, show: bool) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let Some(mut from) = from else {
        return String::new();
    };
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        if show {
            // Nobody may be reading.
            let _ = std::io::stdout().write_all(&buffer[..size]);
        }
        all.extend_from_slice(&buffer[..size]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
