//! A page in a tab.

use crate::watch::Watch;
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams,
};
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use chromiumoxide::page::ScreenshotParams;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Mutex;

/// How long to wait for what a page is to show, in milliseconds. Only a defect ends by it.
const PATIENCE: u32 = 30_000;

/// A page in a tab, with a session storage of its own.
///
/// After a test it must not have written an error to its console, thrown an exception, violated
/// its content security policy, or asked for anything from an origin that is not its own. That a
/// request was answered with an error is no such error: tests want some to be.
pub struct Page {
    page: chromiumoxide::Page,
    watch: Watch,
    origin: Mutex<String>,
}

/// What the library says went wrong.
pub(crate) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A string of XPath 1.0, which has no escapes.
fn quoted(text: &str) -> String {
    assert!(!text.contains('"'), "{text} has a quotation mark");
    format!("\"{text}\"")
}

impl Page {
    pub(crate) async fn open(browser: &chromiumoxide::Browser) -> Result<Self, String> {
        let page = browser.new_page("about:blank").await.map_err(said)?;
        Ok(Self {
            watch: Watch::begin(&page).await?,
            origin: Mutex::default(),
            page,
        })
    }

    /// Goes to `path` of the server at `origin` (`http://127.0.0.1:PORT`).
    ///
    /// # Errors
    ///
    /// That it cannot be loaded.
    pub async fn visit(&self, origin: &str, path: &str) -> Result<(), String> {
        origin.clone_into(&mut self.origin.lock().expect("nobody panicked"));
        self.page
            .goto(format!("{origin}{path}"))
            .await
            .map_err(said)?;
        Ok(())
    }

    /// The value of an expression of JavaScript, or of the promise that it is.
    ///
    /// # Errors
    ///
    /// What it throws, or that it has another type.
    pub async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> Result<T, String> {
        let parameters = EvaluateParams::builder()
            .expression(expression)
            .await_promise(true)
            .return_by_value(true)
            .build()?;
        let value = self
            .page
            .evaluate_expression(parameters)
            .await
            .map_err(|error| format!("{expression}: {error}"))?;
        value
            .into_value()
            .map_err(|error| format!("{expression}: {error}"))
    }

    /// Runs a statement of JavaScript.
    ///
    /// # Errors
    ///
    /// What it throws.
    pub async fn run(&self, statement: &str) -> Result<(), String> {
        self.evaluate::<bool>(&format!("(() => {{ {statement}; return true; }})()"))
            .await?;
        Ok(())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    ///
    /// That it did not come to be, or what it throws.
    pub async fn until(&self, expression: &str) -> Result<(), String> {
        let wait = format!(
            "(async () => {{
                const end = performance.now() + {PATIENCE};
                while (!({expression})) {{
                    if (performance.now() > end) return false;
                    await new Promise((resolve) => setTimeout(resolve, 20));
                }}
                return true;
            }})()"
        );
        match self.evaluate(&wait).await? {
            true => Ok(()),
            false => Err(format!("waited in vain for: {expression}")),
        }
    }

    /// Waits until the page shows `text`.
    ///
    /// # Errors
    ///
    /// That it did not.
    pub async fn shows(&self, text: &str) -> Result<(), String> {
        let text = serde_json::to_string(text).map_err(said)?;
        self.until(&format!("document.body.innerText.includes({text})"))
            .await
    }

    /// What the page shows, as text.
    ///
    /// # Errors
    ///
    /// That the page does not answer.
    pub async fn text(&self) -> Result<String, String> {
        self.evaluate("document.body.innerText").await
    }

    /// Clicks on the button or link that shows or is labelled `name`, once it is there and not
    /// disabled.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub async fn press(&self, name: &str) -> Result<(), String> {
        let name = quoted(name);
        self.click(&format!(
            "//*[self::button or self::a][@aria-label={name} or (not(@aria-label) and \
             normalize-space()={name})][not(@disabled)]"
        ))
        .await
    }

    /// Clicks on the middle of the last element that an XPath expression finds, once it is there
    /// and nothing else is above it.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub async fn click(&self, xpath: &str) -> Result<(), String> {
        let found = format!(
            "(() => {{
                const all = document.evaluate({}, document, null, 7);
                const found = all.snapshotItem(all.snapshotLength - 1);
                found?.scrollIntoView({{ block: 'center' }});
                const {{ x, y, width, height }} = found?.getBoundingClientRect() ?? {{}};
                const hit = found && document.elementFromPoint(x + width / 2, y + height / 2);
                return found?.contains(hit) && [x + width / 2, y + height / 2];
            }})()",
            serde_json::to_string(xpath).map_err(said)?
        );
        self.until(&found).await?;
        let (x, y) = self.evaluate(&found).await?;
        let point = chromiumoxide::layout::Point { x, y };
        self.page.click(point).await.map_err(said)?;
        Ok(())
    }

    /// Writes into the field that is labelled `label`, in place of what it has.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub async fn fill(&self, label: &str, text: &str) -> Result<(), String> {
        let name = quoted(label);
        self.click(&format!(
            "//input[@aria-label={name} or @id=//label[normalize-space()={name}]/@for or \
             ancestor::label[normalize-space()={name}]]"
        ))
        .await?;
        self.run("document.activeElement.select?.()").await?;
        match text {
            "" => self.key("Delete").await,
            text => self.type_text(text).await,
        }
    }

    /// Chooses what a list that is labelled `label` offers as `option`.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub async fn choose(&self, label: &str, option: &str) -> Result<(), String> {
        let [label, option] =
            [label, option].map(|text| serde_json::to_string(text).unwrap_or_default());
        self.until(&format!(
            "(() => {{
                const named = (select) => select.ariaLabel === {label}
                    || [...select.labels].some((each) => each.innerText.startsWith({label}));
                const list = [...document.querySelectorAll('select')].find(named);
                const chosen = [...(list?.options ?? [])].find((each) => each.text === {option});
                if (!chosen) return false;
                list.focus();
                list.value = chosen.value;
                list.dispatchEvent(new Event('change', {{ bubbles: true }}));
                return true;
            }})()"
        ))
        .await
    }

    /// Types on the keyboard, wherever the focus is.
    ///
    /// # Errors
    ///
    /// That there is no such key.
    pub async fn type_text(&self, text: &str) -> Result<(), String> {
        let body = self.page.find_element("body").await.map_err(said)?;
        body.type_str(text).await.map_err(said)?;
        Ok(())
    }

    /// Presses a key by its name, such as `Enter`.
    ///
    /// # Errors
    ///
    /// That there is no such key.
    pub async fn key(&self, name: &str) -> Result<(), String> {
        let body = self.page.find_element("body").await.map_err(said)?;
        body.press_key(name).await.map_err(said)?;
        Ok(())
    }

    /// Makes the page so wide and high, in CSS pixels.
    ///
    /// # Errors
    ///
    /// That the page does not answer.
    pub async fn resize(&self, width: u32, height: u32) -> Result<(), String> {
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, false);
        self.page.execute(size).await.map_err(said)?;
        Ok(())
    }

    /// Prefers `dark` or `light` colours.
    ///
    /// # Errors
    ///
    /// That the page does not answer.
    pub async fn prefer(&self, scheme: &str) -> Result<(), String> {
        let feature = MediaFeature::new("prefers-color-scheme", scheme);
        self.page
            .emulate_media_features(vec![feature])
            .await
            .map_err(said)?;
        Ok(())
    }

    /// Writes a picture of the page to a file, as PNG.
    ///
    /// # Errors
    ///
    /// That it cannot be made or written.
    pub async fn screenshot(&self, file: &Path) -> Result<(), String> {
        let parameters = ScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .build();
        self.page
            .save_screenshot(parameters, file)
            .await
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(())
    }

    /// Whether nothing happened that must not.
    pub(crate) async fn verdict(&mut self) -> Result<(), String> {
        // Events come in order: those before this answer are all here.
        self.evaluate::<bool>("true").await?;
        let origin = self.origin.get_mut().expect("nobody panicked");
        let wrong = self.watch.wrong(origin);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong.join("\n")),
        }
    }

    pub(crate) async fn close(self) {
        // A tab that is left open ends with the browser.
        let _ = self.page.close().await;
    }
}
