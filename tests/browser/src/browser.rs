//! The process.

use crate::page::Page;
use chromiumoxide::browser::BrowserConfig;
use futures_util::StreamExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long a test may take. Only a defect ends by it.
const TIMEOUT: Duration = Duration::from_secs(180);

/// How many characters of a page are shown when its test failed.
const SHOWN: usize = 2000;

/// The Chromium of this machine, as Debian's package `chromium` installs it.
///
/// # Errors
///
/// What is missing, and how to get it.
pub fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join("chromium"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            "the command `chromium` is missing: run `apt-get install --no-install-recommends \
             chromium` (`.ci/setup`, as root, installs all that tests need)"
                .to_owned()
        })
}

/// A Chromium without a window.
pub struct Browser {
    chromium: Option<chromiumoxide::Browser>,
    runtime: Runtime,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// Why it cannot be started.
    pub fn launch() -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
        let profile = TempDir::new().map_err(|error| format!("no folder: {error}"))?;
        let config = BrowserConfig::builder()
            .chrome_executable(find()?)
            .new_headless_mode()
            // Tests run as root, and the pages are our own.
            .no_sandbox()
            .user_data_dir(profile.path())
            .viewport(None)
            .window_size(1280, 900)
            .launch_timeout(TIMEOUT)
            .args([
                "disable-gpu",
                "disable-quic",
                "no-first-run",
                "disable-component-update",
                "lang=en-GB",
            ])
            .build()?;
        let (chromium, mut events) = runtime
            .block_on(chromiumoxide::Browser::launch(config))
            .map_err(|error| format!("Chromium cannot be started: {error}"))?;
        // Ends with the connection to the browser.
        runtime.spawn(async move { while events.next().await.is_some() {} });
        Ok(Self {
            chromium: Some(chromium),
            runtime,
            _profile: profile,
        })
    }

    /// Runs a test with a page of its own, on this browser's runtime.
    ///
    /// # Errors
    ///
    /// Why the test failed, or that the page did what no page may ([`Page`]).
    pub fn test(&self, test: impl AsyncFnOnce(&Page) -> Result<(), String>) -> Result<(), String> {
        let chromium = self.chromium.as_ref().expect("it is there until the drop");
        self.runtime.block_on(async {
            let mut page = Page::open(chromium).await?;
            let result = match tokio::time::timeout(TIMEOUT, test(&page)).await {
                Ok(result) => result,
                Err(_) => Err(format!("the test took longer than {TIMEOUT:?}")),
            };
            let result = match result {
                Ok(()) => page.verdict().await,
                Err(error) => {
                    let text = page.text().await.unwrap_or_default();
                    let text: String = text.chars().take(SHOWN).collect();
                    let seen = page.verdict().await.err().unwrap_or_default();
                    Err(format!("{error}\n{seen}\nThe page says:\n{text}"))
                }
            };
            page.close().await;
            result
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(mut chromium) = self.chromium.take() {
            self.runtime.block_on(async {
                // A browser that does not answer is killed with its handle.
                let close = async {
                    let _ = chromium.close().await;
                    let _ = chromium.wait().await;
                };
                let _ = tokio::time::timeout(Duration::from_secs(10), close).await;
            });
        }
    }
}
