//! What the page looks like: it is as wide as the window in both colours, and a folder with
//! pictures of it for people to look at.

use crate::fake::Daemon;
use crate::{Outcome, open, same};
use paravane_api::event::EventKind;
use paravane_api::log::{LogLevel, LogSource};
use paravane_api::vm::VmState;
use paravane_browser::Page;
use std::path::PathBuf;

fn daemon() -> Daemon {
    let daemon = Daemon::new()
        .with("web-1", VmState::Running)
        .with("web-2", VmState::Running)
        .with("build-agent", VmState::Stopped)
        .with("database", VmState::Paused)
        .with("mail", VmState::Failed)
        .with("cache", VmState::Restarting);
    for number in 0..40 {
        let level = match number % 13 {
            7 => LogLevel::Warn,
            11 => LogLevel::Error,
            _ => LogLevel::Info,
        };
        let message = format!(
            "request {number} took {} us, which is what it takes",
            number * 13
        );
        daemon.log("web-1", LogSource::Console, level, &message);
    }
    daemon
}

pub async fn pictures(page: &Page) -> Outcome {
    let folder = std::env::var_os("PARAVANE_SCREENSHOTS").map(PathBuf::from);
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let daemon = daemon();
    let vm = daemon.state().find("web-1").ok_or("no web-1")?;
    open(page, &daemon, "/").await?;
    page.shows("6 VMs").await?;
    daemon
        .state()
        .change(&vm.id, VmState::Paused, EventKind::Paused);
    daemon
        .state()
        .change(&vm.id, VmState::Running, EventKind::Resumed);
    let addresses = [
        (
            "list",
            "/".to_owned(),
            "document.querySelector('.vms tr:last-child [data-title=\"CPU\"]')?.innerText.includes('%')",
        ),
        (
            "vm",
            format!("/vms/{}", vm.id),
            "document.querySelector('.figures')",
        ),
        (
            "console",
            format!("/vms/{}/console", vm.id),
            "document.querySelector('.xterm-rows')?.innerText.includes('ready')",
        ),
        (
            "log",
            format!("/vms/{}/log", vm.id),
            "document.querySelector('.log').childElementCount === 40",
        ),
        (
            "snapshots",
            format!("/vms/{}/snapshots", vm.id),
            "document.querySelector('.notice')",
        ),
        (
            "new",
            "/new".to_owned(),
            "document.querySelector('.create')",
        ),
        (
            "events",
            "/events".to_owned(),
            "document.querySelector('.events')",
        ),
    ];
    for (name, address, ready) in addresses {
        page.run(&format!("location.hash = '#{address}'")).await?;
        page.until(ready).await?;
        for scheme in ["light", "dark"] {
            for width in [1280, 400] {
                page.prefer(scheme).await?;
                page.resize(width, 900).await?;
                page.until(&format!("innerWidth === {width}")).await?;
                // Nothing hangs out of the page: what is wide scrolls in its own box.
                let wide = "document.documentElement.scrollWidth";
                same(page.evaluate::<u32>(wide).await?, width)
                    .map_err(|error| format!("{name}: {error}"))?;
                if let Some(folder) = &folder {
                    let file = folder.join(format!("{name}-{scheme}-{width}.png"));
                    page.screenshot(&file).await?;
                }
            }
        }
    }
    Ok(())
}
