//! Compares the answers of two servers to the same requests: status, media type and body, byte for
//! byte. Only the digits of times may differ.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use ureq::Agent;

use crate::seed::{CONTENT, POSTS};

/// The text before each time.
const TIME_LABEL: &str = "\"created_at\":\"";

/// Method, path and body of each request. Later answers depend on earlier requests.
fn requests() -> Vec<(&'static str, String, Option<String>)> {
    let read = |path: String| ("GET", path, None);
    let vote = |post: u64, dir: i8| {
        let body = format!("{{\"post_id\":{post},\"dir\":{dir}}}");
        ("POST", "/vote".to_owned(), Some(body))
    };
    let create = |title: &str| {
        let body = format!("{{\"title\":\"{title}\",\"content\":\"{CONTENT}\"}}");
        ("POST", "/posts".to_owned(), Some(body))
    };
    let missing = 10 * POSTS;
    vec![
        read("/posts/1".to_owned()),
        read(format!("/posts/{missing}")),
        read("/posts?limit=10".to_owned()),
        vote(POSTS, 1),
        vote(POSTS, 1),
        vote(POSTS, -1),
        vote(missing, 1),
        read(format!("/posts/{POSTS}")),
        create("Post \\u00e9 \\\"of\\\" a \\ud83d\\udce8 comparison\\n"),
        read("/posts?limit=10".to_owned()),
    ]
}

/// # Errors
/// If the answers to a request differ.
pub fn compare(server: SocketAddr, other: SocketAddr, tokens: &[String]) -> Result<()> {
    let token = tokens.first().context("there are no tokens")?;
    let forged = format!("{token}x");
    let valid = requests().into_iter().map(|request| (token.as_str(), request));
    let rejected = requests().into_iter().map(|request| (forged.as_str(), request));
    for (token, request) in valid.chain(rejected) {
        let (expected, found) = (send(server, token, &request)?, send(other, token, &request)?);
        if mask_times(&expected) != mask_times(&found) {
            let (method, path, _) = request;
            bail!("different answers to {method} {path}:\n{expected}\n{found}");
        }
    }
    Ok(())
}

/// Returns status, media type and body of the response as one text.
fn send(
    server: SocketAddr,
    token: &str,
    (method, path, body): &(&str, String, Option<String>),
) -> Result<String> {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("http://{server}{path}");
    let authorization = format!("Bearer {token}");
    let sent = match body {
        None => agent.get(url).header("authorization", authorization).call(),
        Some(body) => agent
            .post(url)
            .header("authorization", authorization)
            .content_type("application/json")
            .send(body),
    };
    let mut response = sent.with_context(|| format!("{method} {path} at {server}"))?;
    let media_type = response.headers().get("content-type").cloned();
    let media_type = media_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, media_type) = (response.status(), media_type.to_owned());
    Ok(format!("{status}\n{media_type}\n{}", response.body_mut().read_to_string()?))
}

/// Replaces each digit of a time by 0.
fn mask_times(answer: &str) -> String {
    let mut parts = answer.split(TIME_LABEL);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (time, rest) = part.split_once('"').unwrap_or((part, ""));
        masked.push_str(TIME_LABEL);
        masked.extend(time.chars().map(|one| if one.is_ascii_digit() { '0' } else { one }));
        masked.push('"');
        masked.push_str(rest);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_times_are_masked() {
        let answer = r#"[{"id":17,"created_at":"2025-01-31T12:00:00.123456Z","votes":3}]"#;
        let masked = r#"[{"id":17,"created_at":"0000-00-00T00:00:00.000000Z","votes":3}]"#;
        assert_eq!(mask_times(answer), masked);
        assert_eq!(mask_times("no time 7"), "no time 7");
    }
}
