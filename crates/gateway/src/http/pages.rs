//! The pages that are built into the binary: the viewer on the public port, the dashboard on the admin port.

use super::unknown_path;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use std::future::ready;
use tally_browser::{OPS, Pages, VIEWER};

/// Where the viewer is not built in, the text in its place: whoever opens a gateway in a browser learns that it runs.
pub(super) async fn viewer(request: Request) -> Response {
    let response = answer(&VIEWER, "", request.headers());
    ready(response.unwrap_or_else(|| VIEWER.answer_absent().map(Body::from))).await
}

pub(super) async fn viewer_asset(Path(file): Path<String>, request: Request) -> Response {
    asset(&VIEWER, &file, request).await
}

pub(super) async fn ops(request: Request) -> Response {
    let response = answer(&OPS, "", request.headers());
    ready(
        response
            .unwrap_or_else(|| (StatusCode::NOT_FOUND, OPS.answer_absent().map(Body::from)).into_response()),
    )
    .await
}

pub(super) async fn ops_asset(Path(file): Path<String>, request: Request) -> Response {
    asset(&OPS, &file, request).await
}

/// A name of an older build is no longer there.
async fn asset(pages: &'static Pages, file: &str, request: Request) -> Response {
    match answer(pages, &format!("assets/{file}"), request.headers()) {
        Some(response) => response,
        None => unknown_path(request).await.into_response(),
    }
}

fn answer(pages: &'static Pages, path: &str, headers: &HeaderMap) -> Option<Response> {
    pages.answer(path, headers).map(|response| response.map(Body::from))
}

/// Tells the operator once what this binary lacks.
pub(crate) fn log_absent() {
    for (page, pages) in [("viewer", &VIEWER), ("ops", &OPS)] {
        if let Some(why) = pages.absent() {
            tracing::warn!(
                page,
                why,
                "the page is not in this binary; install Node.js, run `cargo clean -p tally-browser`, build again"
            );
        }
    }
}
