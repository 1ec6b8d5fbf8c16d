//! Key rotation: which tokens stay valid and which do not.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::key_files::{ED25519, P256};
use crate::support::{PASSWORD, Service};

const OLD: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";
const NEW: &str = "e42d9c70a8f6b1357d0e2c4b6a8f9135";

fn sign_up(service: &Service) {
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    service.connect().call("POST", "/users", "", Some(&account)).unwrap().expect(201);
}

fn log_in(service: &Service) -> String {
    service.log_in("ada@example.com")
}

fn is_accepted(service: &Service, token: &str) -> bool {
    let response = service.connect().call("GET", "/users/me", token, None).unwrap();
    assert!(response.status == 200 || response.status == 401, "{response:?}");
    response.status == 200
}

fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

fn rotate(folder: &Path, flags: &[&str]) {
    let mut command = Service::command(folder);
    assert!(command.args(["secret", "rotate"]).args(flags).status().unwrap().success());
}

#[test]
fn rotated_secret_signs_after_a_restart_and_old_tokens_stay_valid() {
    let folder = TempDir::new().unwrap();
    let first = Service::start_in(folder.path(), &[]);
    sign_up(&first);
    let old = log_in(&first);
    assert_eq!(header(&old), json!({"typ": "JWT", "alg": "HS256"}));
    rotate(folder.path(), &[]);
    // The running process keeps its keys.
    assert!(is_accepted(&first, &old));
    let between = log_in(&first);
    assert_eq!(header(&between), header(&old));
    drop(first);

    let second = Service::start_in(folder.path(), &[]);
    let new = log_in(&second);
    assert!(header(&new)["kid"].is_string(), "{new}");
    for token in [&old, &between, &new] {
        assert!(is_accepted(&second, token), "{token}");
    }
    rotate(folder.path(), &["--drop-old"]);
    assert!(is_accepted(&second, &old));
    drop(second);

    let third = Service::start_in(folder.path(), &[]);
    for token in [&old, &between, &new] {
        assert!(!is_accepted(&third, token), "{token}");
    }
    assert!(is_accepted(&third, &log_in(&third)));
}

/// Runs each rotation step of `docs/keys.md` in its own process, on the same database.
#[test]
fn tokens_stay_valid_between_neighbouring_rotation_steps() {
    let folder = TempDir::new().unwrap();
    let (old_new, new_old) = (format!("{OLD},{NEW}"), format!("{NEW}\n{OLD}"));
    let steps = [
        vec![("SECRET_KEY", OLD)],
        vec![("SECRET_KEYS", old_new.as_str()), ("SECRET_KEY", OLD)],
        vec![("SECRET_KEYS", new_old.as_str()), ("SECRET_KEY", OLD)],
        vec![("SECRET_KEYS", NEW)],
    ];
    let replicas: Vec<Service> =
        steps.iter().map(|step| Service::start_in(folder.path(), step)).collect();
    sign_up(&replicas[0]);
    let tokens: Vec<String> = replicas.iter().map(log_in).collect();
    // During a rollout only neighbouring steps run at the same time.
    for (signer, token) in tokens.iter().enumerate() {
        for (verifier, replica) in replicas.iter().enumerate() {
            let is_neighbour = signer.abs_diff(verifier) <= 1;
            assert!(is_accepted(replica, token) || !is_neighbour, "{signer} at {verifier}");
        }
    }
    assert!(!is_accepted(&replicas[3], &tokens[0]) && !is_accepted(&replicas[0], &tokens[3]));
}

/// If `SECRET_KEYS` is set, `SECRET_KEY` only verifies.
#[test]
fn secret_key_next_to_secret_keys_only_verifies() {
    let folder = TempDir::new().unwrap();
    let first = Service::start_in(folder.path(), &[("SECRET_KEY", OLD)]);
    sign_up(&first);
    let old = log_in(&first);
    let second = Service::start_in(folder.path(), &[("SECRET_KEYS", NEW), ("SECRET_KEY", OLD)]);
    assert!(is_accepted(&second, &old));
    assert!(!is_accepted(&first, &log_in(&second)), "the old secret signs");
}

#[test]
fn key_pair_signs_and_publishes_its_public_key() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("keys.pem"), ED25519).unwrap();
    let environment = [("ALGORITHM", "EdDSA"), ("SIGNING_KEYS_FILE", "keys.pem")];
    let service = Service::start_in(folder.path(), &environment);
    sign_up(&service);
    let token = log_in(&service);
    assert!(is_accepted(&service, &token));
    let set = service.get("/.well-known/jwks.json").expect(200).json();
    assert_eq!(set["keys"][0]["kid"], header(&token)["kid"]);
    assert!(!folder.path().join("data/keys.json").exists(), "the service created a secret");
}

/// The log is at its most detailed level, and the `settings` command shows the settings.
#[test]
fn keys_never_appear_in_output() {
    for environment in [
        vec![("SECRET_KEYS", format!("{NEW},{OLD}"))],
        vec![("SECRET_KEYS", NEW.to_owned()), ("SECRET_KEY", OLD.to_owned())],
        vec![("SIGNING_KEYS", P256.to_owned()), ("ALGORITHM", "ES256".to_owned())],
    ] {
        let mut settings: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.extend([("LOG_LEVEL", "trace"), ("ACCESS_LOG", "on")]);
        let mut service = Service::start(&settings);
        sign_up(&service);
        assert!(is_accepted(&service, &log_in(&service)));
        service.get("/.well-known/jwks.json");
        let shown = Service::command(service.path())
            .arg("settings")
            .envs(settings.clone())
            .stdout(std::process::Stdio::piped())
            .output()
            .unwrap();
        service.terminate();
        assert!(service.wait().success());
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&format!("{}=**********", environment[0].0)), "{shown}");
        let output = format!("{}{shown}", service.final_stderr());
        let middle = P256.lines().nth(1).unwrap();
        for secret in [OLD, NEW, middle] {
            assert!(!output.contains(secret), "{output}");
        }
    }
}
