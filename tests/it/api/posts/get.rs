//! `GET /posts/{id}`

use crate::support::TestApp;

#[tokio::test]
async fn draft_of_another_user_looks_missing() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    let draft = ada.write_draft("draft").await;
    ada.get(&format!("/posts/{draft}")).await.expect(200);
    let hidden = bob.get(&format!("/posts/{draft}")).await.expect(404);
    let missing = bob.get("/posts/4711").await.expect(404);
    let same = missing.text().replace("4711", &draft.to_string());
    assert_eq!(hidden.text(), same);
}

#[tokio::test]
async fn impossible_post_id_gets_404_or_422() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for (id, shown) in [
        ("0", "0"),
        ("-1", "-1"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("5.0", "5"),
        ("%205%20", "5"),
        ("%35", "5"),
    ] {
        let missing = ada.get(&format!("/posts/{id}")).await.expect(404);
        assert_eq!(missing.detail(), format!("the post with the id:{shown} was no found"));
    }
    for id in ["%%335", "%2%35", "%2535"] {
        ada.get(&format!("/posts/{id}")).await.expect(422);
    }
    for id in ["1.5", "abc", "1;DROP", "%00", "%FF", "1%2F2", "null", "0x1", "1__0", "%D9%A1"] {
        ada.get(&format!("/posts/{id}")).await.expect(422);
    }
}

#[tokio::test]
async fn trailing_slash_returns_the_same_post() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let post = ada.write_post("post").await;
    let plain = ada.get(&format!("/posts/{post}")).await.expect(200);
    let slashed = ada.get(&format!("/posts/{post}/")).await.expect(200);
    assert_eq!(plain.body, slashed.body);
}
