//! `/users/me`

use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn me_returns_the_user_of_the_token() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for caller in [&ada, &bob] {
        let me = caller.get("/users/me").await.expect(200).json();
        let path = format!("/users/{}?include=name", caller.id);
        let same = caller.get(&path).await.expect(200).json();
        assert_eq!(me, same);
        assert_eq!(me["id"], caller.id);
        assert_eq!(me["name"], Value::Null);
    }
}
