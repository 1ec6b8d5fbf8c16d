//! Requests with secrets in every part, where they belong or by mistake.
//!
//! Not here: paths and request IDs. The service logs both, as documented.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::canary::Canary;
use crate::api::operations::Operation;
use crate::support::FORM;

/// The secrets of the requests.
pub(super) struct Secrets<'a> {
    /// The password of the account of the caller.
    pub(super) password: &'a Canary,
    /// A password of no account.
    pub(super) stray: &'a Canary,
    pub(super) word: &'a Canary,
    pub(super) token: &'a str,
    /// A refresh token of an ended session: the response to a valid one would contain new tokens.
    pub(super) refresh: &'a str,
    /// Invalid tokens.
    pub(super) rejected: &'a [String],
    pub(super) email: &'a str,
}

/// Returns the raw requests for the operation at this path.
pub(super) fn requests(operation: &Operation, path: &str, secrets: &Secrets<'_>) -> Vec<String> {
    let send = |target: &str, head: &str, media_type: &str, body: &str| {
        format!(
            "{} {target} HTTP/1.1\r\nhost: localhost\r\n{head}content-type: {media_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            operation.method,
            body.len()
        )
    };
    let (media_type, example) =
        operation.example.clone().unwrap_or(("application/json", String::new()));
    let bearer = format!("authorization: Bearer {}\r\n", secrets.token);
    let mut requests = Vec::new();
    for target in targets(path, secrets) {
        requests.push(send(&target, "", media_type, &example));
    }
    for head in heads(secrets) {
        requests.push(send(path, &head, media_type, &example));
    }
    for (media_type, body) in bodies(operation, secrets) {
        requests.push(send(path, "", media_type, &body));
        requests.push(send(path, &bearer, media_type, &body));
    }
    // An invalid length, and an invalid header field with a secret.
    requests
        .push(format!("{} {path} HTTP/1.1\r\n{bearer}content-length: x\r\n\r\n", operation.method));
    requests.push(format!(
        "{} {path} HTTP/1.1\r\n{bearer} : {}\r\n\r\n",
        operation.method, secrets.word.text
    ));
    // The valid request comes last, as it may delete the account.
    requests.push(send(path, &bearer, media_type, &example));
    requests
}

/// Returns the path with secrets in the query, and with credentials in the host.
fn targets(path: &str, secrets: &Secrets<'_>) -> Vec<String> {
    let (password, token) = (secrets.stray.encoded(), secrets.token);
    vec![
        format!("{path}?password={password}&username={}", secrets.email),
        format!("{path}?access_token={token}&api_key={}", secrets.word.text),
        format!("{path}?grant_type=refresh_token&refresh_token={}", secrets.refresh),
        format!("{path}?{password}"),
        format!("http://ada:{}@localhost{path}", secrets.word.text),
    ]
}

/// Returns header fields with secrets.
fn heads(secrets: &Secrets<'_>) -> Vec<String> {
    let (token, word) = (secrets.token, &secrets.word.text);
    let basic = STANDARD.encode(format!("{}:{}", secrets.email, secrets.password.text));
    let mut values = vec![
        format!("Basic {basic}"),
        format!("Bearer {word}"),
        format!("Bearer {}", secrets.refresh),
        format!("Bearer {token} {token}"),
        format!("bearer:{token}"),
        format!("Digest username=\"ada\", response=\"{word}\""),
        word.clone(),
        format!("Bearer {token}\r\nauthorization: Bearer {token}"),
    ];
    values.extend(secrets.rejected.iter().map(|token| format!("Bearer {token}")));
    let mut heads: Vec<String> =
        values.into_iter().map(|value| format!("authorization: {value}\r\n")).collect();
    for name in [
        "x-api-key",
        "api-key",
        "x-auth-token",
        "x-csrf-token",
        "user-agent",
        "accept",
        "from",
        "origin",
        "content-language",
        "if-none-match",
        "x-forwarded-for",
        "traceparent",
        "te",
    ] {
        heads.push(format!("{name}: {word}\r\n"));
    }
    heads.push(format!("proxy-authorization: Basic {basic}\r\n"));
    heads.push(format!("cookie: session={token}; password={word}\r\n"));
    heads.push(format!("referer: http://localhost/?token={token}&password={word}\r\n"));
    heads
}

fn bodies(operation: &Operation, secrets: &Secrets<'_>) -> Vec<(&'static str, String)> {
    let Some((media_type, example)) = &operation.example else {
        return vec![("application/json", json!({"password": secrets.stray.text}).to_string())];
    };
    let mut bodies = forms(secrets);
    if *media_type == "application/json" {
        bodies
            .extend(documents(example, secrets).into_iter().map(|body| ("application/json", body)));
    }
    if operation.path == "/users" {
        // In such a body the position of the password is unknown.
        bodies.push(("text/plain", secrets.stray.text.clone()));
        bodies.push(("application/json", json!([secrets.stray.text]).to_string()));
        bodies.push(("application/json", json!(secrets.stray.text).to_string()));
    }
    bodies
}

fn forms(secrets: &Secrets<'_>) -> Vec<(&'static str, String)> {
    let (email, stray) = (secrets.email, secrets.stray.encoded());
    let part = |name: &str, value: &str| {
        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let multipart = part("username", email) + &part("password", &secrets.stray.text) + "--b--\r\n";
    let cut_off = part("password", &secrets.stray.text);
    vec![
        (FORM, format!("username={email}&password={stray}")),
        (FORM, format!("username={email}&password={}", stray.repeat(200))),
        (FORM, format!("username={email}&password=x&client_id=c&client_secret={stray}")),
        (FORM, format!("grant_type=client_credentials&password={stray}")),
        (FORM, format!("grant_type=refresh_token&refresh_token={}", secrets.refresh)),
        (FORM, format!("refresh_token={}", secrets.refresh)),
        (FORM, format!("password={stray}")),
        ("multipart/form-data; boundary=b", multipart),
        ("multipart/form-data; boundary=b", cut_off),
    ]
}

/// Returns variants of the example with a password in the right field, in a wrong one, and in
/// unknown ones.
fn documents(example: &str, secrets: &Secrets<'_>) -> Vec<String> {
    let example: Value = serde_json::from_str(example).unwrap();
    let stray = &secrets.stray.text;
    let with = |name: &str, value: Value| {
        let mut document = example.clone();
        document[name] = value;
        document
    };
    let mut documents = vec![
        with("password", json!(stray)),
        with("password", json!(stray.repeat(200))),
        with("password", json!([stray])),
        with("password", json!({ "value": stray })),
        with("secret", json!(stray)),
    ];
    // Required fields are missing.
    for name in ["password", "newPassword", "PASSWORT", "passphrase", "pwd", "client_secret"] {
        documents.push(json!({ name: stray }));
        documents.push(json!({ "user": { name: [stray] } }));
    }
    for name in ["refresh_token", "refreshToken", "token"] {
        documents.push(json!({ name: secrets.refresh }));
        documents.push(json!({ "user": { name: [secrets.refresh] } }));
    }
    let mut texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    let whole = texts[0].clone();
    texts.push(whole[..whole.len() - 1].to_owned());
    texts.push(format!("{whole} {whole}"));
    texts.push(whole.replace(':', " "));
    texts
}
