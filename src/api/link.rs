//! Pages of a list: the `Link` header (RFC 8288) with the cursors of the pages next to one, and the
//! position of a cursor that a client gives back.
//!
//! Not here: what a cursor contains, see `cursor.rs`.

use axum::http::HeaderValue;
use axum::http::header::LINK;
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{ApiError, ApiResult};
use super::input::{FieldError, ValidationError};
use super::state::AppState;
use crate::domain::caller::Caller;
use crate::domain::page::{Neighbours, Position};

/// All but the unreserved characters of RFC 3986, 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// If the parameters are longer than this, in bytes, only the link to the next page repeats them.
/// nginx accepts a response head of 4 KiB by default.
const MAX_REPEATED_BYTES: usize = 900;

/// A list of pages: its path, its parameters, and the name that its cursors are sealed with.
#[derive(Debug)]
pub(super) struct PagedList {
    path: &'static str,
    /// Encoded, without the cursor. Empty, or with a leading `?`.
    query: String,
    name: String,
}

impl PagedList {
    /// The parameters are those that the links repeat; a parameter without a value is left out.
    ///
    /// The name depends on all parameters that determine the entries and their order, and on no
    /// parameter that a client can change from page to page. A cursor is valid for one name.
    pub(super) fn new<'a>(
        path: &'static str,
        parameters: impl IntoIterator<Item = (&'a str, Option<String>)>,
        name: String,
    ) -> Self {
        let mut query = String::new();
        for (name, value) in parameters {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(name);
                query.push('=');
                query.extend(utf8_percent_encode(&value, ENCODED));
            }
        }
        Self { path, query, name }
    }

    /// Adds the `Link` header to the response with a page: `next`, `prev` and `first`, as far as
    /// they exist. The links are absolute paths, as in `Location`.
    ///
    /// # Errors
    /// Those of the store until it has returned the key of the database once.
    pub(super) async fn add_link(
        &self,
        app: &AppState,
        neighbours: Neighbours,
        response: &mut Response,
    ) -> ApiResult<()> {
        let is_long = self.query.len() > MAX_REPEATED_BYTES;
        let previous = neighbours.previous.filter(|_| !is_long);
        let keys = app.installation_keys.get(app.store.as_ref()).await?;
        let mut links = String::with_capacity(3 * (self.path.len() + self.query.len()) + 256);
        for (relation, position) in [("next", neighbours.next), ("prev", previous)] {
            if let Some(position) = position {
                let separator = if self.query.is_empty() { "?cursor=" } else { "&cursor=" };
                let cursor = keys.cursors.seal(&self.name, position)?;
                self.push_link(app, &mut links, &[separator, &cursor], relation);
            }
        }
        if !is_long {
            self.push_link(app, &mut links, &[], "first");
        }
        if !links.is_empty() {
            let links = HeaderValue::from_str(&links).map_err(ApiError::internal)?;
            response.headers_mut().insert(LINK, links);
        }
        Ok(())
    }

    fn push_link(&self, app: &AppState, links: &mut String, cursor: &[&str], relation: &str) {
        let start = if links.is_empty() { "<" } else { ", <" };
        for part in [start, &app.root_path, self.path, &self.query] {
            links.push_str(part);
        }
        links.extend(cursor.iter().copied());
        for part in [">; rel=\"", relation, "\""] {
            links.push_str(part);
        }
    }

    /// Returns the position of a cursor of this list.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for any other cursor.
    pub(super) async fn open_cursor(
        &self,
        app: &AppState,
        caller: Option<Caller>,
        cursor: &str,
    ) -> ApiResult<Position> {
        let keys = app.installation_keys.get(app.store.as_ref()).await?;
        if let Some(position) = keys.cursors.open(&self.name, cursor) {
            return Ok(position);
        }
        let reason = "the cursor is not one of this list";
        Err(reject_query(app, caller, "cursor", cursor, reason).await)
    }
}

/// Returns the error for a query parameter that the handler rejects. An invalid token takes
/// precedence over it.
pub(super) async fn reject_query(
    app: &AppState,
    caller: Option<Caller>,
    name: &'static str,
    value: &str,
    reason: &str,
) -> ApiError {
    if let Some(caller) = caller
        && let Err(error) = app.store.find_caller(caller).await
    {
        return error.into();
    }
    let error = FieldError::value_error(format!("Value error, {reason}"), reason);
    let location = vec!["query".into(), name.into()];
    ApiError::Invalid(vec![ValidationError::new(location, error, value.into())])
}
