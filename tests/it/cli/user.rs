//! `post-api user`: commands on accounts while the service runs.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::{run, run_with};
use crate::support::{Cluster, PASSWORD, Service};

type Environment<'a> = [(&'a str, &'a str)];

fn status(service: &Service, token: &str) -> u16 {
    let response = service.connect().call("GET", "/users/me", token, None).unwrap();
    response.status.as_u16()
}

/// Signs out one account, then all, while the service runs.
fn sign_out(folder: &Path, environment: &Environment<'_>) {
    let service = Service::start_in(folder, environment);
    let emails = ["ada@example.com", "bob@example.com"];
    for email in emails {
        let account = json!({"email": email, "password": PASSWORD});
        service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    }
    let [ada, bob] = emails.map(|email| service.log_in(email));
    assert_eq!([status(&service, &ada), status(&service, &bob)], [200, 200]);

    let outcome = run_with(folder, "user sign-out ada@EXAMPLE.com", environment).expect(0);
    assert_eq!(outcome.output, "signed out 1 account\n");
    assert_eq!([status(&service, &ada), status(&service, &bob)], [401, 200]);
    let ada = service.log_in("ada@example.com");
    assert_eq!(status(&service, &ada), 200);

    let outcome = run_with(folder, "user sign-out --all", environment).expect(0);
    assert_eq!(outcome.output, "signed out 2 accounts\n");
    assert!(outcome.error.contains("signed_out_by_operator"), "{}", outcome.error);
    assert!(outcome.error.contains("accounts=2"), "{}", outcome.error);
    assert_eq!([status(&service, &ada), status(&service, &bob)], [401, 401]);
    let ada = service.log_in("ada@example.com");
    assert_eq!(status(&service, &ada), 200);

    for email in ["eve@example.com", "nonsense", "@"] {
        let command = format!("user sign-out {email}");
        let outcome = run_with(folder, &command, environment).expect(1);
        assert!(outcome.error.ends_with(&format!("no account has the e-mail {email}\n")));
    }
    assert_eq!(status(&service, &ada), 200);
}

#[test]
fn operator_can_sign_out_one_or_all_accounts_on_the_embedded_database() {
    let folder = TempDir::new().unwrap();
    sign_out(folder.path(), &[]);
}

#[test]
fn operator_can_sign_out_one_or_all_accounts_on_postgresql() {
    let folder = TempDir::new().unwrap();
    let database = Cluster::shared().database();
    let environment =
        [("DATABASE_URL", database.url()), ("SECRET_KEY", "7c1f0a94e2b85d36f7a1c05e9d42b83a")];
    sign_out(folder.path(), &environment);
}

#[test]
fn sign_out_without_valid_account_is_rejected() {
    let folder = TempDir::new().unwrap();
    for arguments in ["", " a@example.com --all", " --everybody"] {
        let refused = run(folder.path(), &format!("user sign-out{arguments}")).expect(2);
        assert!(!refused.error.is_empty(), "{arguments}");
    }
    run(folder.path(), "user").expect(2);
    assert!(!folder.path().join("data").exists(), "a rejected command created a database");
}

#[test]
fn outdated_database_is_reported_with_the_upgrade_command() {
    let folder = super::folder();
    for step in ["db current", "db upgrade 5"] {
        run(folder.path(), step).expect(0);
        let refused = run(folder.path(), "user sign-out --all").expect(1);
        assert!(refused.error.contains("run `post-api db upgrade`"), "{}", refused.error);
    }
}
