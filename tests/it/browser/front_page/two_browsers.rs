//! Two browsers at the page at `/`: one shows all that the other does, in order, on each store. The
//! tests print how long it took, and assert no time.

use serde_json::{Value, json};

use super::visitor::Visitor;
use crate::browser::chromium::Browser;
use crate::browser::visits::browse_in_two;
use crate::support::{Cluster, Engine, PASSWORD, PostgresDatabase, Service};

/// Posts in the short form, and in the long one, with `STRESS_SECONDS`. A page of the list has 20.
const POSTS: [usize; 2] = [20, 100];

const EMAILS: [&str; 2] = ["ada@example.com", "bob@example.com"];

/// Publishes a post with the client of the page, and returns the time before.
const WRITE: &str = "const title = arguments[0];
    return (async () => {
      const {call} = await import(`${location.origin}/app/client.js`);
      const at = performance.timeOrigin + performance.now();
      await call('POST', 'posts', {json: {title, content: 'Text'}});
      return at;
    })()";

/// Collects each text of an element that is shown, with its time.
const OBSERVE: &str = "window.seen = [];
    const node = document.querySelector(arguments[0]);
    const note = () => {
      const text = node.hidden ? '' : node.textContent;
      if (text && text !== window.seen.at(-1)?.[0]) {
        window.seen.push([text, performance.timeOrigin + performance.now()]);
      }
    };
    new MutationObserver(note).observe(node, {attributes: true, childList: true})";

/// A service on one of the stores, and its database.
struct OnStore {
    service: Service,
    _database: Option<PostgresDatabase<'static>>,
}

impl OnStore {
    fn start(engine: Engine) -> Self {
        let database = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Cluster::shared().database()),
        };
        let settings = database.as_ref().map(|database| {
            [("DATABASE_URL", database.url()), ("SECRET_KEY", "b5b1c2a7f0e34d2f9c7816c7cc1f0c0b")]
        });
        let settings = settings.as_ref().map_or(&[][..], |settings| settings);
        Self { service: Service::start(settings), _database: database }
    }
}

async fn wait_for_seen(browser: &Browser, count: usize) {
    let script = format!("return window.seen.length < {count} ? null : true");
    browser.wait_for_result(&script).await;
}

/// Returns what the browser has seen: the texts, and their times.
async fn seen(browser: &Browser) -> (Vec<String>, Vec<f64>) {
    let seen = browser.run("return window.seen").await;
    let seen = seen.as_array().unwrap().iter();
    let read = |entry: &Value| (entry[0].as_str().unwrap().to_owned(), entry[1].as_f64().unwrap());
    seen.map(read).unzip()
}

#[expect(clippy::print_stdout, reason = "the harness shows it with --nocapture")]
fn print_delays(what: &str, sent: &[f64], shown: &[f64]) {
    let mut delays: Vec<f64> = sent.iter().zip(shown).map(|(sent, shown)| shown - sent).collect();
    delays.sort_by(f64::total_cmp);
    let (median, maximum) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("{what}: {} seen, median {median:.0} ms, maximum {maximum:.0} ms", delays.len());
}

/// Signs both up, and waits until the second has a stream.
async fn settle(first: &Browser, second: &Browser, url: &str) {
    Visitor::open(first, url).await.sign_up(EMAILS[0]).await;
    Visitor::open(second, url).await.sign_up(EMAILS[1]).await;
    for browser in [first, second] {
        browser.wait_for("body.live").await;
        browser.run("window.isSameDocument = true").await;
    }
}

async fn second_shows_all_posts_of_first(engine: Engine) {
    let store = OnStore::start(engine);
    let url = store.service.url.clone();
    let posts = POSTS[usize::from(std::env::var_os("STRESS_SECONDS").is_some())];
    browse_in_two(async move |first, second| {
        settle(&first, &second, &url).await;
        second.run_with(OBSERVE, &[".fresh"]).await;
        let mut sent = Vec::new();
        for number in 1..=posts {
            sent.push(first.run_with(WRITE, &[&format!("Post {number}")]).await.as_f64().unwrap());
            wait_for_seen(&second, number).await;
        }
        let (texts, times) = seen(&second).await;
        let plural = |number| if number == 1 { "post" } else { "posts" };
        let expected = (1..=posts).map(|number| format!("{number} new {}", plural(number)));
        assert_eq!(texts, expected.collect::<Vec<_>>());
        print_delays(&format!("posts on {engine:?}"), &sent, &times);

        second.click_for(".fresh", ".rows article:nth-child(20)").await;
        for shown in (40..=posts).step_by(20) {
            second.click_for(".more", &format!(".rows article:nth-child({shown})")).await;
        }
        let titles = "return [...document.querySelectorAll('.rows .title')]
            .map((title) => title.textContent)";
        let newest_first: Vec<_> = (1..=posts).rev().map(|n| format!("Post {n}")).collect();
        assert_eq!(second.run(titles).await, json!(newest_first));
        assert_eq!(second.run("return window.isSameDocument").await, true);
        for browser in [&first, &second] {
            browser.assert_console_is_empty("/").await;
        }
        drop(store);
    })
    .await;
}

/// Votes of four accounts: one in the first browser, others as other clients send them.
async fn second_shows_each_count_of_votes(engine: Engine) {
    let store = OnStore::start(engine);
    let url = store.service.url.clone();
    browse_in_two(async move |first, second| {
        settle(&first, &second, &url).await;
        let ada = Visitor::new(&first);
        ada.write("First", "Text").await;
        second.click(".fresh").await;
        second.wait_for_text(".rows", "First").await;
        second.run_with(OBSERVE, &[".rows .count"]).await;
        let now = "return performance.timeOrigin + performance.now()";
        let mut sent = Vec::new();
        let (up, down) = (".votes button:first-child", ".votes button:last-child");
        for (number, button) in [up, up, down].into_iter().enumerate() {
            sent.push(first.run(now).await.as_f64().unwrap());
            first.click(button).await;
            wait_for_seen(&second, number + 1).await;
        }
        for (number, name) in ["carol", "dan", "eve"].into_iter().enumerate() {
            let email = format!("{name}@example.com");
            let account = json!({"email": email, "password": PASSWORD});
            let mut wire = store.service.connect();
            wire.call("POST", "/users", "", Some(&account)).unwrap().expect(201);
            let token = store.service.log_in(&email);
            sent.push(first.run(now).await.as_f64().unwrap());
            let vote = json!({"post_id": 1, "dir": 1});
            wire.call("POST", "/vote", &token, Some(&vote)).unwrap().expect(201);
            wait_for_seen(&second, number + 4).await;
        }
        let (texts, times) = seen(&second).await;
        assert_eq!(texts, ["1", "0", "-1", "0", "1", "2"]);
        print_delays(&format!("votes on {engine:?}"), &sent, &times);
        first.wait_for_text("article .count", "2").await;
        assert_eq!(second.run("return window.isSameDocument").await, true);
        for browser in [&first, &second] {
            browser.assert_console_is_empty("/").await;
        }
        drop(store);
    })
    .await;
}

/// The same account in both browsers: the first signs out everywhere, and then another client does.
async fn second_shows_login_after_sign_out(engine: Engine) {
    let store = OnStore::start(engine);
    let url = store.service.url.clone();
    browse_in_two(async move |first, second| {
        let ada = Visitor::open(&first, &url).await;
        ada.sign_up(EMAILS[0]).await;
        let other = Visitor::open(&second, &url).await;
        other.show("login").await;
        other.log_in(EMAILS[0], PASSWORD).await;
        second.wait_for("body.live").await;
        ada.show("account").await;
        first.click(".all").await;
        second.wait_for_text(".card h2", "Log in").await;
        second.wait_until_gone("body.live").await;

        other.log_in(EMAILS[0], PASSWORD).await;
        second.wait_for("body.live").await;
        let token = store.service.log_in(EMAILS[0]);
        store.service.connect().call("POST", "/logout", &token, None).unwrap().expect(204);
        second.wait_for_text(".card h2", "Log in").await;
        second.wait_until_gone("body.live, .signed-in").await;
        // The service has refused the stream and the refresh token.
        let is_refusal = |message: &str| message.contains("401") || message.contains("400");
        second.assert_no_console_error(is_refusal).await;
        drop(store);
    })
    .await;
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn second_browser_shows_each_post_in_order() {
        second_shows_all_posts_of_first(Engine::Sqlite).await;
    }

    #[tokio::test]
    async fn second_browser_shows_each_count_of_votes() {
        second_shows_each_count_of_votes(Engine::Sqlite).await;
    }

    #[tokio::test]
    async fn sign_out_of_all_sessions_shows_the_login_in_the_second_browser() {
        second_shows_login_after_sign_out(Engine::Sqlite).await;
    }
}

mod postgres {
    use super::*;

    #[tokio::test]
    async fn second_browser_shows_each_post_in_order() {
        second_shows_all_posts_of_first(Engine::Postgres).await;
    }

    #[tokio::test]
    async fn second_browser_shows_each_count_of_votes() {
        second_shows_each_count_of_votes(Engine::Postgres).await;
    }

    #[tokio::test]
    async fn sign_out_of_all_sessions_shows_the_login_in_the_second_browser() {
        second_shows_login_after_sign_out(Engine::Postgres).await;
    }
}
