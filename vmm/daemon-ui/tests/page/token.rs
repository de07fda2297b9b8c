//! A listener that wants a bearer token.

use crate::fake::{Daemon, TOKEN};
use crate::{Outcome, open, same};
use paravane_api::vm::VmState;
use paravane_browser::Page;

pub async fn is_asked_for_and_sent(page: &Page) -> Outcome {
    let daemon = Daemon::new().with("web", VmState::Running);
    daemon.state().wants_token = true;
    open(page, &daemon, "/").await?;
    page.shows("Access token").await?;
    page.fill("Token", "wrong").await?;
    page.press("Sign in").await?;
    page.shows("The daemon does not accept this token.").await?;
    page.fill("Token", TOKEN).await?;
    page.key("Enter").await?;
    page.shows("1 VM").await?;
    // The console is a WebSocket, which has no headers.
    page.press("web").await?;
    page.press("Console").await?;
    page.shows("Connected").await?;
    // It outlives a reload, but is nowhere but in this tab.
    page.run("location.hash = '#/'").await?;
    page.shows("1 VM").await?;
    same(page.evaluate::<u32>("localStorage.length").await?, 0)?;
    same(
        page.evaluate::<String>("document.cookie").await?,
        String::new(),
    )?;
    page.press("Sign out").await?;
    page.shows("Access token").await
}
