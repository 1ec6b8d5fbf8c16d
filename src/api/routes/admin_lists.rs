//! The lists of administrators: accounts, and the events of all accounts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::{IntoResponses, ToSchema};

use super::post_list_request::bounded_limit;
use crate::api::administrator::Administrator;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Valid;
use crate::api::input::{BodyKind, FromRequestFields, RequestFields};
use crate::api::json_response::{json_response_from, to_json};
use crate::api::link::PagedList;
use crate::api::responses::{
    ErrorBody, Failures, TokenErrors, ValidationErrors, serialize_timestamp,
};
use crate::api::state::AppState;
use crate::domain::administration::{AccountEvent, ListPage, Listed};
use crate::domain::caller::Caller;
use crate::domain::display_name::DisplayName;
use crate::domain::page::{Neighbours, Position};
use crate::domain::user::Account;

/// Entries in a page without `limit`.
const DEFAULT_LIMIT: u32 = 100;

/// About the bytes of an entry as JSON.
const ENTRY_BYTES: usize = 250;

/// The validated query for a list.
pub(in crate::api) struct AdminListRequest {
    limit: Option<u32>,
    /// Where the page begins, sealed.
    cursor: Option<String>,
}

impl FromRequestFields for AdminListRequest {
    const BODY: BodyKind = BodyKind::Ignored;

    fn read(request: &mut RequestFields<'_>) -> Option<Self> {
        let limit = request.query("limit", bounded_limit);
        let cursor = request.query_text("cursor").filter(|cursor| !cursor.is_empty());
        Some(Self { limit: limit?, cursor })
    }
}

/// The error of every operation for administrators.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the schema of the error table")]
pub(in crate::api) enum AdminErrors {
    /// The account is no administrator
    #[response(status = 403, example = json!({"detail": "not authorized to perform this action"}))]
    NotAdministrator(ErrorBody),
}

/// An account as an administrator sees it.
#[derive(Serialize, ToSchema)]
#[schema(title = "AdminUser")]
pub(in crate::api) struct AdminUser {
    id: i64,
    #[schema(example = "ada@example.com")]
    email: String,
    /// The display name.
    #[schema(required = true)]
    name: Option<String>,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When an operator disabled the account. Null if it is not disabled.
    #[serde(serialize_with = "serialize_optional_timestamp")]
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    disabled_at: Option<Timestamp>,
    /// Whether the account is an administrator.
    is_admin: bool,
}

impl From<Account> for AdminUser {
    fn from(Account { user, disabled_at, is_admin }: Account) -> Self {
        Self {
            id: user.id.0,
            email: user.email.as_str().to_owned(),
            name: user.name.as_ref().map(DisplayName::as_str).map(str::to_owned),
            created_at: user.created_at,
            disabled_at,
            is_admin,
        }
    }
}

/// An event of any account.
#[derive(Serialize, ToSchema)]
#[schema(title = "AdminEvent")]
pub(in crate::api) struct AdminEvent {
    id: i64,
    /// The account of the event.
    user_id: i64,
    /// The kind, as in `GET /users/me/events`.
    #[schema(example = "logged_in")]
    event: &'static str,
    #[serde(serialize_with = "serialize_timestamp")]
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The client IP of the request. Null for an operator's command.
    #[schema(example = "203.0.113.9", required = true)]
    client: Option<String>,
}

impl From<AccountEvent> for AdminEvent {
    fn from(AccountEvent { id, user_id, event }: AccountEvent) -> Self {
        let client = event.client.map(|client| client.to_string());
        Self { id, user_id: user_id.0, event: event.kind.name(), at: event.at, client }
    }
}

#[expect(clippy::ref_option, reason = "serde gives this type")]
fn serialize_optional_timestamp<S: Serializer>(
    timestamp: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match timestamp {
        Some(timestamp) => serialize_timestamp(timestamp, serializer),
        None => serializer.serialize_none(),
    }
}

/// List all accounts
///
/// Lists the accounts with their e-mails, newest first. Only for administrators.
#[utoipa::path(
    get, path = "/admin/users", operation_id = "adminListUsers", tag = "Administration",
    params(
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 1000,
            description = "Maximum number of accounts. Without it 100"),
        ("cursor" = Option<String>, Query,
            description = "The position of a page, from a link of this list"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<AdminUser>,
            headers(("Link" = String,
                description = "The next and the first page (RFC 8288), as paths. The last page has \
                    no `next`"))),
        TokenErrors, AdminErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_users(
    State(app): State<Arc<AppState>>,
    Administrator(caller): Administrator,
    Valid(request): Valid<AdminListRequest>,
) -> ApiResult<Response> {
    let list = request.list("/admin/users", "accounts");
    let page = request.page(&app, caller, &list).await?;
    let listed = app.store.list_accounts(caller, page).await?;
    respond::<_, AdminUser>(&app, &list, page, listed).await
}

/// List the events of all accounts
///
/// Lists the security events of all accounts, newest first. The service keeps at most 150 events of
/// an account, and those of a deleted account are deleted. Only for administrators.
#[utoipa::path(
    get, path = "/admin/events", operation_id = "adminListEvents", tag = "Administration",
    params(
        ("limit" = Option<u32>, Query, minimum = 0, maximum = 1000,
            description = "Maximum number of events. Without it 100"),
        ("cursor" = Option<String>, Query,
            description = "The position of a page, from a link of this list"),
    ),
    responses(
        (status = 200, description = "Successful Response", body = Vec<AdminEvent>,
            headers(("Link" = String,
                description = "The next and the first page (RFC 8288), as paths. The last page has \
                    no `next`"))),
        TokenErrors, AdminErrors, ValidationErrors, Failures
    ),
    security(("OAuth2PasswordBearer" = []))
)]
pub(in crate::api) async fn list_events(
    State(app): State<Arc<AppState>>,
    Administrator(caller): Administrator,
    Valid(request): Valid<AdminListRequest>,
) -> ApiResult<Response> {
    let list = request.list("/admin/events", "events of all accounts");
    let page = request.page(&app, caller, &list).await?;
    let listed = app.store.list_all_events(caller, page).await?;
    respond::<_, AdminEvent>(&app, &list, page, listed).await
}

impl AdminListRequest {
    fn list(&self, path: &'static str, name: &str) -> PagedList {
        let limit = self.limit.map(|limit| limit.to_string());
        PagedList::new(path, [("limit", limit)], name.to_owned())
    }

    async fn page(&self, app: &AppState, caller: Caller, list: &PagedList) -> ApiResult<ListPage> {
        let before = match &self.cursor {
            Some(cursor) => Some(list.open_cursor(app, Some(caller), cursor).await?.id),
            None => None,
        };
        Ok(ListPage { before, limit: self.limit.unwrap_or(DEFAULT_LIMIT) })
    }
}

async fn respond<T: Send + 'static, Entry: From<T> + Serialize>(
    app: &AppState,
    list: &PagedList,
    page: ListPage,
    listed: Option<Listed<T>>,
) -> ApiResult<Response> {
    let Listed { entries, next } = listed.ok_or(ApiError::NotAdministrator)?;
    let bytes = entries.len() * ENTRY_BYTES;
    let serialize = move || {
        let entries = entries.into_iter().map(Entry::from).collect::<Vec<_>>();
        to_json(bytes, &entries)
    };
    let json = app.large_work.run(bytes, serialize).await?;
    let mut response = json_response_from(StatusCode::OK, json);
    if page.limit > 0 {
        let next = next.map(|id| Position { is_backward: false, key: 0, id });
        list.add_link(app, Neighbours { next, previous: None }, &mut response).await?;
    }
    Ok(response)
}
