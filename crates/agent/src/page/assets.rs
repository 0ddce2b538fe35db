//! The files of the page, all there are. They hold no secret, so they need no cookie.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(super) const CSS: &str = "/static/page.css";
pub(super) const JS: &str = "/static/page.js";
pub(super) const ICON: &str = "/static/icon.svg";

/// The file at this path.
pub(super) fn file(path: &str) -> Option<Response> {
    let (sort, text) = match path {
        CSS => ("text/css; charset=utf-8", include_str!("page.css")),
        JS => ("text/javascript; charset=utf-8", include_str!("page.js")),
        ICON => ("image/svg+xml", include_str!("icon.svg")),
        _ => return None,
    };
    Some(([(header::CONTENT_TYPE, sort)], Body::from(text)).into_response())
}
