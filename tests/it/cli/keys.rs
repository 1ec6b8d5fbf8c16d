//! `keys.json`: the takeover of the older file `secret_key`, and concurrent starts and rotations.

use std::path::Path;
use std::process::{Child, Stdio};

use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::run;
use crate::support::{PASSWORD, Service};

const OLD: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";
const OLDEST: &str = "e42d9c70a8f6b1357d0e2c4b6a8f9135";

fn secrets(folder: &Path) -> Vec<String> {
    let file = std::fs::read(folder.join("data/keys.json")).unwrap();
    let entries: Vec<Value> = serde_json::from_slice(&file).unwrap();
    entries.iter().map(|entry| entry["secret"].as_str().unwrap().to_owned()).collect()
}

fn status(service: &Service, token: &str) -> StatusCode {
    service.connect().call("GET", "/users/me", token, None).unwrap().status
}

fn exists_in_data(folder: &Path, name: &str) -> bool {
    folder.join("data").join(name).exists()
}

#[test]
fn token_of_an_earlier_build_is_valid_after_the_takeover_of_its_secret() {
    let folder = TempDir::new().unwrap();
    let before = Service::start_in(folder.path(), &[("SECRET_KEY", OLD)]);
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    before.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = before.log_in("ada@example.com");
    drop(before);
    let file = folder.path().join("data/secret_key");
    for lines in [format!("{OLD}\n"), format!("{OLDEST}\n{OLD}\n")] {
        let _ = std::fs::remove_file(folder.path().join("data/keys.json"));
        std::fs::write(&file, lines).unwrap();
        let service = Service::start_in(folder.path(), &[]);
        assert!(service.stderr().contains("took over the secrets"), "{}", service.stderr());
        assert_eq!(status(&service, &token), 200);
        assert_eq!(status(&service, &service.log_in("ada@example.com")), 200);
        assert!(
            exists_in_data(folder.path(), "keys.json")
                && !exists_in_data(folder.path(), "secret_key")
        );
    }
    assert_eq!(secrets(folder.path()), [OLDEST, OLD]);
}

#[test]
fn concurrent_first_starts_use_the_same_secret() {
    let folder = TempDir::new().unwrap();
    let services: Vec<Service> = std::thread::scope(|scope| {
        let start = || Service::start_in(folder.path(), &[]);
        let starts: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    services[0].connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
    let token = services[0].log_in("ada@example.com");
    for service in &services {
        assert_eq!(status(service, &token), 200);
    }
    assert_eq!(secrets(folder.path()).len(), 1);
}

#[test]
fn concurrent_rotations_all_count() {
    let folder = TempDir::new().unwrap();
    drop(Service::start_in(folder.path(), &[]));
    let rotate = |_| -> Child {
        let mut command = Service::command(folder.path());
        command.args(["secret", "rotate"]).stderr(Stdio::inherit()).spawn().unwrap()
    };
    let rotations: Vec<Child> = (0..5).map(rotate).collect();
    for mut rotation in rotations {
        assert!(rotation.wait().unwrap().success());
    }
    assert_eq!(secrets(folder.path()).len(), 6);
}

#[test]
fn rotation_before_the_first_start_of_this_build_takes_over_the_secret() {
    let folder = super::folder();
    std::fs::write(folder.path().join("data/secret_key"), OLD).unwrap();
    run(folder.path(), "secret rotate").expect(0);
    assert_eq!(secrets(folder.path())[1..], [OLD]);
    assert!(!exists_in_data(folder.path(), "secret_key"));
}
