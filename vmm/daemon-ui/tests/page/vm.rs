//! The page of a VM.

use crate::fake::Daemon;
use crate::{Outcome, open, same};
use paravane_api::event::EventKind;
use paravane_api::log::{LogLevel, LogSource};
use paravane_api::vm::{EndKind, Ended, VmState};
use paravane_browser::Page;
use serde_json::json;

/// A daemon with one VM, and the address of its page.
fn one(state: VmState) -> (Daemon, String) {
    let daemon = Daemon::new().with("web", state);
    let id = daemon.state().find("web").map(|vm| vm.id);
    (daemon, format!("/vms/{}", id.unwrap_or_default()))
}

async fn state_is(page: &Page, state: &str) -> Outcome {
    page.until(&format!(
        "document.querySelector('h1 .state')?.innerText === '{state}'"
    ))
    .await
}

pub async fn does_what_its_buttons_say(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Stopped);
    open(page, &daemon, &address).await?;
    state_is(page, "stopped").await?;
    for (button, state) in [
        ("Start", "running"),
        ("Pause", "paused"),
        ("Resume", "running"),
        ("Stop", "stopped"),
    ] {
        page.press(button).await?;
        state_is(page, state).await?;
    }
    let lines = daemon.requests().into_iter().map(|request| request.line);
    let actions: Vec<_> = lines
        .filter_map(|line| line.rsplit('/').next().map(str::to_owned))
        .collect();
    same(
        actions,
        ["start", "pause", "resume", "stop"]
            .map(String::from)
            .to_vec(),
    )
}

pub async fn asks_before_something_is_lost(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Running);
    open(page, &daemon, &address).await?;
    for (button, question) in [
        ("Reset", "Reset web?"),
        ("Force stop", "Force web to stop?"),
        ("Delete", "Delete web?"),
    ] {
        page.press(button).await?;
        page.shows(question).await?;
        page.key("Escape").await?;
        page.until("!document.querySelector('dialog')").await?;
        page.press(button).await?;
        page.press("Cancel").await?;
        page.until("!document.querySelector('dialog')").await?;
        // Whoever works by keyboard goes on where the question came up.
        same(
            page.evaluate::<String>("document.activeElement.innerText")
                .await?,
            button.to_owned(),
        )?;
    }
    same(daemon.requests(), Vec::new())?;
    page.press("Force stop").await?;
    page.click("//dialog//button[normalize-space()='Force stop']")
        .await?;
    state_is(page, "stopped").await?;
    same(daemon.requests()[0].body.clone(), json!({ "force": true }))
}

pub async fn shows_why_something_failed(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Stopped);
    open(page, &daemon, &address).await?;
    daemon.refuse(
        "Start failed",
        422,
        "The image /x is not an ELF file.",
        &[("/spec/image", "name another one")],
    );
    page.press("Start").await?;
    page.until("document.querySelector('.notices [role=alert]')")
        .await?;
    for text in [
        "Start failed",
        "The image /x is not an ELF file.",
        "/spec/image: name another one",
    ] {
        page.shows(text).await?;
    }
    page.press("Dismiss").await?;
    page.until("!document.querySelector('.notices [role=alert]')")
        .await?;
    // And how the VM ended, as the daemon tells it.
    {
        let mut state = daemon.state();
        let id = state.find("web").map(|vm| vm.id).unwrap_or_default();
        if let Some(vm) = state.vms.get_mut(&id) {
            vm.ended = Some(Ended {
                at: "2026-03-01T12:00:00Z".to_owned(),
                kind: EndKind::Crash,
                exit_code: 123,
                message: Some("page fault at 0x0".to_owned()),
                crash: Some(json!({ "rip": "0xffff800000001234" })),
            });
        }
        state.change(&id, VmState::Failed, EventKind::Ended);
    }
    state_is(page, "failed").await?;
    page.shows("The guest crashed with code 123").await?;
    page.shows("page fault at 0x0").await?;
    page.click("//summary").await?;
    page.shows("0xffff800000001234").await
}

/// How many pixels of each chart have the colour of its first line.
const DRAWN: &str = "[...document.querySelectorAll('.chart canvas')].map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let drawn = 0;
    for (let at = 0; at < data.length; at += 4) {
        if (data[at] === 0x1c && data[at + 1] === 0x5f && data[at + 2] === 0xb8 && data[at + 3] === 255) drawn += 1;
    }
    return drawn;
})";

pub async fn draws_charts(page: &Page) -> Outcome {
    page.prefer("light").await?;
    let (daemon, address) = one(VmState::Running);
    open(page, &daemon, &address).await?;
    page.until(&format!(
        "{DRAWN}.length === 4 && {DRAWN}.every((drawn) => drawn > 0)"
    ))
    .await?;
    // The line grows with the time.
    let before: Vec<u32> = page.evaluate(DRAWN).await?;
    page.until(&format!("{DRAWN}[0] > {}", before[0])).await?;
    let value = |chart: u32| {
        format!("parseFloat(document.querySelectorAll('.chart output')[{chart}].value)")
    };
    page.until(&format!("Math.abs({} / 1000 - 1) < 0.2", value(0)))
        .await?;
    page.until(&format!("Math.abs({} / 500 - 1) < 0.2", value(1)))
        .await?;
    page.until(&format!("Math.abs({} / 25 - 1) < 0.2", value(2)))
        .await?;
    for text in [
        "24 MiB",
        "ring0/vmcall",
        "console_write",
        "≤ 50 µs",
        "seccomp, Landlock ABI 7",
    ] {
        page.shows(text).await?;
    }
    // Nothing is left to draw for a VM that has no process.
    page.press("Stop").await?;
    page.until(&format!("isNaN({})", value(0))).await
}

pub async fn follows_the_log(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Running);
    daemon.log("web", LogSource::Vmm, LogLevel::Info, "the guest runs");
    daemon.log(
        "web",
        LogSource::Console,
        LogLevel::Info,
        "hello from the guest",
    );
    open(page, &daemon, &address).await?;
    page.press("Log").await?;
    page.shows("hello from the guest").await?;
    daemon.log("web", LogSource::Daemon, LogLevel::Warn, "a line of now");
    page.until(
        "document.querySelector('.log [data-level=warn]')?.innerText.includes('a line of now')",
    )
    .await?;
    for number in 0..3000 {
        daemon.log(
            "web",
            LogSource::Console,
            LogLevel::Info,
            &format!("line {number}"),
        );
    }
    page.shows("line 2999").await?;
    same(
        page.evaluate::<u32>("document.querySelector('.log').childElementCount")
            .await?,
        2000,
    )?;
    let end = "(() => { const log = document.querySelector('.log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 8; })()";
    page.until(end).await?;
    // Who scrolls up wants to read.
    page.run("document.querySelector('.log').scrollTop = 0")
        .await?;
    page.until("!document.querySelector('.bar input[type=checkbox]').checked")
        .await?;
    daemon.log("web", LogSource::Console, LogLevel::Error, "the last line");
    page.until("document.querySelector('.log [data-level=error]')")
        .await?;
    same(page.evaluate::<bool>(end).await?, false)?;
    page.choose("Source", "Daemon").await?;
    page.until("document.querySelector('.log').childElementCount === 1")
        .await?;
    page.shows("a line of now").await
}

pub async fn takes_and_restores_snapshots(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Running);
    open(page, &daemon, &address).await?;
    page.click("//nav[@aria-label='Parts of this page']//a[normalize-space()='Snapshots']")
        .await?;
    page.shows("There is no snapshot yet.").await?;
    page.fill("Name", "before-upgrade").await?;
    page.press("Take a snapshot").await?;
    page.press("Restore before-upgrade").await?;
    page.fill("Name", "copy").await?;
    page.fill("How many VMs", "3").await?;
    page.press("Restore").await?;
    page.shows("4 VMs").await?;
    page.shows("copy-3").await?;
    let bodies: Vec<_> = daemon
        .requests()
        .into_iter()
        .map(|request| request.body)
        .collect();
    let wanted = [
        json!({ "name": "before-upgrade", "stay_paused": false }),
        json!({ "name": "copy", "count": 3 }),
    ];
    same(bodies, wanted.to_vec())?;
    page.press("Snapshots").await?;
    page.press("Delete before-upgrade").await?;
    page.press("Delete").await?;
    page.shows("There is no snapshot yet.").await
}

pub async fn is_gone_when_it_is_deleted(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Running);
    open(page, &daemon, &address).await?;
    page.press("Delete").await?;
    page.click("//dialog//button[normalize-space()='Delete']")
        .await?;
    page.shows("There is no VM yet.").await?;
    let requests = daemon.requests();
    same(requests[0].line.ends_with("?force=true"), true)
}

pub async fn is_found_by_its_name(page: &Page) -> Outcome {
    let (daemon, address) = one(VmState::Running);
    open(page, &daemon, "/vms/web").await?;
    state_is(page, "running").await?;
    same(
        page.evaluate::<String>("location.hash").await?,
        format!("#{address}"),
    )?;
    page.run("location.hash = '#/vms/nobody'").await?;
    page.shows("There is no VM nobody.").await
}

pub async fn shows_what_is_hostile_as_text(page: &Page) -> Outcome {
    let markup = "<img src=x onerror=alert(1)><b>";
    let (daemon, address) = one(VmState::Running);
    daemon.log("web", LogSource::Console, LogLevel::Info, markup);
    {
        let mut state = daemon.state();
        for vm in state.vms.values_mut() {
            vm.spec.command_line = markup.to_owned();
        }
    }
    open(page, &daemon, &address).await?;
    page.shows(markup).await?;
    page.press("Log").await?;
    page.shows(markup).await?;
    same(
        page.evaluate::<u32>("document.querySelectorAll('main img, main b').length")
            .await?,
        0,
    )
}
