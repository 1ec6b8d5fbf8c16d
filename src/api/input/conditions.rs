//! The conditions of a request that changes a post: `If-Match` and `If-None-Match`.

use axum::http::HeaderName;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use serde_json::Value;
use utoipa::IntoParams;

use super::{FieldError, RequestFields};
use crate::api::entity_tag::text_part;
use crate::api::entity_tag_list::{EntityTag, EntityTagList};
use crate::api::error::ApiResult;
use crate::api::state::AppState;
use crate::domain::post::Precondition;

/// Maximum number of tags in a condition. A client has one for each version that it could mean.
const MAX_TAGS: usize = 20;

/// The headers in the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the description of Conditions")]
pub(in crate::api) struct ConditionHeaders {
    /// Entity tags of the post, or `*`: the change fails if the post has none of them. The votes in a
    /// tag are not compared.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,19})$"#)]
    if_match: Option<String>,
    /// Entity tags, or `*`: the change fails if the post has one of them.
    #[param(
        rename = "If-None-Match",
        pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,19})$"#
    )]
    if_none_match: Option<String>,
}

/// The conditions that a post must meet before its change. A request without the headers has no condition.
pub(in crate::api) struct Conditions {
    if_match: Option<EntityTagList>,
    if_none_match: Option<EntityTagList>,
}

impl RequestFields<'_> {
    /// Returns the conditions of the request. A malformed one is an error, because the client relies
    /// on it.
    pub(in crate::api) fn conditions(&mut self) -> Option<Conditions> {
        let if_match = self.tag_list("if-match", &IF_MATCH);
        let if_none_match = self.tag_list("if-none-match", &IF_NONE_MATCH);
        Some(Conditions { if_match: if_match?, if_none_match: if_none_match? })
    }

    #[expect(clippy::option_option, reason = "an error and an absent header are two things")]
    fn tag_list(
        &mut self,
        name: &'static str,
        header: &HeaderName,
    ) -> Option<Option<EntityTagList>> {
        let fields: Vec<_> = self.headers.get_all(header).iter().collect();
        let Some(first) = fields.first() else {
            return Some(None);
        };
        let sent = String::from_utf8_lossy(first.as_bytes()).into_owned();
        let list = EntityTagList::parse(fields).filter(|list| match list {
            EntityTagList::Any => true,
            EntityTagList::Listed(tags) => tags.len() <= MAX_TAGS,
        });
        let list = list.ok_or_else(|| {
            let reason = format!("should be * or 1 to {MAX_TAGS} entity tags");
            FieldError::value_error(format!("Value error, {reason}"), &reason)
        });
        self.record(["header", name], list, || Value::String(sent)).map(Some)
    }
}

impl Conditions {
    /// Returns the condition for the store. Returns `None` if every post meets it.
    ///
    /// # Errors
    /// Those of the store.
    pub(in crate::api) async fn precondition(
        self,
        app: &AppState,
    ) -> ApiResult<Option<Precondition>> {
        let is_unconditional =
            matches!(self, Self { if_match: None | Some(EntityTagList::Any), if_none_match: None });
        if is_unconditional {
            return Ok(None);
        }
        let tags = app.entity_tags().await?;
        Ok(Some(Precondition::new(move |post| self.are_met(&tags.of_text(post)))))
    }

    /// Whether a post with this text meets both conditions. Votes are not compared, because a change
    /// of a post does not touch them.
    fn are_met(&self, current: &str) -> bool {
        let is_current = |tag: &EntityTag| text_part(&tag.text) == current.as_bytes();
        let is_match = match &self.if_match {
            None | Some(EntityTagList::Any) => true,
            // The strong comparison (RFC 9110, 13.1.1): a weak tag names no text.
            Some(EntityTagList::Listed(tags)) => {
                tags.iter().any(|tag| !tag.is_weak && is_current(tag))
            }
        };
        let is_none_match = match &self.if_none_match {
            None => true,
            Some(EntityTagList::Any) => false,
            Some(EntityTagList::Listed(tags)) => !tags.iter().any(is_current),
        };
        is_match && is_none_match
    }
}
