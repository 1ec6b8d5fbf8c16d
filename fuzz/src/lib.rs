//! Fuzz targets for the whole service and for each of its parsers. A target panics if its input
//! causes a panic, a response with a status of 500 or more, a response that the served OpenAPI
//! document does not describe, or a wrong result.
//!
//! `cargo fuzz run TARGET --features libfuzzer` searches for such inputs, guided by code coverage.
//! `corpus/` keeps the inputs that reach new code. `tests/corpus.rs` runs them and mutations of
//! them. `TEST_STORE=postgres` runs the service on PostgreSQL.
//!
//! Not here: meaningful sequences of requests, see the model in `tests/it/stress/model/`.

mod bodies;
mod conditions;
mod content;
mod email;
mod forwarded;
mod password_hash;
mod refresh_token;
mod request_sequence;
mod router;
mod service;
mod settings;
mod token;
mod wire;

/// The support code of the service tests, without the parts that need the binary.
#[path = "../../tests/it/support"]
#[expect(unreachable_pub, reason = "the code is written for a test binary")]
#[expect(dead_code, reason = "only the service tests use the rest")]
mod support {
    mod app;
    mod clock;
    mod cluster;
    mod document_checker;
    mod document_schema;
    mod event_stream;
    mod forged_tokens;
    mod outbox;
    mod postgres_programs;
    mod postgres_session;
    mod setup;
    mod sqlite_file;
    mod test_caller;
    mod test_response;
    mod test_server;
    mod wire;

    pub use app::{FORM, PASSWORD, TestApp};
    pub use clock::TestClock;
    pub use cluster::{Cluster, PostgresDatabase};
    pub use document_checker::{DocumentChecker, SentRequest};
    use event_stream::{EVENTS, read_body};
    pub use forged_tokens::forge_text;
    pub use outbox::Outbox;
    pub use setup::{CHEAP, Engine, SECRET, Setup};
    pub use sqlite_file::create_sqlite_file;
    pub use test_caller::TestCaller;
    pub use test_response::TestResponse;
    pub use test_server::TestServer;
    pub use wire::Wire;
}

/// Runs one input. Owns the state that a target keeps between inputs.
pub type FuzzTarget = Box<dyn FnMut(&[u8])>;

pub struct Target {
    /// The name of the target, and of its folder in `corpus/`.
    pub name: &'static str,
    /// Prepares the target for its first input.
    pub prepare: fn() -> FuzzTarget,
}

/// All targets. Each has a binary in `fuzz_targets/`.
pub const TARGETS: [Target; 11] = [
    Target { name: "router", prepare: router::prepare },
    Target { name: "wire", prepare: wire::prepare },
    Target { name: "json", prepare: bodies::prepare_json },
    Target { name: "form", prepare: bodies::prepare_form },
    Target { name: "conditions", prepare: conditions::prepare },
    Target { name: "token", prepare: token::prepare },
    Target { name: "password_hash", prepare: password_hash::prepare },
    Target { name: "email", prepare: email::prepare },
    Target { name: "settings", prepare: settings::prepare },
    Target { name: "refresh_token", prepare: refresh_token::prepare },
    Target { name: "forwarded", prepare: forwarded::prepare },
];

/// Prepares the target with this name.
///
/// # Panics
/// If no target has the name.
#[must_use]
pub fn prepare(name: &str) -> FuzzTarget {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("no fuzz target has the name {name}"));
    (target.prepare)()
}

/// Defines the binary of a target.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        std::thread_local! {
            static TARGET: std::cell::RefCell<$crate::FuzzTarget> =
                std::cell::RefCell::new($crate::prepare($name));
        }
        libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.with_borrow_mut(|target| target(data)));
    };
}
