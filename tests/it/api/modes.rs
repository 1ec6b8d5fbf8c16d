//! `COMPAT=reference`, and each of its settings by itself.

use post_api::domain::policy::{DraftVisibility, PasswordRules, Policy};
use serde_json::json;

use crate::support::{PASSWORD, TestApp, TestResponse};

/// The rules that an operator can relax; true means relaxed.
#[derive(Debug, PartialEq, Eq)]
struct RelaxedRules {
    drafts: bool,
    whole_list: bool,
    emails: bool,
    short_passwords: bool,
    common_passwords: bool,
}

/// Sends requests to find out which rules are relaxed.
async fn observe(policy: Policy) -> RelaxedRules {
    let app = TestApp::with(policy).await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    for _ in 0..100 {
        ada.write_post("post").await;
    }
    let sees_draft = bob.get(&format!("/posts/{draft}")).await.status == 200;
    assert_eq!(bob.vote(draft, 1).await.status == 201, sees_draft);
    let is_accepted = |email: &'static str, password: &'static str| {
        let app = &app;
        async move {
            let body = json!({"email": email, "password": password});
            app.anonymous().post("/users", &body).await.status == 201
        }
    };
    let list = bob.titles("/posts?search=post").await.len();
    let whole_list = bob.get("/posts?limit=100000").await.status == 200;
    assert_eq!(bob.get("/posts?skip=10001").await.status == 200, whole_list);
    assert_eq!(bob.titles("/posts").await.len() > 100, whole_list && sees_draft);
    assert_eq!(list, 100);
    RelaxedRules {
        drafts: sees_draft,
        whole_list,
        emails: !app.anonymous().get(&format!("/users/{}", ada.id)).await.json()["email"].is_null(),
        short_passwords: is_accepted("short@example.com", "jx7 qv").await,
        common_passwords: is_accepted("common@example.com", "password123").await,
    }
}

const STRICT: RelaxedRules = RelaxedRules {
    drafts: false,
    whole_list: false,
    emails: false,
    short_passwords: false,
    common_passwords: false,
};

#[tokio::test]
async fn default_policy_is_strict() {
    assert_eq!(observe(Policy::default()).await, STRICT);
}

#[tokio::test]
async fn reference_policy_relaxes_every_rule() {
    let relaxed = RelaxedRules {
        drafts: true,
        whole_list: true,
        emails: true,
        short_passwords: true,
        common_passwords: true,
    };
    assert_eq!(observe(Policy::reference()).await, relaxed);
}

#[tokio::test]
async fn visible_drafts_relaxes_only_drafts() {
    let policy = Policy { draft_visibility: DraftVisibility::Visible, ..Policy::default() };
    assert_eq!(observe(policy).await, RelaxedRules { drafts: true, ..STRICT });
}

#[tokio::test]
async fn disabled_list_limit_relaxes_only_lists() {
    let policy = Policy { posts_default_limit: None, ..Policy::default() };
    assert_eq!(observe(policy).await, RelaxedRules { whole_list: true, ..STRICT });
}

#[tokio::test]
async fn public_emails_relaxes_only_emails() {
    let policy = Policy { public_emails: true, ..Policy::default() };
    assert_eq!(observe(policy).await, RelaxedRules { emails: true, ..STRICT });
}

#[tokio::test]
async fn zero_minimum_length_relaxes_only_short_passwords() {
    let passwords =
        PasswordRules { minimum_length: 0, blocklist: true, forbidden_words: Vec::new() };
    let policy = Policy { passwords, ..Policy::default() };
    assert_eq!(observe(policy).await, RelaxedRules { short_passwords: true, ..STRICT });
}

#[tokio::test]
async fn disabled_blocklist_relaxes_only_common_passwords() {
    let passwords =
        PasswordRules { minimum_length: 8, blocklist: false, forbidden_words: Vec::new() };
    let policy = Policy { passwords, ..Policy::default() };
    assert_eq!(observe(policy).await, RelaxedRules { common_passwords: true, ..STRICT });
}

/// The rule applies to sign-up and to password changes. Existing passwords stay valid.
#[tokio::test]
async fn password_with_forbidden_word_is_rejected() {
    let refused = |response: TestResponse| {
        let detail = response.expect(422).json()["detail"][0].clone();
        assert_eq!(
            detail["msg"],
            "Value error, this password contains a word that is easily guessed here"
        );
        assert_eq!(detail["input"], "**********");
    };
    let mut policy = Policy::default();
    policy.passwords.forbidden_words = vec!["lantern".to_owned()];
    let strict = TestApp::with(policy).await;
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    refused(strict.anonymous().post("/users", &account).await);
    let account = json!({"email": "ada@example.com", "password": "94 moss anchors"});
    let response = strict.anonymous().post("/users", &account).await.expect(201);
    let ada = strict.with_token(&strict.token_for(response.json()["id"].as_i64().unwrap()));
    refused(ada.change_password("94 moss anchors", "Lantern 94 moss").await);
    ada.change_password("94 moss anchors", "95 moss anchors").await.expect(200);
}

/// Visible drafts are listed like other posts. Only their owner can change them.
#[tokio::test]
async fn visible_draft_is_listed_and_changed_only_by_its_owner() {
    let app = TestApp::with(Policy::reference()).await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    let path = format!("/posts/{draft}");
    assert_eq!(bob.titles("/posts").await, ["draft"]);
    assert_eq!(bob.titles("/posts?published=false").await, ["draft"]);
    bob.put(&path, &json!({"title": "t", "content": "c"})).await.expect(403);
    bob.delete(&path).await.expect(403);
    assert_eq!(ada.titles("/posts").await, ["draft"]);
}

/// The security fixes that no setting relaxes.
#[tokio::test]
async fn reference_policy_keeps_security_fixes() {
    let app = TestApp::with(Policy::reference()).await;
    let (ada, ghost) = (app.signed_in("ada").await, app.signed_in("ghost").await);
    let empty = json!({"email": "empty@example.com", "password": ""});
    app.anonymous().post("/users", &empty).await.expect(201);
    app.log_in("empty@example.com", "").await.expect(422);
    ghost.delete("/users/me").await.expect(204);
    ghost.get("/posts").await.expect(401);
    ada.get("/posts?limit=-1").await.expect(422);
    assert!(ada.get("/posts?limit=0").await.expect(200).json().as_array().unwrap().is_empty());
    ada.get("/sqlalchemy").await.expect(404);
    let long = json!({"email": "long@example.com", "password": "x".repeat(4097)});
    app.anonymous().post("/users", &long).await.expect(422);
}
