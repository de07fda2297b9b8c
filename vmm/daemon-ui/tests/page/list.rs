//! The list of VMs.

use crate::fake::Daemon;
use crate::{Outcome, open, same};
use paravane_api::event::EventKind;
use paravane_api::vm::VmState;
use paravane_browser::Page;

/// The names in the list, in its order.
async fn names(page: &Page) -> Result<Vec<String>, String> {
    page.evaluate("[...document.querySelectorAll('.vms tbody tr td:first-child')].map((cell) => cell.innerText)")
        .await
}

fn three() -> Daemon {
    Daemon::new()
        .with("web", VmState::Running)
        .with("build", VmState::Stopped)
        .with("db-10", VmState::Failed)
        .with("db-9", VmState::Paused)
}

pub async fn shows_each_vm_with_its_figures(page: &Page) -> Outcome {
    open(page, &three(), "/").await?;
    // Of a page of the API each, of which there are two.
    page.shows("4 VMs").await?;
    same(
        names(page).await?,
        ["build", "db-9", "db-10", "web"].map(String::from).to_vec(),
    )?;
    let cell = |title: &str| {
        format!(
            "[...document.querySelectorAll('.vms tbody tr')].at(-1).querySelector('[data-title=\"{title}\"]').innerText"
        )
    };
    for (title, text) in [
        ("State", "running"),
        ("Image", "builtin"),
        ("vCPUs", "1"),
        ("Memory", "128 MiB"),
    ] {
        same(
            page.evaluate::<String>(&cell(title)).await?,
            text.to_owned(),
        )?;
    }
    // Rates, once figures came twice.
    for (title, about) in [("Exits/s", 1000), ("Hypercalls/s", 500), ("CPU", 25)] {
        let cell = cell(title);
        page.until(&format!("Math.abs(parseFloat({cell}) / {about} - 1) < 0.2"))
            .await?;
    }
    Ok(())
}

pub async fn follows_events(page: &Page) -> Outcome {
    let daemon = three();
    open(page, &daemon, "/").await?;
    page.shows("4 VMs").await?;
    page.run("window.same = true").await?;
    let web = daemon.state().find("web").ok_or("no web")?;
    daemon
        .state()
        .change(&web.id, VmState::Paused, EventKind::Paused);
    let state = "[...document.querySelectorAll('.vms tr')].find((row) => row.innerText.includes('web')).querySelector('.state').innerText";
    page.until(&format!("{state} === 'paused'")).await?;
    // One that another client makes, and one that it deletes.
    {
        let mut state = daemon.state();
        let new = state.add(web.spec.clone(), VmState::Stopped);
        state.tell(&new, EventKind::Created, None);
    }
    page.shows("5 VMs").await?;
    {
        let mut state = daemon.state();
        state.vms.remove(&web.id);
        state.tell(&web, EventKind::Deleted, None);
    }
    page.shows("4 VMs").await?;
    page.press("Events").await?;
    page.until("document.querySelectorAll('.events tbody tr').length === 3")
        .await?;
    same(page.evaluate::<bool>("window.same").await?, true)
}

pub async fn filters_and_sorts(page: &Page) -> Outcome {
    open(page, &three(), "/").await?;
    page.shows("4 VMs").await?;
    page.fill("Filter by name, image or label", "DB").await?;
    page.shows("2 of 4 VMs").await?;
    page.press("Name").await?;
    page.until("document.querySelector('[aria-sort=descending]')")
        .await?;
    same(
        names(page).await?,
        ["db-10", "db-9"].map(String::from).to_vec(),
    )?;
    page.choose("State", "paused").await?;
    page.shows("1 of 4 VMs").await?;
    same(names(page).await?, vec!["db-9".to_owned()])?;
    page.fill("Filter by name, image or label", "nothing")
        .await?;
    page.shows("No VM is like that.").await
}

pub async fn starts_a_vm(page: &Page) -> Outcome {
    let daemon = three();
    open(page, &daemon, "/").await?;
    page.press("Start build").await?;
    page.shows("build was started.").await?;
    page.until("document.querySelectorAll('[data-state=running]').length === 2")
        .await?;
    let build = daemon.state().find("build").ok_or("no build")?;
    let requests = daemon.requests();
    same(
        requests[0].line.clone(),
        format!("POST /v1/vms/{}/start", build.id),
    )?;
    same(requests[0].key.is_some(), true)
}

pub async fn says_that_the_daemon_is_away(page: &Page) -> Outcome {
    let daemon = three();
    open(page, &daemon, "/").await?;
    page.shows("4 VMs").await?;
    // The streams of events end, and what happens now is missed.
    let closed = tokio::sync::broadcast::channel(1).0;
    daemon.state().events = closed;
    page.shows("What is shown is old").await?;
    daemon.state().events = tokio::sync::broadcast::channel(100).0;
    let web = daemon.state().find("web").ok_or("no web")?;
    daemon
        .state()
        .change(&web.id, VmState::Lost, EventKind::Ended);
    // The list is read again with the next connection.
    page.until("document.querySelector('[data-state=lost]')")
        .await?;
    page.until("!document.body.innerText.includes('What is shown is old')")
        .await?;
    // And so is what was missed, once.
    page.press("Events").await?;
    page.until("document.querySelectorAll('.events tbody tr').length === 1")
        .await
}
