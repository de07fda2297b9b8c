//! The files of the page, as an HTTP client gets them.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use tower::ServiceExt;

async fn get(path: &str, condition: Option<&str>) -> Response<Body> {
    let router: Router = paravane_daemon_ui::router();
    let mut request = Request::get(path);
    if let Some(condition) = condition {
        request = request.header(header::IF_NONE_MATCH, condition);
    }
    let request = request.body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap()
}

async fn body(response: Response<Body>) -> Vec<u8> {
    let body = axum::body::to_bytes(response.into_body(), 1 << 24).await;
    body.unwrap().to_vec()
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn the_page_is_at_ui() {
    let response = get("/ui", None).await;
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(text(&response, "location"), "/ui/");
    let response = get("/ui/", None).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(&response, "content-type"), "text/html; charset=utf-8");
    assert!(body(response).await.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn each_kind_of_file_has_its_type() {
    for (path, media_type) in [
        ("/ui/index.html", "text/html; charset=utf-8"),
        ("/ui/css/page.css", "text/css; charset=utf-8"),
        ("/ui/js/app.js", "text/javascript; charset=utf-8"),
        (
            "/ui/vendor/xterm/xterm.mjs",
            "text/javascript; charset=utf-8",
        ),
        ("/ui/icon.svg", "image/svg+xml"),
        ("/ui/vendor/xterm/LICENSE", "text/plain; charset=utf-8"),
    ] {
        let response = get(path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(text(&response, "content-type"), media_type, "{path}");
    }
}

#[tokio::test]
async fn no_file_is_served_from_elsewhere() {
    for path in [
        "/ui/nothing",
        "/ui/js",
        "/ui/../Cargo.toml",
        "/ui/%2e%2e/Cargo.toml",
        "/ui/..%2fCargo.toml",
        "/ui//etc/passwd",
    ] {
        let response = get(path, None).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn every_answer_forbids_what_comes_from_elsewhere() {
    for path in ["/ui/", "/ui/js/app.js", "/ui/nothing"] {
        let response = get(path, None).await;
        let policy = text(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert_eq!(text(&response, "x-content-type-options"), "nosniff");
        assert_eq!(text(&response, "referrer-policy"), "no-referrer");
    }
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    let response = get("/ui/js/app.js", None).await;
    assert_eq!(text(&response, "cache-control"), "no-cache");
    let tag = text(&response, "etag").to_owned();
    for condition in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let response = get("/ui/js/app.js", Some(&condition)).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{condition}");
        assert_eq!(text(&response, "etag"), tag);
        assert_eq!(body(response).await, b"");
    }
    let response = get("/ui/js/api.js", Some(&tag)).await;
    assert_eq!(response.status(), StatusCode::OK);
}
