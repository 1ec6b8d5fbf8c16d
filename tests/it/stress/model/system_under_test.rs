//! The service on both stores, which performs the steps of the model.

use std::marker::PhantomData;

use form_urlencoded::Serializer;
use proptest_state_machine::StateMachineTest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::policy_of;
use super::reference_model::{Mode, Model};
use super::step::{By, Condition, Draft, Page, Step, Update};
use crate::support::{Engine, Setup, TestApp, TestCaller, TestResponse};

/// An ID that no store assigns, for an item that the model never created.
const UNKNOWN_ID: i64 = 4_711_000;

/// The expected result is only the row counts: no orphaned post and no wrong vote count.
const INVARIANTS: &str = "
    SELECT 'users', CAST(count(*) AS TEXT) FROM users
    UNION ALL SELECT 'posts', CAST(count(*) AS TEXT) FROM posts
    UNION ALL SELECT 'votes', CAST(count(*) AS TEXT) FROM votes
    UNION ALL SELECT 'orphan', CAST(id AS TEXT) FROM posts
        WHERE owner_id NOT IN (SELECT id FROM users)
    UNION ALL SELECT 'wrong count', CAST(id AS TEXT) FROM posts
        WHERE coalesce((SELECT votes FROM vote_counts WHERE post_id = id), 0)
           <> coalesce((SELECT sum(dir) FROM votes WHERE post_id = id), 0)";

pub(super) struct BothServices<M> {
    runtime: Runtime,
    services: Vec<ServiceUnderTest>,
    mode: PhantomData<M>,
}

impl<M: Mode> StateMachineTest for BothServices<M> {
    type SystemUnderTest = Self;
    type Reference = Model<M>;

    fn init_test(_: &Model<M>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let services = Engine::ALL.map(|engine| {
            let policy = policy_of(M::IS_REFERENCE);
            let setup = Setup { engine, policy, ..Setup::default() };
            let app = runtime.block_on(TestApp::set_up(setup));
            ServiceUnderTest {
                engine,
                app,
                users: Vec::new(),
                posts: Vec::new(),
                tags: Vec::new(),
                tokens: Vec::new(),
            }
        });
        Self { runtime, services: services.into(), mode: PhantomData }
    }

    fn apply(mut both: Self, model: &Model<M>, step: Step) -> Self {
        for service in &mut both.services {
            if let Step::MoveClock { seconds } = step {
                service.app.clock.advance(seconds);
                continue;
            }
            let (key, write) = match &step {
                Step::Keyed { key, step } => (Some(format!("key-{key}")), &**step),
                step => (None, step),
            };
            let response = both.runtime.block_on(service.perform(write, key.as_deref(), model));
            let context = format!("{:?}: {step:?}", service.engine);
            assert_eq!(response.status, model.response.status, "{context}: {response:?}");
            let is_replay = response.header("idempotent-replayed") == "true";
            assert_eq!(is_replay, model.response.is_replay, "{context}");
            if !is_replay {
                service.record_ids(write, &response, &context);
                both.runtime.block_on(service.record_tag(write, &response, model));
            }
            let expected = service.resolve(&model.response.body);
            if !expected.is_null() {
                assert_eq!(response.json(), expected, "{context}");
            }
        }
        both
    }

    fn check_invariants(both: &Self, model: &Model<M>) {
        for service in &both.services {
            let rows = service.app.query_pairs(INVARIANTS);
            let expected = [
                ("users".to_owned(), model.users.len().to_string()),
                ("posts".to_owned(), model.posts.len().to_string()),
                ("votes".to_owned(), model.votes.len().to_string()),
            ];
            assert_eq!(rows, expected, "{:?}", service.engine);
        }
    }
}

struct ServiceUnderTest {
    engine: Engine,
    app: TestApp,
    /// The IDs that the store assigned, in order.
    users: Vec<i64>,
    posts: Vec<i64>,
    /// The tags of the texts that each post has had.
    tags: Vec<Vec<String>>,
    tokens: Vec<String>,
}

impl ServiceUnderTest {
    async fn perform<M: Mode>(
        &self,
        step: &Step,
        key: Option<&str>,
        model: &Model<M>,
    ) -> TestResponse {
        let anonymous = self.app.anonymous();
        let by = |by: &By| {
            let mut caller = self.caller(*by, model);
            caller.key = key.map(str::to_owned);
            caller
        };
        match step {
            Step::SignUp { email, password } => {
                anonymous.post("/users", &json!({"email": email, "password": password})).await
            }
            Step::LogIn { email, password } => self.app.log_in(email, password).await,
            Step::MoveClock { .. } | Step::Keyed { .. } => unreachable!("not a request"),
            Step::GetMe { by: caller } => by(caller).get("/users/me").await,
            Step::ChangeName { by: caller, name } => {
                let body = json!({"name": name}).to_string();
                by(caller).send_raw("PATCH", "/users/me", "application/json", body).await
            }
            Step::ListMyVotes { by: caller, limit } => {
                let limit = limit.map(|limit| format!("?limit={limit}")).unwrap_or_default();
                by(caller).get(&format!("/users/me/votes{limit}")).await
            }
            Step::GetUser { by: caller, user, has_name } => {
                let query = if *has_name { "?include=name" } else { "" };
                by(caller).get(&format!("{}{query}", self.user_path(*user))).await
            }
            Step::DeleteMe { by: caller } => by(caller).delete("/users/me").await,
            Step::DeleteUser { by: caller, user } => {
                by(caller).delete(&self.user_path(*user)).await
            }
            Step::CreatePost { by: caller, post } => by(caller).post("/posts", &body(post)).await,
            Step::GetPost { by: caller, post, include } => {
                let path = self.post_path(*post);
                let path =
                    if include.is_empty() { path } else { format!("{path}?include={include}") };
                by(caller).get(&path).await
            }
            Step::ReplacePost { by: caller, post, with, condition } => {
                self.change(&by(caller), "PUT", *post, body(with).to_string(), *condition).await
            }
            Step::UpdatePost { by: caller, post, with, condition } => {
                self.change(&by(caller), "PATCH", *post, update(with).to_string(), *condition).await
            }
            Step::DeletePost { by: caller, post, condition } => {
                self.change(&by(caller), "DELETE", *post, String::new(), *condition).await
            }
            Step::ListPosts { by: caller, page } => by(caller).get(&list_path(page)).await,
            Step::Vote { by: caller, post, dir } => {
                by(caller).vote(number(&self.posts, *post), *dir).await
            }
        }
    }

    async fn change(
        &self,
        caller: &TestCaller<'_>,
        method: &str,
        post: usize,
        body: String,
        condition: Option<Condition>,
    ) -> TestResponse {
        let request = caller.request(method, &self.post_path(post));
        let request = request.header("content-type", "application/json");
        let tag = |text: usize| match self.tags.get(post) {
            Some(tags) => tags[text % tags.len()].clone(),
            None => "\"no-post\"".to_owned(),
        };
        let request = match condition {
            None => request,
            Some(Condition::MatchAny) => request.header("if-match", "*"),
            Some(Condition::Match(text)) => request.header("if-match", tag(text)),
            Some(Condition::NoneMatchAny) => request.header("if-none-match", "*"),
            Some(Condition::NoneMatch(text)) => request.header("if-none-match", tag(text)),
        };
        caller.send(request.body(body.into()).unwrap()).await
    }

    /// Records the tag of a new text. PUT returns none, so the post is read.
    async fn record_tag<M: Mode>(
        &mut self,
        step: &Step,
        response: &TestResponse,
        model: &Model<M>,
    ) {
        let (post, tag) = match (step, response.status.as_u16()) {
            (Step::CreatePost { .. }, 201) => {
                self.tags.push(Vec::new());
                (self.tags.len() - 1, response.header("etag").to_owned())
            }
            (Step::UpdatePost { post, .. }, 200) => (*post, response.header("etag").to_owned()),
            (Step::ReplacePost { by, post, .. }, 200) => {
                let read = self.caller(*by, model).get(&self.post_path(*post)).await.expect(200);
                (*post, read.header("etag").to_owned())
            }
            _ => return,
        };
        self.tags[post].push(tag);
    }

    fn caller<M: Mode>(&self, by: By, model: &Model<M>) -> TestCaller<'_> {
        match by {
            By::Anonymous => self.app.anonymous(),
            By::Garbage => self.app.with_token("garbage"),
            // Only a login issues tokens, so the model and the service agree on the index.
            By::Token(index) => match model.token(index) {
                Some(index) => self.app.with_token(&self.tokens[index]),
                None => self.app.anonymous(),
            },
        }
    }

    fn user_path(&self, user: usize) -> String {
        format!("/users/{}", number(&self.users, user))
    }

    fn post_path(&self, post: usize) -> String {
        format!("/posts/{}", number(&self.posts, post))
    }

    /// Records new tokens and IDs. An ID must be larger than all before it.
    fn record_ids(&mut self, step: &Step, response: &TestResponse, context: &str) {
        let (given, path) = match (step, response.status.as_u16()) {
            (Step::LogIn { .. }, 200) => {
                let login = response.json();
                assert_eq!(login["token_type"], "bearer", "{context}");
                self.tokens.push(login["access_token"].as_str().unwrap().to_owned());
                return;
            }
            (Step::SignUp { .. }, 201) => (&mut self.users, "/users"),
            (Step::CreatePost { .. }, 201) => (&mut self.posts, "/posts"),
            _ => return,
        };
        let id = response.json()["id"].as_i64().unwrap();
        assert!(given.last().is_none_or(|last| *last < id), "{context}: {id} after {given:?}");
        assert_eq!(response.header("location"), format!("{path}/{id}"), "{context}");
        given.push(id);
    }

    /// Replaces the model's references by the IDs of this store.
    fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.resolve_text(text),
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(members) => {
                let members = members.iter();
                members.map(|(name, value)| (name.clone(), self.resolve(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// A reference such as `post#3#` becomes a number if it is the whole text.
    fn resolve_text(&self, text: &str) -> Value {
        let mut resolved = String::new();
        let mut pieces = text.split('#');
        while let (Some(piece), index) = (pieces.next(), pieces.next()) {
            let Some(index) = index else {
                resolved.push_str(piece);
                break;
            };
            let index: usize = index.parse().unwrap();
            let (before, numbers) = match piece.strip_suffix("user") {
                Some(before) => (before, &self.users),
                None => (piece.strip_suffix("post").unwrap(), &self.posts),
            };
            let number = number(numbers, index);
            if before.is_empty() && text.ends_with('#') && resolved.is_empty() {
                return json!(number);
            }
            resolved.extend([before, &number.to_string()]);
        }
        json!(resolved)
    }
}

fn number(given: &[i64], index: usize) -> i64 {
    given.get(index).copied().unwrap_or(UNKNOWN_ID)
}

fn body(draft: &Draft) -> Value {
    let mut body = json!({"title": draft.title, "content": draft.content});
    if let Some(published) = draft.published {
        body["published"] = json!(published);
    }
    body
}

fn update(update: &Update) -> Value {
    let fields = [
        ("title", update.title.as_ref().map(|title| json!(title))),
        ("content", update.content.map(|content| json!(content))),
        ("published", update.published.map(|published| json!(published))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn list_path(page: &Page) -> String {
    let mut query = Serializer::new("/posts?".to_owned());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    };
    add("limit", page.limit.map(|limit| limit.to_string()));
    add("skip", page.skip.map(|skip| skip.to_string()));
    add("search", page.search.map(str::to_owned));
    add("published", page.published.map(|published| published.to_string()));
    add("sort", page.sort.map(str::to_owned));
    add("owner", page.is_own.then(|| "me".to_owned()));
    add("include", Some(page.include.to_owned()).filter(|include| !include.is_empty()));
    query.finish()
}
