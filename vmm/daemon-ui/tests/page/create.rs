//! The form by which a VM is created.

use crate::fake::Daemon;
use crate::{Outcome, open, same};
use paravane_browser::Page;
use serde_json::json;

pub async fn sends_what_the_form_says(page: &Page) -> Outcome {
    let daemon = Daemon::new();
    open(page, &daemon, "/").await?;
    page.press("New VM").await?;
    // What the store has is offered.
    page.until("document.querySelector('#images option[value=\"store:web\"]')")
        .await?;
    for (field, text) in [
        ("Name", "web"),
        ("Image", "store:web"),
        ("Command line", "port=80 quiet"),
        ("Labels", "team=a tier=front"),
        ("vCPUs", "2"),
        ("Memory in MiB", "0.5"),
    ] {
        page.fill(field, text).await?;
    }
    page.choose("Restart", "on-failure").await?;
    page.press("Add a disk").await?;
    page.fill("File or block device", "/srv/web.img").await?;
    page.press("Add a network").await?;
    page.fill("Ports of the host", "tcp:127.0.0.1:8080-80")
        .await?;
    page.click("//summary").await?;
    page.fill("CPU quota", "50").await?;
    page.press("Create").await?;
    page.shows("web was created.").await?;
    // It runs, so its console is what one wants to see.
    page.shows("Connected").await?;
    let request = daemon.requests().remove(0);
    same(request.key.is_some(), true)?;
    same(
        request.body,
        json!({
            "spec": {
                "name": "web",
                "image": "store:web",
                "command_line": "port=80 quiet",
                "resources": { "vcpus": 2, "memory": 524_288, "cpu_quota": 50 },
                "privilege": "auto",
                "carrier": "auto",
                "devices": {
                    "disks": [{ "source": "/srv/web.img", "read_only": false }],
                    "networks": [{ "connection": { "user": { "hostfwd": ["tcp:127.0.0.1:8080-80"] } } }],
                },
                "restart": { "policy": "on-failure" },
                "grace_ms": 3000,
                "labels": { "team": "a", "tier": "front" },
            },
            "start": true,
        }),
    )
}

pub async fn shows_which_field_is_wrong(page: &Page) -> Outcome {
    let daemon = Daemon::new();
    open(page, &daemon, "/new").await?;
    page.fill("Name", "Web").await?;
    daemon.refuse(
        "Invalid request",
        422,
        "2 fields are wrong.",
        &[
            ("/spec/name", "has upper case"),
            ("/spec/resources/memory", "is more than the host has"),
        ],
    );
    page.press("Create").await?;
    page.shows("2 fields are wrong.").await?;
    for (field, text) in [
        ("name", "has upper case"),
        ("memory", "is more than the host has"),
    ] {
        let described = format!(
            "(() => {{
                const field = document.getElementById('{field}');
                const ids = field.getAttribute('aria-describedby').split(' ');
                return field.ariaInvalid === 'true'
                    && ids.some((id) => document.getElementById(id).innerText === '{text}');
            }})()"
        );
        page.until(&described).await?;
    }
    // What was written is still there, and what is mended is sent.
    page.fill("Name", "web").await?;
    page.press("Create").await?;
    page.shows("web was created.").await?;
    same(
        daemon.requests()[1].body["spec"]["name"].clone(),
        json!("web"),
    )
}
