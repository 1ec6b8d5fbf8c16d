//! The idempotency keys of the reference model.

use std::collections::BTreeMap;

use serde_json::json;

use super::expected_response::{ExpectedResponse, respond};
use super::step::Step;

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Number of sent steps that a later step can repeat.
const MAX_SENT: usize = 6;

#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// By user and key.
    kept: BTreeMap<(usize, u8), Kept>,
    /// The last steps that were sent with a key.
    sent: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Kept {
    request: String,
    response: ExpectedResponse,
    expires: i64,
}

impl Keys {
    /// Returns the steps that can be repeated.
    pub(super) fn sent(&self) -> &[Step] {
        &self.sent
    }

    pub(super) fn record(&mut self, step: &Step) {
        self.sent.push(step.clone());
        if self.sent.len() > MAX_SENT {
            self.sent.remove(0);
        }
    }

    /// Returns the response to a request whose key was used, if it is not to be executed.
    pub(super) fn find(
        &self,
        user: usize,
        key: u8,
        step: &Step,
        now: i64,
    ) -> Option<ExpectedResponse> {
        let kept = self.kept.get(&(user, key)).filter(|kept| kept.expires > now)?;
        if kept.request == request(step) {
            return Some(ExpectedResponse { is_replay: true, ..kept.response.clone() });
        }
        let reason = "this Idempotency-Key was used for another request";
        let error = json!({
            "type": "value_error", "loc": ["header", "idempotency-key"], "msg": reason,
            "input": null, "ctx": {"reason": reason},
        });
        Some(respond(422, json!({"detail": [error]})))
    }

    pub(super) fn keep(
        &mut self,
        user: usize,
        key: u8,
        step: &Step,
        response: &ExpectedResponse,
        now: i64,
    ) {
        let (request, response) = (request(step), response.clone());
        self.kept.insert((user, key), Kept { request, response, expires: now + DAY });
    }

    pub(super) fn delete_user(&mut self, user: usize) {
        self.kept.retain(|(owner, _), _| *owner != user);
    }
}

/// Returns what a step asks for, whichever token sends it and under whichever condition.
fn request(step: &Step) -> String {
    match step {
        Step::CreatePost { post, .. } => format!("create {}", post.values()),
        Step::ReplacePost { post, with, .. } => format!("replace {post} {}", with.values()),
        Step::UpdatePost { post, with, .. } => format!("update {post} {with:?}"),
        Step::DeletePost { post, .. } => format!("delete {post}"),
        Step::Vote { post, dir, .. } => format!("vote {post} {dir}"),
        other => panic!("{other:?} has no key"),
    }
}
