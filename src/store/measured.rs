//! A store that measures another one: the time of each operation, and its errors.
//!
//! Not here: queues, batches and connections, see `sqlite/metrics.rs` and `postgres/metrics.rs`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    AdministrationStore, CallerStore, ChangeEmail, ChangePost, ChangeStore, CloseStore, CreateUser,
    DeleteUser, EventStore, InstallationStore, KeyedWriteStore, LoginFailureStore, Once, PostList,
    PostStore, QueueLengths, RankSource, RankingStore, Readiness, ReadinessStore, RecipientStore,
    Result, RotateSession, SessionStore, Store, StoreError, UserStore, VoteOutcome, VoteStore,
};
use crate::domain::administration::{AccountPage, DayCount, EventPage, ListPage, RowCounts};
use crate::domain::caller::Caller;
use crate::domain::change::{ChangePosition, ChangedPost, Changes, Listening};
use crate::domain::display_name::{DisplayName, NameChange};
use crate::domain::email::{Email, TypedEmail};
use crate::domain::event::Event;
use crate::domain::idempotency_key::IdempotencyKey;
use crate::domain::installation::InstallationKey;
use crate::domain::page::Page;
use crate::domain::policy::DraftVisibility;
use crate::domain::post::{Post, PostContent, PostId, PostUpdate, PostWithVotes, Precondition};
use crate::domain::ranking::RankedPost;
use crate::domain::recipient::Recipient;
use crate::domain::session::{NewSession, Rotation, Session, SessionId};
use crate::domain::user::{
    AccountKey, Credentials, NewUser, PasswordHash, TokensValidFrom, User, UserId,
};
use crate::domain::vote::{CastVote, Vote, VotePage};
use crate::metrics::{Collect, Counter, Histogram, LabeledCounters, STORE_SECONDS, Scrape, name};

/// A store whose operations are measured. It exists only if something asks for the metrics, so that
/// they cost nothing otherwise.
pub struct MeasuredStore {
    store: Arc<dyn Store>,
    durations: Durations,
    errors: LabeledCounters,
    replays: Counter,
}

impl MeasuredStore {
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let kinds = ["unavailable", "overloaded", "internal", "referenced", "unrepresentable"];
        Self {
            store,
            durations: Durations::default(),
            errors: LabeledCounters::new(kinds),
            replays: Counter::default(),
        }
    }

    /// Measures an operation to its end. One whose future is dropped has no duration.
    async fn measure<T>(
        &self,
        durations: &Histogram,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        let outcome = operation.await;
        durations.record_duration(started.elapsed());
        if let Err(error) = &outcome {
            self.count_error(error);
        }
        outcome
    }

    /// Like [`MeasuredStore::measure`]. Counts the outcome if an earlier request did the write.
    async fn measure_once<T>(
        &self,
        durations: &Histogram,
        operation: impl Future<Output = Result<Once<T>>>,
    ) -> Result<Once<T>> {
        let outcome = self.measure(durations, operation).await;
        if matches!(outcome, Ok(Once::Replayed(_))) {
            self.replays.increment();
        }
        outcome
    }

    fn count_error(&self, error: &StoreError) {
        self.errors.increment(match error {
            // A token that is no longer valid is no error of the store.
            StoreError::CallerRejected => return,
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Overloaded => "overloaded",
            StoreError::Internal(_) => "internal",
            StoreError::Referenced(_) => "referenced",
            StoreError::Unrepresentable(_) => "unrepresentable",
        });
    }
}

impl Collect for MeasuredStore {
    fn collect(&self, scrape: &mut Scrape<'_>) -> fmt::Result {
        scrape.histograms(&name::STORE_DURATION, self.durations.all())?;
        scrape.counters(&name::STORE_ERRORS, self.errors.values())?;
        scrape.counter(&name::IDEMPOTENT_REPLAYS, self.replays.value())?;
        self.store.collect(scrape)
    }
}

/// Implements the traits of the contract. Each operation has a histogram under its own name.
macro_rules! measured {
    ($(impl $store:ident by $measure:ident {
        $(fn $operation:ident($($argument:ident: $kind:ty),*) -> $outcome:ty;)+
    })+) => {
        struct Durations { $($($operation: Histogram,)+)+ }

        impl Default for Durations {
            fn default() -> Self {
                Self { $($($operation: Histogram::new(&STORE_SECONDS),)+)+ }
            }
        }

        impl Durations {
            fn all(&self) -> impl Iterator<Item = ([&'static str; 1], &Histogram)> {
                [$($(([stringify!($operation)], &self.$operation),)+)+].into_iter()
            }
        }

        $(#[async_trait]
        impl $store for MeasuredStore {
            $(async fn $operation(&self, $($argument: $kind),*) -> Result<$outcome> {
                let operation = self.store.$operation($($argument),*);
                self.$measure(&self.durations.$operation, operation).await
            })+
        })+
    };
}

measured! {
    impl CallerStore by measure {
        fn find_caller(caller: Caller) -> ();
    }

    impl AdministrationStore by measure {
        fn is_administrator(caller: Caller) -> bool;
        fn list_accounts(caller: Caller, page: ListPage) -> Option<AccountPage>;
        fn list_all_events(caller: Caller, page: ListPage) -> Option<EventPage>;
        fn count_all_rows() -> RowCounts;
        fn count_days(days: Vec<Timestamp>) -> Vec<DayCount>;
    }

    impl InstallationStore by measure {
        fn find_installation_key() -> InstallationKey;
    }

    impl UserStore by measure {
        fn create_user(user: NewUser) -> CreateUser;
        fn find_user(id: UserId) -> Option<User>;
        fn find_me(caller: Caller) -> User;
        fn find_credentials(email: TypedEmail) -> Option<Credentials>;
        fn find_own_credentials(caller: Caller) -> Credentials;
        fn upgrade_password_hash(id: UserId, old: PasswordHash, new: PasswordHash) -> ();
        fn change_password(
            caller: Caller, new: PasswordHash, now: Timestamp
        ) -> TokensValidFrom;
        fn change_email(
            caller: Caller, email: Email, name: NameChange, now: Timestamp
        ) -> ChangeEmail;
        fn change_name(caller: Caller, name: Option<DisplayName>) -> User;
        fn find_names(accounts: Vec<UserId>) -> HashMap<UserId, DisplayName>;
        fn sign_out(caller: Caller, now: Timestamp) -> ();
        fn delete_user(caller: Caller, id: UserId) -> DeleteUser;
    }

    impl RecipientStore by measure {
        fn find_recipient(email: TypedEmail) -> Option<Recipient>;
        fn find_recipient_by_id(id: UserId) -> Option<Recipient>;
        fn reset_password(recipient: Recipient, new: PasswordHash, now: Timestamp) -> bool;
        fn verify_email(recipient: Recipient, now: Timestamp) -> bool;
        fn find_me_verified(caller: Caller) -> (User, Option<Timestamp>);
    }

    impl SessionStore by measure {
        fn create_session(session: NewSession) -> Option<SessionId>;
        fn rotate_session(rotation: Rotation) -> RotateSession;
        fn list_sessions(caller: Caller, now: Timestamp) -> Vec<Session>;
        fn end_sessions(caller: Caller, id: Option<SessionId>) -> bool;
    }

    impl EventStore by measure {
        fn record_event(user: UserId, event: Event) -> ();
        fn list_events(caller: Caller) -> Vec<Event>;
    }

    impl LoginFailureStore by measure {
        fn count_login_failures(account: AccountKey, now: Timestamp) -> u32;
        fn record_login_failure(account: AccountKey, now: Timestamp) -> ();
        fn clear_login_failures(account: AccountKey) -> ();
    }

    impl PostStore by measure {
        fn create_post(caller: Caller, content: PostContent, created_at: Timestamp) -> Post;
        fn find_post(caller: Caller, id: PostId) -> Option<PostWithVotes>;
        fn list_posts(caller: Caller, page: Page) -> PostList;
        fn find_public_post(id: PostId) -> Option<PostWithVotes>;
        fn list_public_posts(page: Page) -> PostList;
        fn update_post(
            caller: Caller, id: PostId, update: PostUpdate, precondition: Option<Precondition>
        ) -> ChangePost<PostWithVotes>;
        fn delete_post(
            caller: Caller, id: PostId, precondition: Option<Precondition>
        ) -> ChangePost<()>;
    }

    impl RankingStore by measure {
        fn rank_posts(source: RankSource, drafts: DraftVisibility) -> Vec<RankedPost>;
    }

    impl VoteStore by measure {
        fn cast_vote(caller: Caller, vote: Vote) -> VoteOutcome;
        fn find_votes(caller: Caller, posts: Vec<PostId>) -> Vec<CastVote>;
        fn list_votes(caller: Caller, limit: u32, before: Option<PostId>) -> VotePage;
    }

    impl ChangeStore by measure {
        fn has_change_log() -> bool;
        fn listen_to_changes() -> Listening;
        fn read_changes(after: ChangePosition, limit: u32) -> Changes;
        fn find_changed_posts(ids: Vec<PostId>, drafts: DraftVisibility) -> Vec<ChangedPost>;
        fn forget_changes() -> ();
    }

    impl KeyedWriteStore by measure_once {
        fn create_user_once(user: NewUser, key: IdempotencyKey) -> Once<CreateUser>;
        fn create_post_once(
            caller: Caller, content: PostContent, key: IdempotencyKey, now: Timestamp
        ) -> Once<Post>;
        fn update_post_once(
            caller: Caller, id: PostId, update: PostUpdate, precondition: Option<Precondition>,
            key: IdempotencyKey, now: Timestamp
        ) -> Once<ChangePost<PostWithVotes>>;
        fn delete_post_once(
            caller: Caller, id: PostId, precondition: Option<Precondition>, key: IdempotencyKey,
            now: Timestamp
        ) -> Once<ChangePost<()>>;
        fn cast_vote_once(
            caller: Caller, vote: Vote, key: IdempotencyKey, now: Timestamp
        ) -> Once<VoteOutcome>;
    }

    impl ReadinessStore by measure {
        fn check_ready() -> Readiness;
    }
}

impl QueueLengths for MeasuredStore {
    fn queue_lengths(&self) -> Vec<(&'static str, usize)> {
        self.store.queue_lengths()
    }
}

#[async_trait]
impl CloseStore for MeasuredStore {
    async fn close(&self) {
        self.store.close().await;
    }
}
