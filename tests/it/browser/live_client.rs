//! The client for browsers in `docs/live.md`, run in Chromium against the service.

use serde_json::{Value, json};

use super::chromium::Browser;
use super::visits::browse;
use crate::guides::live_client::block;
use crate::support::{PASSWORD, Service};

/// Waits until the client has applied so many events, and returns them.
async fn applied(browser: &Browser, count: usize) -> Vec<Value> {
    let script = format!("return window.applied.length < {count} ? null : window.applied");
    serde_json::from_value(browser.wait_for_result(&script).await).unwrap()
}

#[tokio::test]
async fn javascript_client_follows_the_posts_until_the_token_is_revoked() {
    // The client fails once to apply votes: it must get them again.
    let script = format!(
        "{}
         window.applied = [];
         let fails = true;
         const apply = (name, data) => {{
           if (name === 'votes' && fails) {{ fails = false; throw new Error('once'); }}
           window.applied.push([name, data]);
         }};
         follow(location.origin, arguments[0], apply).then(() => (window.ended = true));",
        block("js")
    );
    let service = Service::start(&[]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = service.log_in("ada@example.com");
    let url = service.url.clone();
    browse(async move |browser| {
        let call = |method: &str, path: &str, body: Option<Value>| {
            service.connect().call(method, path, &token, body.as_ref()).unwrap()
        };
        browser.open(&format!("{url}/docs/oauth2-redirect")).await;
        browser.run_with(&script, &[&token]).await;
        assert_eq!(applied(&browser, 1).await[0], json!(["hello", {"resumed": false}]));

        let post = json!({"title": "first", "content": "text"});
        let created = call("POST", "/posts", Some(post)).expect(201).json();
        let id = created["id"].as_i64().unwrap();
        let event = &applied(&browser, 2).await[1];
        assert_eq!((&event[0], &event[1]["id"]), (&json!("created"), &created["id"]));
        assert_eq!(event[1]["item"]["Post"]["title"], "first");

        call("POST", "/vote", Some(json!({"post_id": id, "dir": 1}))).expect(201);
        let events = applied(&browser, 4).await;
        assert_eq!(events[2], json!(["hello", {"resumed": true}]));
        assert_eq!(events[3], json!(["votes", {"id": id, "votes": 1}]));

        call("DELETE", &format!("/posts/{id}"), None).expect(204);
        assert_eq!(applied(&browser, 5).await[4], json!(["deleted", {"id": id}]));

        call("POST", "/logout", None).expect(204);
        browser.wait_for_result("return window.ended ?? null").await;
        assert_eq!(applied(&browser, 5).await.len(), 5);
        browser.assert_no_console_error(|message| message.contains("401")).await;
    })
    .await;
}
