//! A VM's console.

use crate::fake::Daemon;
use crate::{Outcome, open, same};
use paravane_api::vm::VmState;
use paravane_browser::Page;

/// What the terminal shows.
const SHOWN: &str = "document.querySelector('.xterm-rows')?.innerText.replaceAll('\\u00a0', ' ')";

async fn open_console(page: &Page, daemon: &Daemon) -> Outcome {
    let vm = daemon.state().find("web").ok_or("no web")?;
    open(page, daemon, &format!("/vms/{}/console", vm.id)).await
}

/// Types until the daemon has it.
async fn types(page: &Page, daemon: &Daemon, text: &str) -> Outcome {
    page.click("//div[@class='screen']").await?;
    page.until("document.activeElement.classList.contains('xterm-helper-textarea')")
        .await?;
    page.type_text(text).await?;
    let typed = async {
        while daemon.state().typed != text.as_bytes() {
            tokio::task::yield_now().await;
        }
    };
    let typed = tokio::time::timeout(std::time::Duration::from_secs(20), typed).await;
    typed.map_err(|_| format!("not typed: {:?}", daemon.state().typed))
}

pub async fn shows_bytes_and_sends_keys(page: &Page) -> Outcome {
    let daemon = Daemon::new().with("web", VmState::Running);
    open_console(page, &daemon).await?;
    page.shows("Connected: what you type goes to the guest.")
        .await?;
    // What was written before, without its escape sequences.
    page.until(&format!("{SHOWN}.startsWith('guest is ready')"))
        .await?;
    types(page, &daemon, "uname -a").await?;
    let _ = daemon
        .state()
        .output
        .send("Paravane α\r\n".as_bytes().to_vec());
    page.until(&format!("{SHOWN}.includes('Paravane α')")).await
}

pub async fn is_read_only_until_it_takes_over(page: &Page) -> Outcome {
    let daemon = Daemon::new().with("web", VmState::Running);
    // Somebody with another client.
    daemon.state().writer = Some(1_000_000);
    open_console(page, &daemon).await?;
    page.shows("Read only: another one types.").await?;
    page.until(&format!("{SHOWN}.startsWith('guest is ready')"))
        .await?;
    page.click("//div[@class='screen']").await?;
    page.type_text("lost").await?;
    page.press("Take over").await?;
    page.shows("Connected: what you type goes to the guest.")
        .await?;
    types(page, &daemon, "now").await?;
    // And the other one takes it back.
    {
        let mut state = daemon.state();
        state.writer = Some(1_000_001);
        let _ = state.taken_over.send(1_000_001);
    }
    page.shows("Read only: another one types.").await?;
    same(daemon.state().typed.clone(), b"now".to_vec())
}

pub async fn can_be_left_by_keyboard(page: &Page) -> Outcome {
    let daemon = Daemon::new().with("web", VmState::Running);
    open_console(page, &daemon).await?;
    page.shows("Connected").await?;
    page.click("//div[@class='screen']").await?;
    page.until("document.activeElement.classList.contains('xterm-helper-textarea')")
        .await?;
    page.run(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'F6', shiftKey: true, bubbles: true }))",
    )
    .await?;
    page.until("document.activeElement.type === 'checkbox'")
        .await
}
