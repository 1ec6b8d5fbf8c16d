//! `GET /posts`: the `Link` header, cursors, and the parameters of the list.

use post_api::domain::policy::Policy;
use serde_json::{Value, json};

use crate::support::{Setup, TestApp, TestCaller, TestResponse};

/// Returns the target of the link with this relation, as `requests` parses it.
fn link(response: &TestResponse, relation: &str) -> Option<String> {
    let relation = format!("; rel=\"{relation}\"");
    let mut links = response.header("link").split(", ");
    let target = links.find_map(|link| link.strip_suffix(&relation))?;
    Some(target.strip_prefix('<').unwrap().strip_suffix('>').unwrap().to_owned())
}

fn titles(response: &TestResponse) -> Vec<String> {
    let title = |item: &Value| item["Post"]["title"].as_str().unwrap().to_owned();
    response.json().as_array().unwrap().iter().map(title).collect()
}

/// Returns the titles of the page and of all pages after it.
async fn walk(caller: &TestCaller<'_>, path: &str) -> Vec<String> {
    let mut path = path.to_owned();
    let mut walked = Vec::new();
    loop {
        let page = caller.get(&path).await.expect(200);
        walked.extend(titles(&page));
        let Some(next) = link(&page, "next") else { return walked };
        path = next;
    }
}

#[tokio::test]
async fn links_lead_through_the_list_and_back() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    for number in 0..5 {
        ada.write_post(&number.to_string()).await;
    }
    let first = ada.get("/posts?limit=2").await.expect(200);
    assert_eq!(titles(&first), ["4", "3"]);
    let relations: Vec<&str> = first
        .header("link")
        .split("rel=")
        .skip(1)
        .map(|rest| rest.trim_end_matches([',', ' ', '<']))
        .collect();
    assert!(relations[0].starts_with("\"next\""), "{relations:?}");
    assert!(relations[1].starts_with("\"prev\""), "{relations:?}");
    assert_eq!(relations[2], "\"first\"");
    assert_eq!(link(&first, "first").unwrap(), "/posts?limit=2");
    let second = ada.get(&link(&first, "next").unwrap()).await.expect(200);
    assert_eq!(titles(&second), ["2", "1"]);
    let third = ada.get(&link(&second, "next").unwrap()).await.expect(200);
    assert_eq!(titles(&third), ["0"]);
    assert_eq!(link(&third, "next"), None);
    let back = ada.get(&link(&third, "prev").unwrap()).await.expect(200);
    assert_eq!(titles(&back), ["2", "1"]);
    let head = ada.head("/posts?limit=2").await.expect(200);
    assert_eq!(head.header("link"), first.header("link"));
    // The page before the newest posts is empty until there are newer ones.
    let newer = link(&first, "prev").unwrap();
    for _ in 0..3 {
        let none = ada.get(&newer).await.expect(200);
        assert_eq!((none.json(), link(&none, "prev").unwrap()), (json!([]), newer.clone()));
    }
    ada.write_post("5").await;
    assert_eq!(titles(&ada.get(&newer).await), ["5"]);
    assert_eq!(walk(&ada, "/posts?limit=1&sort=oldest").await, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn link_repeats_the_parameters_of_the_list() {
    for root_path in ["", "/api"] {
        let app = TestApp::set_up(Setup { root_path: root_path.to_owned(), ..Setup::default() });
        let app = app.await;
        let ada = app.signed_in("ada").await;
        for _ in 0..3 {
            ada.write_post("a&b+c%d é").await;
        }
        let query = "limit=1&search=a%26b%2Bc%25d+%C3%A9&unknown=1&skip=1&since=\
                     2025-01-01T00:00:00%2B02:00&owner=me&sort=newest&cursor=";
        let page = ada.get(&format!("/posts?{query}")).await.expect(200);
        let first = format!(
            "{root_path}/posts?limit=1&search=a%26b%2Bc%25d%20%C3%A9&sort=newest&owner=me\
             &since=2025-01-01T00%3A00%3A00%2B02%3A00"
        );
        assert_eq!(link(&page, "first").unwrap(), first);
        let next = link(&page, "next").unwrap();
        assert!(next.starts_with(&format!("{first}&cursor=")), "{next}");
        assert_eq!(titles(&ada.get(&next).await.expect(200)).len(), 1);
        assert_eq!(link(&page, "prev"), None, "a search has no earlier page");
    }
}

/// Proxies refuse a long response head. The next page is still linked.
#[tokio::test]
async fn link_of_long_search_has_only_the_next_page() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let title = "x".repeat(1000);
    for _ in 0..2 {
        ada.write_post(&title).await;
    }
    let page = ada.get(&format!("/posts?limit=1&search={title}")).await.expect(200);
    assert!(page.header("link").len() < 2048, "{}", page.header("link"));
    assert_eq!((link(&page, "first"), link(&page, "prev")), (None, None));
    let next = ada.get(&link(&page, "next").unwrap()).await.expect(200);
    assert_eq!(titles(&next), [title]);
}

#[tokio::test]
async fn list_without_pages_has_no_link() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    ada.write_post("post").await;
    assert_eq!(ada.get("/posts?limit=0").await.expect(200).header("link"), "");
    assert_ne!(ada.get("/posts").await.expect(200).header("link"), "");
    let reference =
        TestApp::set_up(Setup { policy: Policy::reference(), ..Setup::default() }).await;
    let ada = reference.signed_in("ada").await;
    ada.write_post("post").await;
    assert_eq!(ada.get("/posts").await.expect(200).header("link"), "");
    assert_eq!(walk(&ada, "/posts?limit=1").await, ["post"]);
}

#[tokio::test]
async fn lists_of_owner_and_time_have_their_posts() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for number in 0..3 {
        ada.write_post(&format!("hers {number}")).await;
        bob.write_post(&format!("his {number}")).await;
        bob.write_draft(&format!("draft {number}")).await;
        app.clock.advance(60);
    }
    let time = "2025-01-31T12:01:00.123456Z";
    for (query, found) in [
        (format!("owner={}", bob.id), vec!["his 2", "his 1", "his 0"]),
        ("owner=me&sort=oldest".to_owned(), vec!["his 0", "his 1", "his 2"]),
        (format!("owner={}&search=2", ada.id), vec!["hers 2"]),
        (format!("since={time}"), vec!["his 2", "hers 2", "his 1", "hers 1"]),
        (format!("until={time}"), vec!["his 0", "hers 0"]),
        (format!("until={time}&sort=oldest"), vec!["hers 0", "his 0"]),
        (format!("since={time}&owner=me"), vec!["his 2", "his 1"]),
        (format!("since={time}&until={time}"), vec![]),
        ("owner=4711".to_owned(), vec![]),
        ("owner=99999999999999999999".to_owned(), vec![]),
        ("owner=-1".to_owned(), vec![]),
        ("published=false&owner=me".to_owned(), vec!["draft 2", "draft 1", "draft 0"]),
        (
            format!("published=false&owner={}&sort=oldest", bob.id),
            vec!["draft 0", "draft 1", "draft 2"],
        ),
        (format!("published=false&until={time}"), vec!["draft 0"]),
        ("since=2030-01-01T00:00:00Z".to_owned(), vec![]),
        ("since=2030-01-01T00:00:00Z&until=2020-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        assert_eq!(bob.titles(&format!("/posts?{query}")).await, found, "{query}");
        assert_eq!(walk(&bob, &format!("/posts?limit=1&{query}")).await, found, "{query}");
    }
}

fn errors(response: TestResponse) -> Vec<(String, String, Value)> {
    let errors = response.expect(422).json()["detail"].as_array().unwrap().clone();
    let field = |error: &Value| error["loc"][1].as_str().unwrap().to_owned();
    let kind = |error: &Value| error["type"].as_str().unwrap().to_owned();
    errors.iter().map(|error| (field(error), kind(error), error["msg"].clone())).collect()
}

#[tokio::test]
async fn invalid_parameter_of_list_is_rejected() {
    let app = TestApp::start().await;
    let ada = app.signed_in("ada").await;
    let other = app.signed_in("bob").await.id;
    for (query, field, kind, message) in [
        ("sort=newst", "sort", "literal_error", "Input should be"),
        ("sort=", "sort", "literal_error", "Input should be"),
        ("owner=you", "owner", "int_parsing", "Input should be a valid integer"),
        ("owner=1.5", "owner", "int_parsing", "Input should be a valid integer"),
        ("since=yesterday", "since", "datetime_parsing", "Input should be a valid datetime"),
        ("until=2025-01-31T12:00:00", "until", "timezone_aware", "Input should have timezone info"),
        ("cursor=x", "cursor", "value_error", "Value error, the cursor is not one of this list"),
        ("cursor=x&skip=1", "cursor", "value_error", "Value error, skip goes with no cursor"),
        (
            "sort=oldest&search=x",
            "sort",
            "value_error",
            "Value error, search goes with no other sort than newest",
        ),
        (
            &format!("published=false&owner={other}"),
            "owner",
            "value_error",
            "Value error, published=false goes with no other owner",
        ),
    ] {
        let found = errors(ada.get(&format!("/posts?{query}")).await);
        let [(found_field, found_kind, found_message)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found_field.as_str(), found_kind.as_str()), (field, kind), "{query}");
        assert!(found_message.as_str().unwrap().starts_with(message), "{query}: {found_message}");
    }
    let all = "limit=x&skip=x&search=%00&published=x&sort=x&owner=x&since=x&until=x";
    let fields: Vec<String> =
        errors(ada.get(&format!("/posts?{all}")).await).into_iter().map(|error| error.0).collect();
    assert_eq!(fields, ["limit", "skip", "search", "published", "sort", "owner", "since", "until"]);
    // An invalid token takes precedence.
    ada.delete(&format!("/users/{}", ada.id)).await.expect(204);
    ada.get("/posts?cursor=x").await.expect(401);
    ada.get(&format!("/posts?published=false&owner={other}")).await.expect(401);
}

/// A cursor is a position in one list, for every account, and does not depend on the limit.
#[tokio::test]
async fn cursor_is_valid_in_its_list_only() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.signed_in("ada").await, app.signed_in("bob").await);
    for number in 0..4 {
        ada.write_post(&number.to_string()).await;
    }
    let page = ada.get("/posts?limit=1").await;
    let next = link(&page, "next").unwrap();
    let cursor = next.split("cursor=").nth(1).unwrap();
    assert_eq!(bob.titles(&format!("/posts?limit=2&cursor={cursor}")).await, ["2", "1"]);
    assert_eq!(bob.titles(&format!("/posts?sort=newest&cursor={cursor}")).await, ["2", "1", "0"]);
    for other in
        ["sort=oldest", "owner=me", "search=1", "published=false", "since=2020-01-01T00:00:00Z"]
    {
        ada.get(&format!("/posts?{other}&cursor={cursor}")).await.expect(422);
    }
    let mut changed = cursor.to_owned();
    changed.replace_range(5..6, if &cursor[5..6] == "A" { "B" } else { "A" });
    ada.get(&format!("/posts?cursor={changed}")).await.expect(422);
}
