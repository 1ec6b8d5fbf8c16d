//! `/users/me`

use crate::support::TestApp;

#[tokio::test]
async fn me_is_whom_the_token_names() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for caller in [&ada, &bob] {
        let me = caller.get("/users/me").await.expect(200).json();
        let same = caller.get(&format!("/users/{}", caller.id)).await.expect(200).json();
        assert_eq!(me, same);
        assert_eq!(me["id"], caller.id);
    }
}

#[tokio::test]
async fn deleting_me_leaves_the_others() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    ada.write_post("hers").await;
    bob.write_post("his").await;
    ada.delete("/users/me").await.expect(204);
    assert_eq!(bob.titles("/posts").await, ["his"]);
    bob.get("/users/me").await.expect(200);
}
