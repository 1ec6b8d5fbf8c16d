//! The reference model: the service as a few maps in memory, without regard to speed, storage or
//! HTTP.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use jiff::Timestamp;
use proptest::strategy::{BoxedStrategy, Just, Strategy as _};
use proptest_state_machine::ReferenceStateMachine;
use serde_json::{Value, json};

use super::accounts::User;
use super::expected_response::{ExpectedResponse, Rejected, reject, respond};
use super::keys::Keys;
use super::post::Post;
use super::step::{By, Condition, Draft, Existing, Page, Step, step};

/// The lifetime of an access token.
pub(super) const TOKEN_LIFETIME_SECONDS: i64 = 30 * 60;

/// A mode of the service. A type, because the traits of `proptest_state_machine` take no values.
pub(super) trait Mode: Debug + Clone + 'static {
    const IS_REFERENCE: bool;
}

#[derive(Debug, Clone)]
pub(super) struct Default;

#[derive(Debug, Clone)]
pub(super) struct Reference;

impl Mode for Default {
    const IS_REFERENCE: bool = false;
}

impl Mode for Reference {
    const IS_REFERENCE: bool = true;
}

/// Users and posts are numbered in the order of their creation. `user#3#` in a response stands for
/// the ID that a store gave to user 3.
#[derive(Debug, Clone)]
pub(super) struct Model<M> {
    /// Microseconds since 1970.
    pub(super) now: i64,
    pub(super) users: BTreeMap<usize, User>,
    pub(super) posts: BTreeMap<usize, Post>,
    /// 1 or -1, by post and voter.
    pub(super) votes: BTreeMap<(usize, usize), i64>,
    pub(super) tokens: Vec<Token>,
    pub(super) keys: Keys,
    pub(super) users_created: usize,
    pub(super) posts_created: usize,
    /// The expected response to the last step.
    pub(super) response: ExpectedResponse,
    mode: PhantomData<M>,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) user: usize,
    /// Seconds since 1970.
    pub(super) expires: i64,
}

pub(super) fn time(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).unwrap().to_string()
}

impl<M: Mode> ReferenceStateMachine for Model<M> {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            now: 1_738_324_800_123_456,
            users: BTreeMap::new(),
            posts: BTreeMap::new(),
            votes: BTreeMap::new(),
            tokens: Vec::new(),
            keys: Keys::default(),
            users_created: 0,
            posts_created: 0,
            response: respond(200, Value::Null),
            mode: PhantomData,
        })
        .boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Step> {
        let tokens = 0..model.tokens.len();
        let account = |user: &User| (user.email.clone(), user.password.clone());
        step(&Existing {
            accounts: model.users.values().map(account).collect(),
            tokens: tokens.filter(|index| model.caller(By::Token(*index)).is_ok()).collect(),
            users: model.users.keys().copied().collect(),
            posts: model.posts.keys().copied().collect(),
            keyed: model.keys.sent().to_vec(),
        })
    }

    fn apply(mut model: Self, step: &Step) -> Self {
        model.response = model.perform(step).unwrap_or_else(|rejected| rejected);
        model
    }
}

impl<M: Mode> Model<M> {
    fn perform(&mut self, step: &Step) -> Result<ExpectedResponse, Rejected> {
        match step {
            Step::SignUp { email, password } => self.sign_up(email, password),
            Step::LogIn { email, password } => self.log_in(email, password),
            Step::MoveClock { seconds } => {
                self.now += seconds * 1_000_000;
                Ok(respond(200, Value::Null))
            }
            Step::GetMe { by } => self.get_me(*by),
            Step::ChangeName { by, name } => self.change_name(*by, *name),
            Step::ListMyVotes { by, limit } => self.list_my_votes(*by, *limit),
            Step::GetUser { by, user, has_name } => self.get_user(*by, *user, *has_name),
            Step::DeleteMe { by } => {
                let caller = self.caller(*by)?;
                self.delete_user(caller);
                Ok(respond(204, Value::Null))
            }
            Step::DeleteUser { by, user } => self.delete_account(*by, *user),
            Step::CreatePost { by, post } => self.create_post(*by, post),
            Step::GetPost { by, post, include } => {
                let caller = self.caller(*by)?;
                if !self.is_visible(*post, caller) {
                    return Err(reject(
                        404,
                        format!("the post with the id:post#{post}# was no found"),
                    ));
                }
                let shown = self.show_post_with_votes(*post);
                Ok(respond(200, self.with_parts(shown, *post, caller, include)))
            }
            Step::ReplacePost { by, post, with, condition } => {
                self.check_change(*by, *post, *condition)?;
                let published = Some(with.published.unwrap_or(true));
                let replaced = self.posts.get_mut(post).unwrap();
                replaced.update(Some(&with.title), Some(with.content), published);
                Ok(respond(200, self.show_post(*post)))
            }
            Step::UpdatePost { by, post, with, condition } => {
                self.check_change(*by, *post, *condition)?;
                let updated = self.posts.get_mut(post).unwrap();
                updated.update(with.title.as_ref(), with.content, with.published);
                Ok(respond(200, self.show_post(*post)))
            }
            Step::DeletePost { by, post, condition } => {
                self.check_change(*by, *post, *condition)?;
                self.delete_post(*post);
                Ok(respond(204, Value::Null))
            }
            Step::ListPosts { by, page } => self.list_posts(*by, page),
            Step::Vote { by, post, dir } => self.vote(*by, *post, *dir),
            Step::Keyed { key, step: write } => {
                self.keys.record(step);
                self.perform_once(*key, write)
            }
        }
    }

    fn perform_once(&mut self, key: u8, step: &Step) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(step.by())?;
        if let Some(response) = self.keys.find(caller, key, step, self.now) {
            return Ok(response);
        }
        let response = self.perform(step)?;
        self.keys.keep(caller, key, step, &response, self.now);
        Ok(response)
    }

    /// Returns the index of the token among all that were issued.
    pub(super) fn token(&self, index: usize) -> Option<usize> {
        (!self.tokens.is_empty()).then(|| index % self.tokens.len())
    }

    pub(super) fn caller(&self, by: By) -> Result<usize, Rejected> {
        let index = match by {
            By::Anonymous => None,
            By::Garbage => return Err(reject(401, "Could not validate credentials")),
            By::Token(index) => self.token(index),
        };
        let index = index.ok_or_else(|| reject(401, "Not authenticated"))?;
        let token = &self.tokens[index];
        if token.expires > self.now.div_euclid(1_000_000) && self.users.contains_key(&token.user) {
            return Ok(token.user);
        }
        Err(reject(401, "Could not validate credentials"))
    }

    fn create_post(&mut self, by: By, post: &Draft) -> Result<ExpectedResponse, Rejected> {
        let owner = self.caller(by)?;
        let mut created = Post {
            owner,
            title: post.title.clone(),
            content: post.content.to_owned(),
            published: post.published.unwrap_or(true),
            created_at: self.now,
            texts: Vec::new(),
        };
        created.record_text();
        self.posts.insert(self.posts_created, created);
        self.posts_created += 1;
        Ok(respond(201, self.show_post(self.posts_created - 1)))
    }

    pub(super) fn is_visible(&self, post: usize, to: usize) -> bool {
        let visible = |post: &Post| post.published || post.owner == to || M::IS_REFERENCE;
        self.posts.get(&post).is_some_and(visible)
    }

    /// Checks that the caller can see the post and owns it, and then the condition.
    fn check_change(
        &self,
        by: By,
        post: usize,
        condition: Option<Condition>,
    ) -> Result<(), Rejected> {
        let caller = self.caller(by)?;
        if !self.is_visible(post, caller) {
            return Err(reject(404, "post with id does not exist"));
        }
        if self.posts[&post].owner != caller {
            return Err(not_owner());
        }
        if !self.posts[&post].meets(condition) {
            return Err(reject(412, "the post does not meet the condition"));
        }
        Ok(())
    }

    pub(super) fn delete_post(&mut self, post: usize) {
        self.posts.remove(&post);
        self.votes.retain(|(voted, _), _| *voted != post);
    }

    fn show_post(&self, post: usize) -> Value {
        let shown = &self.posts[&post];
        json!({
            "title": shown.title,
            "content": shown.content,
            "published": shown.published,
            "id": format!("post#{post}#"),
            "created_at": time(shown.created_at),
            "owner_id": format!("user#{}#", shown.owner),
        })
    }

    fn show_post_with_votes(&self, post: usize) -> Value {
        let votes: i64 =
            self.votes.iter().filter(|((voted, _), _)| *voted == post).map(|(_, dir)| dir).sum();
        json!({"Post": self.show_post(post), "votes": votes})
    }

    fn list_posts(&self, by: By, page: &Page) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        if page.limit > Some(1000) && !M::IS_REFERENCE {
            return Err(respond(422, Value::Null));
        }
        let is_searched = page.search.is_some_and(|text| !text.is_empty());
        if page.sort == Some("best") || (page.sort == Some("oldest") && is_searched) {
            return Err(respond(422, Value::Null));
        }
        let is_listed = |post: &Post| match page.published {
            _ if M::IS_REFERENCE => true,
            Some(false) => !post.published && post.owner == caller,
            _ => post.published,
        };
        let is_found = |post: &Post| {
            let searched: String = post.title.chars().take(1000).collect();
            searched.contains(page.search.unwrap_or_default())
        };
        let is_owned = |post: &Post| !page.is_own || post.owner == caller;
        let mut found: Vec<_> = self.posts.iter().collect();
        if page.sort != Some("oldest") {
            found.reverse();
        }
        found.retain(|(_, post)| is_listed(post) && is_found(post) && is_owned(post));
        let default = if M::IS_REFERENCE { usize::MAX } else { 100 };
        let limit = match page.limit {
            None | Some(1001..) => default,
            Some(limit) => usize::try_from(limit).unwrap(),
        };
        let shown = found.into_iter().skip(page.skip.unwrap_or(0)).take(limit);
        let show = |(post, _): (&usize, &Post)| {
            self.with_parts(self.show_post_with_votes(*post), *post, caller, page.include)
        };
        Ok(respond(200, shown.map(show).collect()))
    }

    fn vote(&mut self, by: By, post: usize, dir: i64) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        if !self.is_visible(post, caller) {
            return Err(reject(404, format!("Post with id: post#{post}# does not exist")));
        }
        let cast = self.votes.get(&(post, caller)).copied();
        let message = match (cast, dir) {
            (None, 0) => return Err(reject(404, "Vote does not exist")),
            (Some(cast), dir) if cast == dir => {
                let detail = format!("user user#{caller}# has already voted on post post#{post}#");
                return Err(reject(409, detail));
            }
            (Some(_), 0) => "successfully deleted vote",
            (Some(_), _) => "successfully changed vote",
            (None, _) => "successfully added vote",
        };
        if dir == 0 {
            self.votes.remove(&(post, caller));
        } else {
            self.votes.insert((post, caller), dir);
        }
        Ok(respond(201, json!({"message": message})))
    }
}

pub(super) fn not_owner() -> Rejected {
    reject(403, "not authorized to perform this action")
}
