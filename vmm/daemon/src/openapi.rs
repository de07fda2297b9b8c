//! The description of the API: OpenAPI 3.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Paravane",
        description = "VMs of one host. Errors are problem documents (RFC 9457).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(paravane_api::event::Event)),
    tags(
        (name = "daemon", description = "The daemon itself"),
        (name = "vms", description = "VMs"),
        (name = "stats", description = "Figures"),
        (name = "logs", description = "Logs of VMs"),
        (name = "console", description = "Consoles of VMs"),
        (name = "snapshots", description = "Snapshots of VMs"),
        (name = "images", description = "The store of images"),
        (name = "events", description = "What happens"),
    )
)]
struct Base;

/// What the description begins with.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// What no route says.
pub fn finish(document: OpenApi) -> OpenApi {
    document
}

/// The description, as `/openapi.json` and docs/openapi.json have it.
pub fn document() -> String {
    let (_, document) = crate::routes::api();
    // A description can always be written.
    let mut text = finish(document).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
