//! `PATCH /users/me` with a name, and where the name is shown

use serde_json::{Value, json};

use super::token;
use crate::support::{Engine, PASSWORD, Setup, TestApp, TestCaller, TestResponse};

async fn patch(caller: &TestCaller<'_>, body: &Value) -> TestResponse {
    caller.send_raw("PATCH", "/users/me", "application/json", body.to_string()).await
}

#[tokio::test]
async fn name_is_changed_without_a_password_and_keeps_tokens_valid() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let ada = app.signed_in("ada").await;
        let mut expected = ada.get("/users/me").await.expect(200).json();
        assert_eq!(expected["name"], Value::Null);
        for (name, shown) in [
            (json!("Ada"), json!("Ada")),
            (json!("  Ada Lovelace \n"), json!("Ada Lovelace")),
            (
                json!("\u{5d0}\u{200f}\u{1f469}\u{200d}\u{1f52c}"),
                json!("\u{5d0}\u{200f}\u{1f469}\u{200d}\u{1f52c}"),
            ),
            (json!("\u{1d538}".repeat(64)), json!("\u{1d538}".repeat(64))),
            (Value::Null, Value::Null),
        ] {
            expected["name"] = shown;
            let changed = patch(&ada, &json!({"name": name})).await.expect(200);
            assert_eq!(changed.json(), expected);
            assert_eq!(ada.get("/users/me").await.expect(200).json(), expected);
        }
        // Without an e-mail the password is ignored, also a wrong one.
        patch(&ada, &json!({"name": "Ada", "current_password": "wrong"})).await.expect(200);
    }
}

#[tokio::test]
async fn name_and_email_are_changed_together_or_not_at_all() {
    let app = TestApp::start().await;
    let (ada, _bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let change = json!({"name": "Ada", "email": "bob@example.com", "current_password": PASSWORD});
    patch(&ada, &change).await.expect(409);
    let change = json!({"name": "Ada", "email": "countess@example.com", "current_password": "no"});
    patch(&ada, &change).await.expect(403);
    let change = json!({"name": "Ada", "email": "countess@example.com"});
    let rejected = patch(&ada, &change).await.expect(422).json();
    assert_eq!(rejected["detail"][0]["loc"], json!(["body", "current_password"]));
    assert_eq!(ada.get("/users/me").await.expect(200).json()["name"], Value::Null);
    let change =
        json!({"name": "Ada", "email": "countess@example.com", "current_password": PASSWORD});
    let changed = patch(&ada, &change).await.expect(200);
    assert_eq!(changed.json()["name"], "Ada");
    let again = app.with_token(&token(&changed));
    ada.get("/users/me").await.expect(401);
    let me = again.get("/users/me").await.expect(200).json();
    assert_eq!((&me["name"], &me["email"]), (&json!("Ada"), &json!("countess@example.com")));
    // A change of the e-mail alone keeps the name.
    let change = json!({"email": "ada@example.org", "current_password": PASSWORD});
    assert_eq!(patch(&again, &change).await.expect(200).json()["name"], "Ada");
}

#[tokio::test]
async fn invalid_name_is_rejected_with_its_reason() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (name, kind, message, context) in [
        (
            json!(""),
            "string_too_short",
            "String should have at least 1 character",
            json!({"min_length": 1}),
        ),
        (
            json!(" \t"),
            "string_too_short",
            "String should have at least 1 character",
            json!({"min_length": 1}),
        ),
        (
            json!("x".repeat(65)),
            "string_too_long",
            "String should have at most 64 characters",
            json!({"max_length": 64}),
        ),
        (
            json!("a\u{0}b"),
            "value_error",
            "Value error, a name must not contain control characters",
            json!({"reason": "a name must not contain control characters"}),
        ),
        (
            json!("a\u{202e}b"),
            "value_error",
            "Value error, a name must not contain control characters",
            json!({"reason": "a name must not contain control characters"}),
        ),
        (json!(7), "string_type", "Input should be a valid string", Value::Null),
        (json!(["Ada"]), "string_type", "Input should be a valid string", Value::Null),
    ] {
        let rejected = patch(&ada, &json!({"name": name})).await.expect(422).json();
        let error = &rejected["detail"][0];
        assert_eq!(error["loc"], json!(["body", "name"]), "{name}");
        assert_eq!((&error["type"], &error["msg"]), (&json!(kind), &json!(message)), "{name}");
        assert_eq!(error["ctx"], context, "{name}");
    }
    // All fields of a change of the e-mail are checked at once.
    let rejected = patch(&ada, &json!({"name": "", "email": "x"})).await.expect(422).json();
    let places = rejected["detail"].as_array().unwrap().iter().map(|error| error["loc"][1].clone());
    assert_eq!(places.collect::<Vec<_>>(), ["email", "current_password", "name"]);
    assert_eq!(ada.get("/users/me").await.expect(200).json()["name"], Value::Null);
}

#[tokio::test]
async fn change_without_a_name_is_a_change_of_the_email() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for body in [json!({}), json!({"unknown": "Ada"})] {
        let rejected = patch(&ada, &body).await.expect(422).json();
        let places = rejected["detail"].as_array().unwrap().iter();
        let places = places.map(|error| (error["type"].clone(), error["loc"][1].clone()));
        let missing = |name: &str| (json!("missing"), json!(name));
        assert_eq!(places.collect::<Vec<_>>(), [missing("email"), missing("current_password")]);
    }
}

#[tokio::test]
async fn name_of_an_account_is_shown_only_if_it_is_asked_for() {
    for engine in Engine::ALL {
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
        patch(&ada, &json!({"name": "Ada"})).await.expect(200);
        let path = format!("/users/{}", ada.id);
        for caller in [&ada, &bob, &app.anonymous()] {
            let plain = caller.get(&path).await.expect(200);
            assert!(!plain.text().contains("name"), "{}", plain.text());
            for query in ["include=name", "include=name&include=name", "include=,name"] {
                let named = caller.get(&format!("{path}?{query}")).await.expect(200);
                let expected = format!("{},\"name\":\"Ada\"}}", plain.text().trim_end_matches('}'));
                assert_eq!(named.text(), expected, "{query}");
            }
            assert_eq!(caller.get(&format!("{path}?include=")).await.expect(200).body, plain.body);
        }
        let unnamed = ada.get(&format!("/users/{}?include=name", bob.id)).await.expect(200).json();
        assert_eq!(unnamed["name"], Value::Null);
        let rejected = ada.get(&format!("{path}?include=email")).await.expect(422).json();
        assert_eq!(rejected["detail"][0]["msg"], "Input should be 'name'");
        assert_eq!(rejected["detail"][0]["ctx"], json!({"expected": "'name'"}));
        ada.delete("/users/me").await.expect(204);
        bob.get(&format!("{path}?include=name")).await.expect(404);
    }
}
