//! `/livez` and `/readyz`

use crate::support::TestApp;

#[tokio::test]
async fn livez_and_readyz_return_ok() {
    let app = TestApp::start().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(app.anonymous().get(path).await.expect(200).text(), r#"{"status":"ok"}"#);
    }
}
