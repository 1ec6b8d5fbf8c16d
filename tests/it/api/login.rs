//! `POST /login`

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use post_api::auth::Argon2Params;
use post_api::domain::email::Email;
use post_api::domain::user::PasswordHash;
use serde_json::{Value, json};

use crate::support::{FORM, PASSWORD, Setup, TestApp, run_concurrently};

/// Parameters of new hashes, high enough that weaker hashes exist.
const STRENGTH: Argon2Params = Argon2Params { memory_kib: 64, iterations: 2, parallelism: 1 };

const EMAIL: &str = "ada@example.com";

/// Returns a hash of [`PASSWORD`] with other parameters, as another service or an older version
/// would have stored it.
fn argon2(name: &str, memory_kib: u32, iterations: u32, parallelism: u32) -> String {
    let algorithm = if name == "argon2i" { Algorithm::Argon2i } else { Algorithm::Argon2id };
    let parameters = Params::new(memory_kib, iterations, parallelism, Some(32)).unwrap();
    let mut output = [0; 32];
    Argon2::new(algorithm, Version::V0x13, parameters)
        .hash_password_into(PASSWORD.as_bytes(), b"salt of sixteen.", &mut output)
        .unwrap();
    let (salt, output) =
        (STANDARD_NO_PAD.encode(b"salt of sixteen."), STANDARD_NO_PAD.encode(output));
    format!("${name}$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${output}")
}

async fn stored_hash(app: &TestApp) -> PasswordHash {
    let email = Email::parse(EMAIL).unwrap();
    app.store.find_credentials(email.into()).await.unwrap().unwrap().password_hash
}

async fn store_hash(app: &TestApp, id: i64, hash: &str) {
    let (id, new) = (post_api::domain::user::UserId(id), PasswordHash::new(hash.to_owned()));
    app.store.upgrade_password_hash(id, stored_hash(app).await, new).await.unwrap();
}

async fn app_with_strength() -> TestApp {
    TestApp::set_up(Setup { strength: STRENGTH, ..Setup::default() }).await
}

#[tokio::test]
async fn token_is_valid_for_30_minutes() {
    let app = TestApp::start().await;
    let id = app.sign_up("ada").await;
    let response = app.log_in(EMAIL, PASSWORD).await.expect(200);
    assert_eq!(response.header("cache-control"), "no-store");
    let body = response.json();
    assert_eq!(body["token_type"], "bearer");
    let token = body["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let issued = 1_738_324_800;
    assert_eq!(claims, json!({"user_id": id, "exp": issued + 1800, "iat": issued}));
    let ada = app.with_token(token);
    assert_eq!(ada.get("/users/me").await.expect(200).json()["id"], id);
    app.clock.advance(1799);
    ada.get("/users/me").await.expect(200);
    app.clock.advance(1);
    ada.get("/users/me").await.expect(401);
}

/// Status, headers and body do not reveal whether an account exists.
#[tokio::test]
async fn unknown_account_and_wrong_password_get_the_same_response() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let long = "x".repeat(5000);
    let mut responses = Vec::new();
    for (username, password) in [
        (EMAIL, "a wrong password"),
        ("eve@example.com", PASSWORD),
        ("no address at all", PASSWORD),
        ("ada@example.com\u{0}", PASSWORD),
        (EMAIL, "nul \u{0}"),
        (EMAIL, long.as_str()),
        (EMAIL, &PASSWORD.to_uppercase()),
        (EMAIL, &format!("{PASSWORD} ")),
    ] {
        let mut response = app.log_in(username, password).await.expect(403);
        response.headers.remove("x-request-id");
        responses.push((response.headers, response.body));
    }
    assert_eq!(responses[0].1, br#"{"detail":"invalid credentials"}"#);
    assert!(responses.iter().all(|response| *response == responses[0]));
}

#[tokio::test]
async fn login_form_follows_oauth2() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let valid = "username=ada%40example.com&password=plum+lantern+83+quay";
    let anonymous = app.anonymous();
    for (form, status) in [
        (valid.to_owned(), 200),
        (format!("{valid}&grant_type=password&scope=a+b&client_id=x&client_secret=y"), 200),
        (format!("password=no&{valid}"), 200),
        (format!("{valid}&password=no"), 403),
        (format!("{valid}&grant_type=client_credentials"), 422),
        (format!("{valid}&grant_type="), 422),
        (format!("{valid}&password="), 422),
        ("username=ada%40example.com".to_owned(), 422),
        (String::new(), 422),
        ("%ff=%fe&&=".to_owned(), 422),
    ] {
        let response = anonymous.send_raw("POST", "/login", FORM, form.clone()).await;
        assert_eq!(response.status, status, "{form}");
    }
    let body = json!({"username": EMAIL, "password": PASSWORD});
    anonymous.post("/login", &body).await.expect(422);
    anonymous.send_raw("POST", &format!("/login?{valid}"), FORM, "").await.expect(422);
}

#[tokio::test]
async fn login_with_multipart_form_succeeds() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let part = |name: &str, value: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!("{}{}--b--\r\n", part("username", EMAIL), part("password", PASSWORD));
    let media_type = "multipart/form-data; boundary=b";
    let anonymous = app.anonymous();
    anonymous.send_raw("POST", "/login", media_type, body.clone()).await.expect(200);
    let mixed_case = "Multipart/Form-Data; Boundary=b";
    anonymous.send_raw("POST", "/login", mixed_case, body).await.expect(200);
}

#[tokio::test]
async fn unreadable_multipart_login_gets_400() {
    let app = TestApp::start().await;
    let part = "--b\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\nada\r\n";
    let unreadable = "There was an error parsing the body";
    let with_boundary = "multipart/form-data; boundary=b";
    for (media_type, body, detail) in [
        ("multipart/form-data", part, "Missing boundary in multipart."),
        ("multipart/form-data; charset=utf-8", "", "Missing boundary in multipart."),
        (with_boundary, &part[..40], unreadable),
        (with_boundary, "username=ada", unreadable),
        (with_boundary, "--b\r\n\r\n", unreadable),
        ("multipart/form-data; boundary=other", part, unreadable),
    ] {
        let response = app.anonymous().send_raw("POST", "/login", media_type, body).await;
        assert_eq!(response.status, 400, "{media_type}, {body:?}: {}", response.text());
        assert_eq!(response.detail(), detail, "{media_type}, {body:?}");
    }
}

/// As in the reference service.
#[tokio::test]
async fn multipart_login_without_parts_misses_both_fields() {
    let app = TestApp::start().await;
    let media_type = "multipart/form-data; boundary=b";
    for body in ["", "--b--", "--b--\r\n", "\r\n--b--\r\n", "--b\r\n", "--b\r\n--b--"] {
        let response = app.anonymous().send_raw("POST", "/login", media_type, body).await;
        assert_eq!(response.status, 422, "{body:?}: {}", response.text());
        let errors = response.json()["detail"].clone();
        let locations: Vec<_> =
            errors.as_array().unwrap().iter().map(|error| &error["loc"][1]).collect();
        assert_eq!(locations, ["username", "password"], "{body:?}");
        assert!(errors.as_array().unwrap().iter().all(|error| error["type"] == "missing"));
    }
}

/// Each grant in each encoding of a form.
#[tokio::test]
async fn both_grants_are_accepted_in_every_form_type() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let multipart = |fields: &[(&str, &str)]| {
        let part = |(name, value): &(&str, &str)| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        fields.iter().map(part).collect::<String>() + "--b--\r\n"
    };
    let urlencoded = |fields: &[(&str, &str)]| {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    };
    let login = [("username", EMAIL), ("password", PASSWORD), ("scope", "offline_access")];
    for media_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=utf-8",
        "multipart/form-data; boundary=b",
    ] {
        let encode = |fields: &[(&str, &str)]| {
            if media_type.starts_with("multipart") { multipart(fields) } else { urlencoded(fields) }
        };
        let send = async |fields: &[(&str, &str)]| {
            app.anonymous().send_raw("POST", "/login", media_type, encode(fields)).await
        };
        let first = send(&login).await.expect(200).json()["refresh_token"].clone();
        let refresh = |token: &str| {
            [("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())]
        };
        let fields = refresh(first.as_str().unwrap());
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let next = send(&fields).await.expect(200).json()["refresh_token"].clone();
        assert_ne!(next, first, "{media_type}");
    }
}

/// RFC 6749, 5.2.
#[tokio::test]
async fn rejected_refresh_token_gets_the_fields_of_oauth2() {
    let app = TestApp::start().await;
    for token in ["x", "1.2", "a b"] {
        let refused = app.refresh(token).await.expect(400).json();
        assert_eq!(refused["error"], "invalid_grant");
        assert_eq!(refused["error_description"], refused["detail"]);
        assert_eq!(refused["detail"], "the refresh token is not valid");
    }
}

/// A file part is never read as a form field, with any name and contents.
#[tokio::test]
async fn files_in_login_form_are_ignored() {
    let app = TestApp::start().await;
    app.sign_up("ada").await;
    let part = |name: &str, more: &str, value: &str| {
        let disposition = format!("content-disposition: form-data; name=\"{name}\"{more}");
        format!("--b\r\n{disposition}\r\n\r\n{value}\r\n")
    };
    let fields = part("username", "", EMAIL) + &part("password", "", PASSWORD);
    let media_type = "multipart/form-data; boundary=b";
    let send = async |parts: String| {
        app.anonymous().send_raw("POST", "/login", media_type, parts + "--b--\r\n").await
    };
    for file in [
        "; filename=\"a.txt\"",
        "; filename=\"\"",
        "; filename=\"../../data/secret_key\"\r\ncontent-type: image/svg+xml",
    ] {
        for name in ["username", "password", "grant_type", "avatar"] {
            let file = part(name, file, "another");
            send(format!("{fields}{file}")).await.expect(200);
            send(format!("{file}{fields}")).await.expect(200);
        }
        let password_in_file = part("username", "", EMAIL) + &part("password", file, PASSWORD);
        let error = &send(password_in_file).await.expect(422).json()["detail"][0];
        assert_eq!((&error["type"], &error["loc"][1]), (&json!("missing"), &json!("password")));
    }
}

#[tokio::test]
async fn weaker_hash_is_rehashed_at_login() {
    let app = app_with_strength().await;
    let id = app.sign_up("ada").await;
    let bcrypt = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().to_string();
    for weak in [
        argon2("argon2i", 64, 2, 1),
        argon2("argon2id", 32, 2, 1),
        argon2("argon2id", 64, 1, 1),
        argon2("argon2id", 128, 1, 1),
        bcrypt,
    ] {
        store_hash(&app, id, &weak).await;
        app.log_in(EMAIL, "a wrong password").await.expect(403);
        assert_eq!(stored_hash(&app).await.as_str(), weak, "rehashed without the right password");
        app.log_in(EMAIL, PASSWORD).await.expect(200);
        let now = stored_hash(&app).await;
        assert!(now.as_str().starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{}", now.as_str());
        app.log_in(EMAIL, PASSWORD).await.expect(200);
        assert_eq!(stored_hash(&app).await, now);
    }
}

#[tokio::test]
async fn equal_or_stronger_hash_is_kept_at_login() {
    let app = app_with_strength().await;
    let id = app.sign_up("ada").await;
    for strong in [
        argon2("argon2id", 64, 2, 1),
        argon2("argon2id", 64, 2, 4),
        argon2("argon2id", 128, 3, 1),
        argon2("argon2id", 64, 5, 1),
    ] {
        store_hash(&app, id, &strong).await;
        app.log_in(EMAIL, PASSWORD).await.expect(200);
        app.log_in(EMAIL, "a wrong password").await.expect(403);
        assert_eq!(stored_hash(&app).await.as_str(), strong);
    }
}

/// The response is that of a wrong password. The service checks the range of the parameters before
/// it hashes.
#[tokio::test]
async fn login_with_unusable_hash_is_rejected() {
    let app = TestApp::start().await;
    let id = app.sign_up("ada").await;
    let good = argon2("argon2id", 64, 2, 1);
    for unusable in [
        String::new(),
        PASSWORD.to_owned(),
        "!".to_owned(),
        good.replace("m=64", "m=4194304"),
        good.replace("m=64", "m=7"),
        good.replace("t=2", "t=0"),
        good.replace("t=2", "t=4294967295"),
        good.replace("p=1", "p=65"),
        good.replace("v=19", "v=18"),
        good.replace("argon2id", "argon2d"),
        good[..good.len() - 30].to_owned(),
        format!("{good}$more"),
        format!("$2b$31${}", "a".repeat(53)),
        format!("$2b$04${}", "!".repeat(53)),
    ] {
        store_hash(&app, id, &unusable).await;
        let refused = app.log_in(EMAIL, PASSWORD).await.expect(403);
        assert_eq!(refused.detail(), "invalid credentials", "{unusable}");
    }
}

/// Each hash takes long enough for the queue to fill. Logins over its limit get 503, the others are
/// answered, and reads never wait for hashing.
#[tokio::test]
async fn logins_over_the_queue_limit_get_503() {
    let strength = Argon2Params { memory_kib: 32 * 1024, iterations: 1, parallelism: 1 };
    let app = TestApp::set_up(Setup { strength, ..Setup::default() }).await;
    let ada = app.signed_in("ada").await;
    let reads = async {
        for _ in 0..20 {
            ada.get("/users/me").await.expect(200);
            ada.get("/posts").await.expect(200);
        }
    };
    let logins = (0..200).map(|_| app.log_in("eve@example.com", PASSWORD));
    let (responses, ()) = tokio::join!(run_concurrently(logins), reads);
    let (rejected, verified): (Vec<_>, Vec<_>) =
        responses.into_iter().partition(|response| response.status == 503);
    assert!(!rejected.is_empty() && !verified.is_empty());
    for response in rejected {
        assert_eq!(response.header("retry-after"), "2");
        assert_eq!(response.detail(), "the service is overloaded, try again later");
    }
    for response in verified {
        response.expect(403);
    }
    app.log_in(EMAIL, PASSWORD).await.expect(200);
}

/// bcrypt ignores all bytes after the 72nd and after a NUL. A matching text may therefore differ
/// from the password, and must not be hashed in its place.
#[tokio::test]
async fn bcrypt_hash_of_partly_covered_password_is_not_rehashed() {
    let app = app_with_strength().await;
    let id = app.sign_up("ada").await;
    let long = "plum lantern 83 quay ".repeat(4);
    let with_nul = "plum lantern\0 83 quay".to_owned();
    for (password, typed) in [
        (&long, format!("{}typo", &long[..72])),
        (&long, long[..72].to_owned()),
        (&with_nul, with_nul.clone()),
    ] {
        let bcrypt = bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string();
        store_hash(&app, id, &bcrypt).await;
        let _ = app.log_in(EMAIL, &typed).await;
        assert_eq!(stored_hash(&app).await.as_str(), bcrypt);
        app.log_in(EMAIL, password).await.expect(200);
    }
}
