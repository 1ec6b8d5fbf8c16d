//! The files of a page by their paths, as responses.

use axum::http::HeaderMap;
use axum::response::Response;

use super::error::{ApiError, ApiResult};
use super::large_work::LargeWork;
use super::static_file::StaticFile;

/// Files with their paths, which have no slash at the start.
pub(super) struct StaticFiles {
    files: Vec<(&'static str, StaticFile)>,
    large_work: LargeWork,
}

impl StaticFiles {
    pub(super) fn new(files: Vec<(&'static str, StaticFile)>, large_work: &LargeWork) -> Self {
        Self { files, large_work: large_work.clone() }
    }

    /// Returns the file with this path, in the form that the client accepts.
    ///
    /// # Errors
    /// [`ApiError::RouteNotFound`] if no file has this path.
    pub(super) async fn respond(&self, path: &str, request: &HeaderMap) -> ApiResult<Response> {
        let name = path.strip_prefix('/').unwrap_or(path);
        let found = self.files.iter().find(|(other, _)| *other == name);
        let (_, file) = found.ok_or(ApiError::RouteNotFound)?;
        file.respond(request, &self.large_work).await
    }
}
