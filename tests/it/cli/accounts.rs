//! `post-api user` and `post-api post` while the service runs, on both databases.
//! Not here: their input, output and errors, see `account_input.rs`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Outcome, run_with, run_with_input};
use crate::support::{Cluster, FORM, PASSWORD, Service, TestResponse};

pub(super) const ANOTHER_PASSWORD: &str = "94 moss anchors";

const KEY: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

/// The processes that serve one database, and how its commands are run.
pub(super) struct Installation<'a> {
    folder: &'a Path,
    environment: &'a [(&'a str, &'a str)],
    services: Vec<Service>,
}

impl<'a> Installation<'a> {
    /// Starts the service in the folder, without settings.
    pub(super) fn start(folder: &'a Path) -> Self {
        Self { folder, environment: &[], services: vec![Service::start_in(folder, &[])] }
    }
    fn run(&self, line: &str) -> Outcome {
        run_with(self.folder, line, self.environment)
    }

    fn run_with_password(&self, line: &str, password: &str) -> Outcome {
        let arguments: Vec<&str> = line.split(' ').chain(["--password-stdin"]).collect();
        let input = format!("{password}\n");
        run_with_input(self.folder, &arguments, self.environment, input.as_bytes())
    }

    /// Calls each service. All must give the same status.
    fn call(&self, method: &str, path: &str, token: &str, status: u16) -> TestResponse {
        let calls = self.services.iter().map(|service| {
            service.connect().call(method, path, token, None).unwrap().expect(status)
        });
        calls.reduce(|_, last| last).unwrap()
    }

    /// Sends the form to each service. All must give the same status.
    fn send_form(&self, fields: &[(&str, &str)], status: u16) -> TestResponse {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        let send = |service: &Service| service.connect().exchange(request.clone()).expect(status);
        self.services.iter().map(send).reduce(|_, last| last).unwrap()
    }

    pub(super) fn log_in(&self, email: &str, password: &str, status: u16) -> TestResponse {
        let scope = "offline_access";
        self.send_form(&[("username", email), ("password", password), ("scope", scope)], status)
    }

    fn refresh(&self, token: &str, status: u16) {
        self.send_form(&[("grant_type", "refresh_token"), ("refresh_token", token)], status);
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

/// Returns the lines of a list without its header, each split at its tabs.
pub(super) fn rows(outcome: &Outcome) -> Vec<Vec<&str>> {
    outcome.output.lines().skip(1).map(|line| line.split('\t').collect()).collect()
}

fn manage_accounts(installation: &Installation<'_>) {
    let added = installation.run_with_password("user add ada@EXAMPLE.com", PASSWORD).expect(0);
    assert!(added.output.starts_with("added account "), "{}", added.output);
    assert!(added.error.contains("created_by_operator"), "{}", added.error);
    let refused = installation.run_with_password("user add ada@example.com", PASSWORD).expect(1);
    assert_eq!(refused.error, "another account has the e-mail ada@example.com\n");
    let login = installation.log_in("ada@example.com", PASSWORD, 200).json();
    let (token, refresh) = (text(&login, "access_token"), text(&login, "refresh_token"));
    let [ref unknown, ref wrong] = [("eve@example.com", PASSWORD), ("ada@example.com", "wrong")]
        .map(|(email, password)| installation.log_in(email, password, 403));

    installation.run("user disable ada@EXAMPLE.com").expect(0);
    installation.call("GET", "/users/me", &token, 401);
    installation.refresh(&refresh, 400);
    let refused = installation.log_in("ada@example.com", PASSWORD, 403);
    for response in [unknown, wrong] {
        assert_eq!(refused.body, response.body);
        let names = |response: &TestResponse| response.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&refused), names(response));
    }
    let listed = installation.run("user list --disabled --search ADA@").expect(0);
    assert_eq!(rows(&listed).len(), 1, "{}", listed.output);
    let again = installation.run("user disable ada@example.com").expect(0);
    assert!(again.output.contains("disabled already"), "{}", again.output);

    installation.run("user enable ada@example.com").expect(0);
    let again = installation.run("user enable ada@example.com").expect(0);
    assert!(again.output.contains("is not disabled"), "{}", again.output);
    assert_eq!(rows(&installation.run("user list --disabled").expect(0)).len(), 0);
    installation.call("GET", "/users/me", &token, 401);
    installation.refresh(&refresh, 400);
    let login = installation.log_in("ada@example.com", PASSWORD, 200).json();
    let (token, refresh) = (text(&login, "access_token"), text(&login, "refresh_token"));

    installation.run_with_password("user set-password ada@example.com", ANOTHER_PASSWORD).expect(0);
    installation.call("GET", "/users/me", &token, 401);
    installation.refresh(&refresh, 400);
    installation.log_in("ada@example.com", PASSWORD, 403);
    let login = installation.log_in("ada@example.com", ANOTHER_PASSWORD, 200).json();
    let token = text(&login, "access_token");
    installation.run("user sign-out ada@EXAMPLE.com").expect(0);
    installation.call("GET", "/users/me", &token, 401);
    let login = installation.log_in("ada@example.com", ANOTHER_PASSWORD, 200).json();
    let token = text(&login, "access_token");
    grant_and_revoke_admin(installation, &token);
    moderate_posts(installation, &token);
    compare_events(installation, &token);

    let unconfirmed = installation.run("user delete ada@example.com").expect(2);
    assert!(unconfirmed.error.contains("give --yes"), "{}", unconfirmed.error);
    let deleted = installation.run("user delete ada@example.com --yes").expect(0);
    assert!(deleted.error.contains("deleted_by_operator"), "{}", deleted.error);
    installation.log_in("ada@example.com", ANOTHER_PASSWORD, 403);
    assert_eq!(rows(&installation.run("user list").expect(0)).len(), 0);
    assert_eq!(rows(&installation.run("post list").expect(0)).len(), 0);
}

fn grant_and_revoke_admin(installation: &Installation<'_>, token: &str) {
    installation.call("GET", "/admin/users", token, 403);
    let granted = installation.run("user grant-admin ada@EXAMPLE.com").expect(0);
    assert!(granted.output.ends_with(" an administrator\n"), "{}", granted.output);
    assert!(granted.error.contains("admin_granted_by_operator"), "{}", granted.error);
    let again = installation.run("user grant-admin ada@example.com").expect(0);
    assert!(again.output.contains("administrator already"), "{}", again.output);
    installation.call("GET", "/admin/users", token, 200);
    let listed = installation.run("user list --admin").expect(0);
    assert_eq!(rows(&listed)[0][5], "true", "{}", listed.output);

    let revoked = installation.run("user revoke-admin ada@example.com").expect(0);
    assert!(revoked.output.ends_with("no administrator any more\n"), "{}", revoked.output);
    assert!(revoked.error.contains("admin_revoked_by_operator"), "{}", revoked.error);
    installation.call("GET", "/admin/users", token, 403);
    let again = installation.run("user revoke-admin ada@example.com").expect(0);
    assert!(again.output.ends_with("is no administrator\n"), "{}", again.output);
    assert_eq!(rows(&installation.run("user list --admin").expect(0)).len(), 0);
    assert_eq!(rows(&installation.run("user list").expect(0))[0][5], "false");
    for command in ["grant-admin", "revoke-admin"] {
        let unknown = installation.run(&format!("user {command} eve@example.com")).expect(1);
        assert!(unknown.error.ends_with("no account has the e-mail eve@example.com\n"));
    }
}

fn compare_events(installation: &Installation<'_>, token: &str) {
    let events = installation.call("GET", "/users/me/events", token, 200).json();
    let mut by_operator: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .filter(|event| event["client"].is_null())
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    by_operator.dedup();
    assert_eq!(
        by_operator,
        [
            "created_by_operator",
            "disabled_by_operator",
            "enabled_by_operator",
            "password_set_by_operator",
            "signed_out_by_operator",
            "admin_granted_by_operator",
            "admin_revoked_by_operator",
            "post_deleted_by_operator",
        ]
    );
}

fn moderate_posts(installation: &Installation<'_>, token: &str) {
    let write = |title: &str, published: bool| {
        let post = json!({"title": title, "content": "Buy this", "published": published});
        let mut wire = installation.services[0].connect();
        wire.call("POST", "/posts", token, Some(&post)).unwrap().expect(201).json()["id"]
            .as_i64()
            .unwrap()
    };
    let (first, draft, last) = (write("one", true), write("two", false), write("three", true));
    let listed = installation.run("post list --owner ada@EXAMPLE.com --search BUY").expect(0);
    let ids: Vec<&str> = rows(&listed).into_iter().map(|row| row[0]).collect();
    assert_eq!(ids, [last, draft, first].map(|id| id.to_string()));
    let listed = installation.run(&format!("post list --json --after {last}")).expect(0);
    let posts: Vec<Value> =
        listed.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = posts.iter().map(|post| (&post["title"], &post["published"])).collect();
    assert_eq!(shown, [(&json!("two"), &json!(false)), (&json!("one"), &json!(true))]);

    let deleted = installation.run(&format!("post delete {draft} 999999 {first}")).expect(1);
    assert_eq!(deleted.output, format!("deleted post {draft}\ndeleted post {first}\n"));
    assert!(deleted.error.ends_with("there is no post 999999\n"), "{}", deleted.error);
    installation.call("GET", &format!("/posts/{draft}"), token, 404);
    installation.call("GET", &format!("/posts/{last}"), token, 200);
}

#[test]
fn operator_manages_accounts_and_posts_beside_the_service_on_the_embedded_database() {
    let folder = TempDir::new().unwrap();
    manage_accounts(&Installation::start(folder.path()));
}

#[test]
fn operator_manages_accounts_and_posts_beside_two_processes_on_postgresql() {
    let folder = TempDir::new().unwrap();
    let database = Cluster::shared().database();
    let environment = [("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)];
    let start = |()| Service::start_in(folder.path(), &environment);
    let services = [(), ()].map(start).into_iter().collect();
    manage_accounts(&Installation { folder: folder.path(), environment: &environment, services });
}
