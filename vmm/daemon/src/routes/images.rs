//! The store of images.

use super::carry_out::created;
use super::params::PageParams;
use super::query::Query;
use super::receive::{discard, discard_after, next_part};
use crate::app::{App, Shared};
use crate::images::{Upload, resolve};
use crate::problem::{Error, Kind, Result};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use paravane_api::image::StoredImage;
use paravane_api::page::Page;
use paravane_api::{Problem, check};

/// Adds an image: the body is the file. The same file again is the same image. A name that led
/// to another image leads to this one from now on; VMs keep the image they were created with.
#[utoipa::path(post, path = "/v1/images", tag = "images", operation_id = "add_image",
    params(("name" = Option<String>, Query, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$",
        description = "A name for it")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = StoredImage, description = "The image",
            headers(("Location" = String, description = "Where it is"))),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn add(
    State(app): State<Shared>,
    mut query: Query,
    mut body: Body,
) -> Result<Response<Body>> {
    let name = query.text("name")?;
    query.finish()?;
    if let Some(wrong) = name.as_deref().and_then(check::image_name) {
        discard(&mut body).await;
        return Err(Error::parameter("name", wrong));
    }
    let images = &app.context.images;
    let mut upload = match Upload::begin(images, app.config.max_image).await {
        Ok(upload) => upload,
        Err(error) => {
            discard(&mut body).await;
            return Err(error);
        }
    };
    let received = async {
        while let Some(part) = next_part(&mut body).await? {
            upload.take(&part).await?;
        }
        Ok(())
    };
    if let Err(error) = received.await {
        // What came of it takes no room meanwhile.
        drop(upload);
        discard_after(&error, &mut body).await;
        return Err(error);
    }
    if upload.is_empty() {
        let detail = "the body is empty; it has to be the file";
        return Err(Error::new(Kind::BadRequest, detail));
    }
    let image = upload.finish(images, app.host.clone(), name).await?;
    created(&format!("/v1/images/{}", image.digest), &image)
}

/// The images, in the order of their digests.
#[utoipa::path(get, path = "/v1/images", tag = "images", operation_id = "list_images",
    params(PageParams),
    responses(
        (status = 200, body = Page<StoredImage>, description = "A page of images"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn list(State(app): State<Shared>, mut query: Query) -> Result<Json<Page<StoredImage>>> {
    let limit = query.limit()?;
    let cursor = query.text("cursor")?;
    query.finish()?;
    if cursor
        .as_deref()
        .is_some_and(|cursor| !check::is_digest(cursor))
    {
        return Err(Error::parameter(
            "cursor",
            "it is no cursor that a page gave",
        ));
    }
    let mut items = app.context.images.all();
    items.retain(|image| cursor.as_ref().is_none_or(|cursor| image.digest > *cursor));
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items
        .last()
        .filter(|_| more)
        .map(|last| last.digest.clone());
    Ok(Json(Page { items, next_cursor }))
}

/// An image.
#[utoipa::path(get, path = "/v1/images/{image}", tag = "images", operation_id = "show_image",
    params(
        ("image" = String, Path, description = "Its digest or name"),
        ("verify" = Option<bool>, Query, description = "Read all of it and compare its sum"),
    ),
    responses(
        (status = 200, body = StoredImage, description = "The image"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn show(
    State(app): State<Shared>,
    Path(image): Path<String>,
    mut query: Query,
) -> Result<Json<StoredImage>> {
    let verify = query.flag("verify")?;
    query.finish()?;
    let image = app.context.images.find(&image)?;
    if verify {
        let (context, digest) = (app.context.clone(), image.digest.clone());
        tokio::task::spawn_blocking(move || context.images.verify(&digest))
            .await
            .map_err(|error| Error::new(Kind::Internal, error.to_string()))?
            .map_err(|why| Error::new(Kind::OperationFailed, why))?;
    }
    Ok(Json(image))
}

/// Removes an image that no VM and no snapshot uses.
#[utoipa::path(delete, path = "/v1/images/{image}", tag = "images", operation_id = "remove_image",
    params(("image" = String, Path, description = "Its digest or name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn remove(
    State(app): State<Shared>,
    Path(image): Path<String>,
    query: Query,
) -> Result<StatusCode> {
    query.finish()?;
    let users = |digest: &str| users(&app, digest);
    app.context.images.remove(&image, users).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The VMs and snapshots that use an image.
fn users(app: &App, digest: &str) -> Vec<String> {
    let vms = app
        .registry
        .after(None)
        .into_iter()
        .map(|handle| handle.now().vm);
    let vms = vms
        .filter(|vm| resolve::uses(&vm.spec, digest))
        .map(|vm| format!("the VM {}", vm.name));
    let snapshots = app.context.snapshots.all().into_iter();
    let snapshots = snapshots
        .filter(|snapshot| resolve::uses(&snapshot.spec, digest))
        .map(|snapshot| format!("the snapshot {}", snapshot.name));
    vms.chain(snapshots).collect()
}
