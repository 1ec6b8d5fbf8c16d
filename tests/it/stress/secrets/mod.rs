//! Unique passwords, tokens and keys in every part of every operation, at the lowest log level and
//! while the store fails. None of them may appear in a response, in the log, in the metrics or in other
//! output, in any encoding. A display name may appear in responses only.
//!
//! Each search must also find a secret where it is expected, so that a search that finds nothing
//! fails.
//!
//! Not here: each shape of a rejected body, see `api::secrets`; HTTP/2, see `process::secrets`.

mod canary;
mod commands;
mod fixture;
mod requests;

use serde_json::json;

use self::canary::{Canary, Haystack};
use self::fixture::Fixture;
use self::requests::Secrets;
use super::budget::Budget;
use super::rng::Rng;
use crate::api::operations::Operation;
use crate::support::{Engine, METRICS, Metrics, Service, TestApp, TestResponse, forge_with};

/// The account with a damaged and then a weak hash.
const WEAK: &str = "weak@example.com";

/// Events that the log must have for this account.
const DAMAGED: &str = "password verification failed";
const NOT_UPGRADED: &str = "could not upgrade a password hash";

struct Canaries {
    /// The password of every account.
    password: Canary,
    wrong: Canary,
    /// A password where none is expected.
    stray: Canary,
    /// A secret where only letters and digits are allowed.
    word: Canary,
    key: Canary,
    database: Canary,
    /// The display name of every account. Responses show it, but the log must not.
    name: Canary,
    /// Signatures of valid and invalid tokens, refresh tokens, and stored hashes.
    generated: Vec<Canary>,
}

impl Canaries {
    fn generate(rng: &mut Rng) -> Self {
        Self {
            password: Canary::password("the password", rng),
            wrong: Canary::password("a wrong password", rng),
            stray: Canary::password("a stray password", rng),
            word: Canary::word("a stray secret", rng),
            key: Canary::password("the key", rng),
            database: Canary::password("the database's password", rng),
            name: Canary::password("a display name", rng),
            generated: Vec::new(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Canary> {
        [&self.password, &self.wrong, &self.stray, &self.word, &self.key, &self.database]
            .into_iter()
            .chain(&self.generated)
    }

    /// Like [`Canaries::assert_hidden`], for a text that users do not see.
    fn assert_not_logged(&self, source: &str, text: impl AsRef<[u8]>, seed: &str) {
        self.assert_hidden(source, &text, seed);
        let found = Haystack::new(&text).find([&self.name]);
        let text = String::from_utf8_lossy(text.as_ref());
        assert!(found.is_empty(), "{seed}: {source} shows {found:?}: {}", excerpt(&text));
    }

    fn assert_hidden(&self, source: &str, text: impl AsRef<[u8]>, seed: &str) {
        let haystack = Haystack::new(&text);
        let found = haystack.find(self.all());
        let text = String::from_utf8_lossy(text.as_ref());
        assert!(found.is_empty(), "{seed}: {source} shows {found:?}: {}", excerpt(&text));
        assert!(!text.contains("$argon2"), "{seed}: {source} shows a hash: {}", excerpt(&text));
    }
}

/// Shortens a text for a failure message, as a log may be long.
fn excerpt(text: &str) -> String {
    text.chars().take(4000).collect()
}

/// Sends requests and searches every response.
struct Campaign<'a> {
    service: &'a Service,
    canaries: Canaries,
    seed: &'a str,
    responses: usize,
}

struct Account {
    email: String,
    id: i64,
    post: i64,
    token: String,
    refresh: String,
    rejected: Vec<String>,
}

impl Campaign<'_> {
    fn send(&mut self, request: &str) -> Option<TestResponse> {
        // The requests have secrets in undocumented places too.
        let mut wire = self.service.connect().checked_by(None);
        wire.send(request);
        // The service may close the connection on invalid HTTP.
        let response = wire.try_read_response().ok()?;
        let output = format!("{:?}\n{}", response.headers, String::from_utf8_lossy(&response.body));
        self.canaries.assert_hidden(&format!("the response to {request}"), output, self.seed);
        self.responses += 1;
        Some(response)
    }

    fn get(&mut self, path: &str) -> TestResponse {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).unwrap()
    }

    fn sign_up(&mut self, email: &str) -> TestResponse {
        let body = json!({"email": email, "password": self.canaries.password.text}).to_string();
        // With a key, of which the database keeps a row for each sign-up.
        let head = "POST /users HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\n\
                    content-type: application/json\r\n";
        self.send(&format!("{head}content-length: {}\r\n\r\n{body}", body.len())).unwrap()
    }

    fn send_wrong_password(&mut self, email: &str) -> TestResponse {
        let request = log_in(email, &self.canaries.wrong);
        self.send(&request).unwrap()
    }

    fn log_in(&mut self, email: &str) -> TestResponse {
        let request = log_in(email, &self.canaries.password);
        self.send(&request).unwrap()
    }

    /// Rotates the refresh token and returns its successor.
    fn refresh_once(&mut self, token: &str) -> String {
        let request = send_form(&format!("grant_type=refresh_token&refresh_token={token}"));
        refresh_token(&self.send(&request).unwrap().expect(200))
    }

    /// Adds a secret to the searches from here on.
    fn add_canary(&mut self, name: &str, text: &str) {
        self.canaries.generated.push(Canary::from_text(name, text));
    }

    /// Creates an account with a post, and its tokens. The responses that show a token are searched
    /// before the token becomes a canary: all refresh tokens of a session share a part.
    fn create_account(&mut self, rng: &mut Rng) -> Account {
        let email = format!("{:016x}@example.com", rng.next());
        let id = self.sign_up(&email).expect(201).json()["id"].as_i64().unwrap();
        self.send_wrong_password(&email).expect(403);
        let login = self.log_in(&email).expect(200);
        let token = login.json()["access_token"].as_str().unwrap().to_owned();
        let first = refresh_token(&login);
        let second = self.refresh_once(&first);
        let refresh = self.refresh_once(&second);
        for token in [&first, &second, &refresh] {
            self.add_canary("a refresh token", token);
        }
        // Reuse ends the session, as the successor was rotated too.
        let again = send_form(&format!("grant_type=refresh_token&refresh_token={first}"));
        self.send(&again).unwrap().expect(400);
        let name = json!({"name": self.canaries.name.text});
        let named = self.service.connect().call("PATCH", "/users/me", &token, Some(&name)).unwrap();
        assert_eq!(named.expect(200).json()["name"], name["name"], "{}", self.seed);
        let post = json!({"title": "a title", "content": "text"});
        let post = self.service.connect().call("POST", "/posts", &token, Some(&post)).unwrap();
        let post = post.expect(201).json()["id"].as_i64().unwrap();
        let (header, claims) = (r#"{"alg":"HS256"}"#, format!(r#"{{"user_id":{id},"exp":1}}"#));
        let other = "k".repeat(64);
        let rejected =
            [&self.canaries.key.text, &other].map(|key| forge_with(key, header, &claims));
        for token in [&token].into_iter().chain(&rejected) {
            self.add_canary("a token's signature", token.rsplit('.').next().unwrap());
        }
        Account { email, id, post, token, refresh, rejected: rejected.to_vec() }
    }

    fn attack(&mut self, operation: &Operation, rng: &mut Rng) {
        let account = self.create_account(rng);
        let id = if operation.path.starts_with("/users") { account.id } else { account.post };
        let secrets = Secrets {
            password: &self.canaries.password,
            stray: &self.canaries.stray,
            word: &self.canaries.word,
            token: &account.token,
            refresh: &account.refresh,
            rejected: &account.rejected,
            email: &account.email,
        };
        let path = operation.path_to(&id.to_string());
        for request in requests::requests(operation, &path, &secrets) {
            self.send(&request);
        }
    }
}

fn log_in(email: &str, password: &Canary) -> String {
    let scope = "scope=offline_access";
    send_form(&format!("username={email}&password={}&{scope}", password.encoded()))
}

fn refresh_token(response: &TestResponse) -> String {
    response.json()["refresh_token"].as_str().unwrap().to_owned()
}

fn send_form(form: &str) -> String {
    format!(
        "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    )
}

fn operations() -> Vec<Operation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Operation::all(&TestApp::start().await).await })
}

/// Runs the whole campaign with the log in this format, at the lowest level.
fn assert_no_secret_is_revealed(mut budget: Budget, engine: Engine, format: &str) {
    let operations = operations();
    let (mut responses, mut logged) = (0, 0);
    while let Some(seed) = budget.next_round() {
        let (name, rng) = (budget.name_round(), &mut Rng::new(seed));
        let canaries = Canaries::generate(rng);
        let mut fixture = Fixture::new(engine, &canaries.key, &canaries.database);
        if format == "json" {
            fixture.move_settings_to_a_file();
        }
        let settings = [("LOG_LEVEL", "trace"), ("LOG_FORMAT", format), ("ACCESS_LOG", "on")];
        let mut service = fixture.serve(&[&settings[..], &[METRICS]].concat());
        let mut campaign = Campaign { service: &service, canaries, seed: &name, responses: 0 };
        for operation in &operations {
            campaign.attack(operation, rng);
        }
        for path in ["/openapi.json", "/docs", "/redoc", "/readyz", "/livez", "/users/1"] {
            campaign.get(path).expect(200);
        }
        campaign.get("/a-path-that-is-logged").expect(404);
        let hashes = fixture.hashes();
        assert!(!hashes.is_empty(), "{name}");
        let hashes = hashes.iter().map(|hash| hash.rsplit('$').next().unwrap());
        campaign.canaries.generated.extend(hashes.map(|hash| Canary::from_text("a hash", hash)));
        damage_account(&mut campaign, &fixture, rng);
        fail_store(&mut campaign, &fixture);
        let Campaign { canaries, responses: searched, .. } = campaign;
        let metrics = Metrics::of(&service).0;
        assert!(metrics.contains("http_route=\"/posts/{id}\""), "{name}: {metrics}");
        canaries.assert_not_logged("the metrics", metrics, &name);
        service.terminate();
        assert!(service.wait().success());

        let output = service.final_stderr();
        for text in
            ["/a-path-that-is-logged", "token rejected", "request failed", DAMAGED, NOT_UPGRADED]
        {
            assert!(output.contains(text), "{name}: no {text} in {}", excerpt(&output));
        }
        canaries.assert_not_logged("the log", &output, &name);
        canaries.assert_not_logged("standard output", fixture.output(), &name);
        let stored = Haystack::new(fixture.stored_bytes());
        let is_not_hash = |canary: &&Canary| canary.name != "a hash";
        assert_eq!(
            stored.find(canaries.all().filter(is_not_hash)),
            [""; 0],
            "{name}: the database"
        );
        let hashes = canaries.generated.iter().filter(|canary| canary.name == "a hash");
        assert!(!stored.find(hashes).is_empty(), "{name}: the search does not find a stored hash");
        assert!(
            !stored.find([&canaries.name]).is_empty(),
            "{name}: the search finds no stored name"
        );
        responses += searched;
        logged += output.len();
    }
    budget.report("rounds", budget.rounds());
    budget.report("responses searched", responses);
    budget.report("bytes of log searched", logged);
}

/// Creates an account, stores a password instead of its hash, and then a hash that needs a rehash.
fn damage_account(campaign: &mut Campaign<'_>, fixture: &Fixture, rng: &mut Rng) {
    campaign.sign_up(WEAK).expect(201);
    let planted = Canary::password("a hash", rng);
    fixture.store_as_hash(WEAK, &planted.text);
    campaign.canaries.generated.push(planted);
    campaign.log_in(WEAK).expect(403);
    let weak = bcrypt::hash_with_salt(&campaign.canaries.password.text, 4, [7; 16]).unwrap();
    let weak = weak.to_string();
    fixture.store_as_hash(WEAK, &weak);
    campaign.canaries.generated.push(Canary::from_text("a hash", weak.rsplit('$').next().unwrap()));
}

/// Lets the store fail during requests with secrets.
fn fail_store(campaign: &mut Campaign<'_>, fixture: &Fixture) {
    fixture.assert_server_log_has_no_secret(&campaign.canaries, campaign.seed);
    for &failure in fixture.failures() {
        fixture.start_failure(failure);
        let response = campaign.sign_up("rejected@example.com");
        assert!(response.status.is_server_error(), "{}: {response:?}", campaign.seed);
        campaign.send_wrong_password("rejected@example.com");
        campaign.log_in(WEAK);
        campaign.get("/readyz");
        fixture.end_failure(failure, campaign.service);
    }
}

#[test]
#[ignore = "scripts/stress runs it: the other tests have each store and each format"]
fn secrets_are_not_revealed_on_sqlite_with_text_log() {
    assert_no_secret_is_revealed(Budget::new("secrets, embedded, text", 1), Engine::Sqlite, "text");
}

#[test]
fn secrets_are_not_revealed_on_sqlite_with_json_log() {
    assert_no_secret_is_revealed(Budget::new("secrets, embedded, JSON", 1), Engine::Sqlite, "json");
}

#[test]
fn secrets_are_not_revealed_on_postgresql_with_text_log() {
    assert_no_secret_is_revealed(
        Budget::new("secrets, PostgreSQL, text", 1),
        Engine::Postgres,
        "text",
    );
}

#[test]
#[ignore = "scripts/stress runs it: the other tests have each store and each format"]
fn secrets_are_not_revealed_on_postgresql_with_json_log() {
    assert_no_secret_is_revealed(
        Budget::new("secrets, PostgreSQL, JSON", 1),
        Engine::Postgres,
        "json",
    );
}
