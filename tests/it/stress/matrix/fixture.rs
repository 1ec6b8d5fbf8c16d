//! The database content on which the cells are tried, and its changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use post_api::domain::policy::{DraftVisibility, Policy};
use serde_json::{Value, json};

use super::callers::Caller;
use super::table::Target;
use crate::api::operations::Operation;
use crate::support::{
    Engine, Setup, TestApp, TestCaller, TestResponse, forge, forge_text, forge_with,
    forge_with_sha512,
};

/// The start of every test's clock, in seconds since 1970.
const NOW: i64 = 1_738_324_800;

const SECRET_TITLE: &str = "not for other eyes";

/// Returns every row of the service's tables: its name, and its other columns. Adds a row for each
/// post with a wrong vote count.
const ROWS: &str = "
    SELECT 'user/' || id, email || ' ' || password || ' ' || CAST(created_at AS TEXT) || ' '
        || CAST(tokens_valid_from AS TEXT)
        || ' ' || coalesce(name, '') || ' ' || coalesce(CAST(email_verified_at AS TEXT), '') FROM users
    UNION ALL
    SELECT 'post/' || id, title || ' ' || content || ' ' || CAST(published AS TEXT) || ' '
        || CAST(created_at AS TEXT) || ' ' || owner_id FROM posts
    UNION ALL
    SELECT 'vote/' || post_id || ',' || user_id, CAST(dir AS TEXT) FROM votes
    UNION ALL
    SELECT 'session/' || id, user_id || ' ' || CAST(used_at AS TEXT) FROM sessions
    UNION ALL
    SELECT 'wrong count/' || id, title FROM posts
     WHERE coalesce((SELECT votes FROM vote_counts WHERE post_id = id), 0)
        <> coalesce((SELECT sum(dir) FROM votes WHERE post_id = id), 0)";

pub(super) struct Fixture {
    pub(super) app: TestApp,
    /// Drafts and e-mails are visible to all (`COMPAT=reference`).
    pub(super) is_open: bool,
    owner: i64,
    /// From a login after the sign-out.
    owner_token: String,
    other: i64,
    deleted: i64,
    disabled: i64,
    public: i64,
    draft: i64,
    others: i64,
    owners_session: i64,
    others_session: i64,
    /// The rows at the last comparison.
    rows: RefCell<BTreeMap<String, String>>,
}

impl Fixture {
    pub(super) async fn build(engine: Engine, policy: Policy) -> Self {
        let is_reference = policy.draft_visibility == DraftVisibility::Visible;
        let app = TestApp::set_up(Setup { engine, policy, ..Setup::default() }).await;
        Self::populate(app, is_reference).await
    }

    /// Recreates the content in the same database, with new IDs.
    pub(super) async fn rebuild(self) -> Self {
        self.app.execute("DELETE FROM users");
        Self::populate(self.app, self.is_open).await
    }

    async fn populate(app: TestApp, is_open: bool) -> Self {
        let (owner, other) = (app.signed_in("owner").await, app.signed_in("other").await);
        let deleted = app.signed_in("deleted").await;
        let disabled = app.signed_in("disabled").await;
        let (public, draft) =
            (owner.write_post("public").await, owner.write_draft(SECRET_TITLE).await);
        let others = other.write_post("other's").await;
        other.vote(public, -1).await.expect(201);
        owner.vote(others, 1).await.expect(201);
        deleted.vote(public, 1).await.expect(201);
        deleted.delete("/users/me").await.expect(204);
        // Only the column: a revoked token is another caller.
        app.execute(&format!(
            "UPDATE users SET disabled_at = created_at WHERE id = {}",
            disabled.id
        ));
        owner.post("/logout", &json!({})).await.expect(204);
        let (owner, other, deleted, disabled) = (owner.id, other.id, deleted.id, disabled.id);
        let (owner_token, owners_session) = start_session(&app, "owner").await;
        let (_, others_session) = start_session(&app, "other").await;
        let rows = RefCell::new(rows(&app));
        Self {
            app,
            is_open,
            owner,
            owner_token,
            other,
            deleted,
            disabled,
            public,
            draft,
            others,
            owners_session,
            others_session,
            rows,
        }
    }

    pub(super) fn caller(&self, caller: Caller) -> TestCaller<'_> {
        self.token(caller).map_or_else(|| self.app.anonymous(), |token| self.app.with_token(&token))
    }

    fn token(&self, caller: Caller) -> Option<String> {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let valid_from = &claims_of(&self.owner_token)["valid_from"];
        let claims = json!({"user_id": self.owner, "exp": NOW + 600, "valid_from": valid_from});
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            forge(&header, &claims)
        };
        Some(match caller {
            Caller::Anonymous => return None,
            Caller::Malformed => "not.a.token".to_owned(),
            Caller::Expired => with("exp", json!(NOW)),
            Caller::NotYetValid => with("nbf", json!(NOW + 300)),
            Caller::WrongKey => {
                forge_with(&"x".repeat(64), &header.to_string(), &claims.to_string())
            }
            Caller::NoAlgorithm => {
                let token = forge_text(r#"{"alg":"none"}"#, &claims.to_string());
                token[..=token.rfind('.').unwrap()].to_owned()
            }
            Caller::OtherAlgorithm => forge_with_sha512(r#"{"alg":"HS512"}"#, &claims.to_string()),
            Caller::WrongClaims => with("user_id", json!(self.owner.to_string())),
            Caller::Deleted => self.app.token_for(self.deleted),
            Caller::Disabled => self.app.token_for(self.disabled),
            Caller::SignedOut => self.app.token_for(self.owner),
            Caller::SignedOutReferenceToken => {
                forge(&header, &json!({"user_id": self.owner, "exp": NOW + 600}))
            }
            Caller::Other => self.app.token_for(self.other),
            Caller::Owner => self.owner_token.clone(),
        })
    }

    /// Returns the ID of the target, for a path or a body.
    pub(super) fn id_of(&self, target: Target) -> String {
        match target {
            Target::Nothing => String::new(),
            Target::Public => self.public.to_string(),
            Target::Draft | Target::VisibleDraft => self.draft.to_string(),
            Target::Owner => self.owner.to_string(),
            Target::Other => self.other.to_string(),
            Target::OwnersSession => self.owners_session.to_string(),
            Target::OthersSession => self.others_session.to_string(),
            Target::Missing => "4711".to_owned(),
            Target::Impossible => "9".repeat(30),
        }
    }

    pub(super) async fn call(
        &self,
        operation: &Operation,
        target: Target,
        caller: Caller,
    ) -> TestResponse {
        let (caller, number) = (self.caller(caller), self.id_of(target));
        if operation.path.starts_with("/vote") {
            let body = format!(r#"{{"post_id": {number}, "dir": 1}}"#);
            return caller.send_raw("POST", &operation.path, "application/json", body).await;
        }
        operation.call(&caller, &number).await
    }

    /// Returns the changes since the last comparison: rows that were added (with `*` for a new ID),
    /// deleted or changed.
    pub(super) fn changes(&self) -> Vec<String> {
        let now = rows(&self.app);
        let before = self.rows.replace(now.clone());
        let mut changes = BTreeSet::new();
        for name in before.keys().chain(now.keys()) {
            let is_new_number = !name.starts_with("vote") && !before.contains_key(name);
            changes.insert(match (before.get(name), now.get(name)) {
                (None, _) if is_new_number => format!("+{}/*", name.split('/').next().unwrap()),
                (None, _) => format!("+{name}"),
                (_, None) => format!("-{name}"),
                (before, now) if before != now => format!("~{name}"),
                _ => continue,
            });
        }
        changes.into_iter().collect()
    }

    /// Returns the expected changes of a cell with the IDs of this fixture.
    pub(super) fn resolve_effect(&self, effect: &str) -> Vec<String> {
        let mut resolved = effect.to_owned();
        for (name, number) in [
            ("{owner}", self.owner),
            ("{other}", self.other),
            ("{public}", self.public),
            ("{draft}", self.draft),
            ("{others}", self.others),
            ("{owners_session}", self.owners_session),
            ("{others_session}", self.others_session),
        ] {
            resolved = resolved.replace(name, &number.to_string());
        }
        let mut names: Vec<String> = resolved.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Checks that neither head nor body contains the draft or an e-mail.
    pub(super) fn assert_nothing_leaks(response: &TestResponse, context: &str) {
        let text = format!("{:?} {}", response.headers, String::from_utf8_lossy(&response.body));
        for secret in [SECRET_TITLE, "owner@example.com"] {
            assert!(!text.contains(secret), "{context}: {text}");
        }
    }
}

/// Starts a session and returns its access token and its ID.
async fn start_session(app: &TestApp, name: &str) -> (String, i64) {
    let login = app.start_session(&format!("{name}@example.com")).await;
    let token = login["access_token"].as_str().unwrap().to_owned();
    let sessions = app.with_token(&token).get("/users/me/sessions").await.expect(200).json();
    (token, sessions[0]["id"].as_i64().unwrap())
}

fn claims_of(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

fn rows(app: &TestApp) -> BTreeMap<String, String> {
    app.query_pairs(ROWS).into_iter().collect()
}
