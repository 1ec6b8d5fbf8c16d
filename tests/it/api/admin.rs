//! `/admin/statistics`, `/admin/users` and `/admin/events`: reads for administrators.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Engine, Setup, TestApp, TestCaller, TestResponse};

const ROUTES: [&str; 3] = ["/admin/statistics", "/admin/users", "/admin/events"];

const REFUSED: &str = r#"{"detail":"not authorized to perform this action"}"#;

async fn on(engine: Engine) -> TestApp {
    TestApp::set_up(Setup { engine, ..Setup::default() }).await
}

/// Creates an administrator.
async fn administrator<'a>(app: &'a TestApp, name: &str) -> TestCaller<'a> {
    let caller = app.signed_in(name).await;
    app.set_admin(caller.id, true).await;
    caller
}

fn next(response: &TestResponse) -> Option<String> {
    let links = response.header("link").to_owned();
    let link = links.split(", ").find(|link| link.ends_with("rel=\"next\""))?;
    Some(link.strip_prefix('<')?.split_once('>')?.0.to_owned())
}

async fn walk(caller: &TestCaller<'_>, first: &str) -> Vec<Value> {
    let (mut entries, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(next_path) = path {
        let page = caller.get(&next_path).await.expect(200);
        entries.extend(page.json().as_array().unwrap().iter().cloned());
        path = next(&page);
    }
    entries
}

#[tokio::test]
async fn every_route_is_open_only_to_administrators() {
    for engine in Engine::ALL {
        let app = on(engine).await;
        let (ada, bob) = (administrator(&app, "ada").await, app.signed_in("bob").await);
        let (eve, disabled) =
            (administrator(&app, "eve").await, administrator(&app, "disabled").await);
        app.set_admin(eve.id, false).await;
        app.execute(&format!(
            "UPDATE users SET disabled_at = created_at WHERE id = {}",
            disabled.id
        ));
        for route in ROUTES {
            app.anonymous().get(route).await.expect(401);
            app.with_token("x").get(route).await.expect(401);
            disabled.get(route).await.expect(401);
            for caller in [&bob, &eve] {
                assert_eq!(caller.get(route).await.expect(403).text(), REFUSED, "{route}");
            }
            let read = ada.get(route).await.expect(200);
            assert_eq!(read.header("cache-control"), "no-store", "{route}");
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                ada.send_raw(method, route, "", "").await.expect(405);
            }
        }
    }
}

/// A client without the right does not learn which parameters a route has.
#[tokio::test]
async fn right_is_checked_before_the_parameters() {
    for engine in Engine::ALL {
        let app = on(engine).await;
        let (ada, bob) = (administrator(&app, "ada").await, app.signed_in("bob").await);
        let revoked = app.with_token(bob.token.as_deref().unwrap());
        for route in ROUTES {
            for query in ["limit=x", "limit=1001", "cursor=x", "limit=x&cursor=x"] {
                let path = format!("{route}?{query}");
                app.anonymous().get(&path).await.expect(401);
                assert_eq!(bob.get(&path).await.expect(403).text(), REFUSED, "{path}");
            }
        }
        for query in ["limit=x", "cursor=x"] {
            ada.get(&format!("/admin/users?{query}")).await.expect(422);
        }
        bob.post("/logout", &json!({})).await.expect(204);
        revoked.get("/admin/users?limit=x").await.expect(401);
        revoked.get("/admin/users?cursor=x").await.expect(401);
    }
}

/// The right is in the database only, so the same token gains and loses it.
#[tokio::test]
async fn revoked_right_ends_with_the_next_request() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for is_admin in [false, true, false, true] {
        app.set_admin(ada.id, is_admin).await;
        for route in ROUTES {
            ada.get(route).await.expect(if is_admin { 200 } else { 403 });
        }
    }
    let page = ada.get("/admin/users?limit=1").await.expect(200);
    assert_eq!(next(&page), None);
    app.signed_in("bob").await;
    let page = ada.get("/admin/users?limit=1").await.expect(200);
    app.set_admin(ada.id, false).await;
    ada.get(&next(&page).unwrap()).await.expect(403);
}

/// No body, parameter or sign-up of the API sets the right.
#[tokio::test]
async fn right_cannot_be_set_by_a_request() {
    let app = TestApp::set_up(Setup { checks_requests: false, ..Setup::default() }).await;
    let account = json!({"email": "eve@example.com", "password": "plum lantern 83 quay",
        "is_admin": true, "admin": true});
    let created = app.anonymous().post("/users?is_admin=true", &account).await.expect(201);
    let eve = app.with_token(&app.token_for(created.json()["id"].as_i64().unwrap()));
    for body in [json!({"is_admin": true}), json!({"name": "Eve", "is_admin": true})] {
        eve.send_raw("PATCH", "/users/me", "application/json", body.to_string()).await;
        eve.send_raw("PUT", "/users/me", "application/json", body.to_string()).await;
    }
    for route in ROUTES {
        eve.get(route).await.expect(403);
        eve.get(&format!("{route}?is_admin=true")).await.expect(403);
    }
    assert!(!eve.get("/users/me").await.expect(200).text().contains("admin"));
}

#[tokio::test]
async fn accounts_are_listed_with_cursors() {
    for engine in Engine::ALL {
        let app = on(engine).await;
        let ada = administrator(&app, "ada").await;
        let mut ids = vec![ada.id];
        for name in ["bob", "eve", "kim", "lea"] {
            ids.insert(0, app.sign_up(name).await);
        }
        let all = ada.get("/admin/users").await.expect(200);
        assert_eq!(all.header("link"), "</admin/users>; rel=\"first\"");
        assert_eq!(
            all.json()[4],
            json!({
                "id": ada.id, "email": "ada@example.com", "name": null,
                "created_at": "2025-01-31T12:00:00.123456Z", "disabled_at": null, "is_admin": true,
            })
        );
        for limit in [1, 2, 5, 1000] {
            let walked = walk(&ada, &format!("/admin/users?limit={limit}")).await;
            let walked: Vec<i64> = walked.iter().map(|user| user["id"].as_i64().unwrap()).collect();
            assert_eq!(walked, ids, "{limit}");
        }
        let none = ada.get("/admin/users?limit=0").await.expect(200);
        assert_eq!((none.text(), none.header("link")), ("[]", ""));
        let page = ada.get("/admin/users?limit=2").await.expect(200);
        let path = next(&page).unwrap();
        // An account that is created meanwhile is newer than the rest of the walk.
        app.sign_up("new").await;
        let rest = ada.get(&path).await.expect(200).json();
        assert_eq!(rest[0]["id"], ids[2]);
        let cursor = path.split("cursor=").nth(1).unwrap();
        for wrong in [
            format!("/admin/events?cursor={cursor}"),
            format!("/users/me/votes?cursor={cursor}"),
            format!("/admin/users?cursor=x{cursor}"),
            "/admin/users?limit=1001".to_owned(),
            "/admin/users?limit=x".to_owned(),
        ] {
            ada.get(&wrong).await.expect(422);
        }
    }
}

#[tokio::test]
async fn events_of_all_accounts_are_listed_with_cursors() {
    for engine in Engine::ALL {
        let app = on(engine).await;
        let (ada, bob) = (administrator(&app, "ada").await, app.signed_in("bob").await);
        app.log_in("bob@example.com", "plum lantern 83 quay").await.expect(200);
        let events = walk(&ada, "/admin/events?limit=1").await;
        let events: Vec<_> = events
            .iter()
            .map(|event| (event["user_id"].as_i64().unwrap(), event["event"].as_str().unwrap()))
            .collect();
        let expected = [(bob.id, "logged_in"), (bob.id, "signed_up"), (ada.id, "signed_up")];
        assert_eq!(events, expected);
        bob.delete("/users/me").await.expect(204);
        let left = ada.get("/admin/events").await.expect(200).json();
        assert_eq!(left.as_array().unwrap().len(), 1);
        assert_eq!(left[0]["client"], Value::Null);
    }
}

#[tokio::test]
async fn statistics_have_the_numbers_of_the_database() {
    for engine in Engine::ALL {
        let app = on(engine).await;
        let (ada, bob) = (administrator(&app, "ada").await, app.signed_in("bob").await);
        let post = ada.write_post("post").await;
        ada.write_draft("draft").await;
        ada.vote(post, 1).await.expect(201);
        bob.vote(post, -1).await.expect(201);
        let statistics = ada.get("/admin/statistics").await.expect(200).json();
        let counts = &statistics["counts"];
        for (name, count) in [("users", 2), ("posts", 1), ("drafts", 1), ("votes", 2)] {
            assert_eq!(counts[name], json!({"count": count, "is_exact": true}), "{name}");
        }
        assert_eq!(counts["counted_at"], "2025-01-31T12:00:00.123456Z");
        let days = counts["days"].as_array().unwrap();
        assert_eq!((days.len(), &days[0]["day"]), (30, &json!("2025-01-02")));
        assert_eq!(days[29], json!({"day": "2025-01-31", "users": 2, "posts": 1}));
        assert_eq!(days[28], json!({"day": "2025-01-30", "users": 0, "posts": 0}));
        let process = &statistics["process"];
        assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((&process["uptime_seconds"], &process["streams"]), (&json!(0), &json!(0)));
        let queues = process["queues"].as_array().unwrap();
        assert!(queues.contains(&json!({"queue": "passwords", "waiting": 0})), "{queues:?}");
        assert!(queues.len() >= 4, "{queues:?}");
    }
}

#[tokio::test]
async fn rows_are_counted_at_most_once_a_minute_and_once_at_a_time() {
    let app = TestApp::start().await;
    let ada = administrator(&app, "ada").await;
    let count = async || {
        let statistics = ada.get("/admin/statistics").await.expect(200).json();
        let counts = &statistics["counts"];
        (counts["users"]["count"].as_u64().unwrap(), counts["counted_at"].clone())
    };
    // All of them get the same count, as the clock stands.
    let counted = join_all((0..20).map(|_| count())).await;
    assert!(counted.iter().all(|(users, _)| *users == 1), "{counted:?}");
    app.sign_up("bob").await;
    app.clock.advance(59);
    assert_eq!(count().await, counted[0]);
    app.clock.advance(1);
    assert_eq!(count().await, (2, json!("2025-01-31T12:01:00.123456Z")));
}

/// A database that cannot count is not asked again for a minute, and the rest is shown.
#[tokio::test]
async fn counts_are_kept_if_the_database_cannot_count() {
    let app = on(Engine::Sqlite).await;
    let ada = administrator(&app, "ada").await;
    app.execute("ALTER TABLE votes RENAME TO hidden");
    let statistics = ada.get("/admin/statistics").await.expect(200).json();
    assert_eq!(statistics["counts"], Value::Null);
    assert_eq!(statistics["process"]["version"], env!("CARGO_PKG_VERSION"));
    app.execute("ALTER TABLE hidden RENAME TO votes");
    app.clock.advance(59);
    let statistics = ada.get("/admin/statistics").await.expect(200).json();
    assert_eq!(statistics["counts"], Value::Null);
    app.clock.advance(1);
    let statistics = ada.get("/admin/statistics").await.expect(200).json();
    assert_eq!(statistics["counts"]["users"]["count"], 1);
    app.execute("ALTER TABLE votes RENAME TO hidden");
    app.clock.advance(60);
    let kept = ada.get("/admin/statistics").await.expect(200).json();
    assert_eq!(kept["counts"], statistics["counts"]);
}

#[tokio::test]
async fn statistics_have_the_requests_of_each_minute() {
    let app = TestApp::start().await;
    let ada = administrator(&app, "ada").await;
    let minutes = async || ada.get("/admin/statistics").await.expect(200).json()["minutes"].clone();
    app.traffic.end_minutes(app.now());
    let none = minutes().await;
    assert_eq!(
        (&none["begin_at"], &none["requests"]),
        (&json!("2025-01-31T12:00:00Z"), &json!([]))
    );
    ada.get("/nowhere").await.expect(404);
    app.clock.advance(60);
    app.traffic.end_minutes(app.now());
    app.traffic.record(503, Duration::from_secs(1));
    app.traffic.record(429, Duration::ZERO);
    app.traffic.count_rate_limited("writes");
    app.clock.advance(60);
    app.traffic.end_minutes(app.now());
    let minutes = minutes().await;
    assert_eq!(minutes["begin_at"], "2025-01-31T12:00:00Z");
    // The statistics and the path without a route.
    assert_eq!(minutes["requests"], json!([2, 2]));
    assert_eq!(minutes["client_errors"], json!([1, 1]));
    assert_eq!(minutes["server_errors"], json!([0, 1]));
    assert_eq!(minutes["rate_limited"], json!([{"limit": "writes", "responses": [0, 1]}]));
    assert_eq!(minutes["p50_microseconds"][1], 32);
    assert!((1_000_000..1_260_000).contains(&minutes["p99_microseconds"][1].as_u64().unwrap()));
}
