//! `ROOT_PATH`: a proxy may remove the prefix from requests or leave it on.

use serde_json::json;

use crate::support::{Setup, TestApp};

async fn app_below(root_path: &str) -> TestApp {
    TestApp::set_up(Setup { root_path: root_path.to_owned(), ..Setup::default() }).await
}

#[tokio::test]
async fn path_with_and_without_the_prefix_is_answered() {
    for prefix in ["/api", "/api/v1", "/a-b/c_d/~e"] {
        let app = app_below(prefix).await;
        let ada = app.signed_in("ada").await;
        for base in ["", prefix] {
            let post = json!({"title": "t", "content": "c"});
            let created = ada.post(&format!("{base}/posts"), &post).await.expect(201);
            let location = created.header("location").to_owned();
            assert!(location.starts_with(&format!("{prefix}/posts/")), "{location}");
            ada.get(&location).await.expect(200);
            ada.get(location.strip_prefix(prefix).unwrap()).await.expect(200);
            ada.get(&format!("{base}/users/me/")).await.expect(200);
            app.anonymous().get(&format!("{base}/livez")).await.expect(200);
            app.anonymous().get(&format!("{base}/docs/start.js")).await.expect(200);
            app.anonymous().get(&format!("{base}/openapi.json")).await.expect(200);
            app.anonymous().get(&format!("{base}/posts")).await.expect(401);
            app.anonymous().get(&format!("{base}/nowhere")).await.expect(404);
            let refused = app.anonymous().send_raw("PUT", &format!("{base}/livez"), "", "").await;
            assert_eq!(refused.expect(405).header("allow"), "GET,HEAD");
        }
        for path in [
            format!("{prefix}{prefix}"),
            format!("{prefix}{prefix}/livez"),
            format!("{prefix}livez"),
            format!("{prefix}x/livez"),
        ] {
            app.anonymous().get(&path).await.expect(404);
        }
    }
}

/// The path may be encoded like every path.
#[tokio::test]
async fn encoded_prefix_is_the_same_prefix() {
    let app = app_below("/api").await;
    for path in ["/%61pi/livez", "/ap%69/livez/", "/api/%6civez"] {
        app.anonymous().get(path).await.expect(200);
    }
    for path in ["/API/livez", "/api%2Flivez", "/api//livez"] {
        app.anonymous().get(path).await.expect(404);
    }
}

/// A prefix that is also the start of a route hides no route.
#[tokio::test]
async fn prefix_like_a_route_hides_no_route() {
    for prefix in ["/posts", "/users", "/users/me", "/docs", "/login", "/.well-known"] {
        let app = app_below(prefix).await;
        let ada = app.signed_in("ada").await;
        let post = ada.write_post("post").await;
        for base in ["", prefix] {
            ada.get(&format!("{base}/posts/{post}")).await.expect(200);
            ada.get(&format!("{base}/users/me")).await.expect(200);
            app.anonymous().get(&format!("{base}/users/{}", ada.id)).await.expect(200);
            app.anonymous().get(&format!("{base}/livez")).await.expect(200);
            app.anonymous().get(&format!("{base}/docs/page.css")).await.expect(200);
        }
    }
}
