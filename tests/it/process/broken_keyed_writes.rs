//! The methods of the failing store for writes with an idempotency key.

use async_trait::async_trait;
use jiff::Timestamp;
use post_api::domain::caller::Caller;
use post_api::domain::idempotency_key::IdempotencyKey;
use post_api::domain::post::{Post, PostContent, PostId};
use post_api::domain::user::NewUser;
use post_api::domain::vote::Vote;
use post_api::store::{ChangePost, CreateUser, KeyedWriteStore, Once, Result, VoteOutcome};

use super::server_errors::Broken;

#[async_trait]
impl KeyedWriteStore for Broken {
    async fn create_user_once(&self, _: NewUser, _: IdempotencyKey) -> Result<Once<CreateUser>> {
        self.fail()
    }
    async fn create_post_once(
        &self,
        _: Caller,
        _: PostContent,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<Post>> {
        self.fail()
    }
    async fn replace_post_once(
        &self,
        _: Caller,
        _: PostId,
        _: PostContent,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<ChangePost<Post>>> {
        self.fail()
    }
    async fn delete_post_once(
        &self,
        _: Caller,
        _: PostId,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<ChangePost<()>>> {
        self.fail()
    }
    async fn cast_vote_once(
        &self,
        _: Caller,
        _: Vote,
        _: IdempotencyKey,
        _: Timestamp,
    ) -> Result<Once<VoteOutcome>> {
        self.fail()
    }
}
