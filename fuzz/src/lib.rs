//! Inputs that nobody thought of: for the whole service, and for each of its readers alone. A target
//! panics when its input has found a fault: a panic, an answer of 500 or more, an answer that is not
//! in the served document, or something that is taken for what it is not.
//!
//! `cargo fuzz run TARGET --features libfuzzer` lets a machine look for such inputs, led by the code
//! that they reach. What it found worth keeping is in `corpus/`, which `tests/corpus.rs` goes through,
//! and through chance variations of it. `TEST_STORE=postgres` has the service on PostgreSQL.
//!
//! Not here: sequences of requests that make sense (the model in `tests/it/proof/model/`).

mod bodies;
mod content;
mod email;
mod forwarded;
mod password_hash;
mod refresh_token;
mod request_sequence;
mod response_checker;
mod router;
mod service;
mod settings;
mod token;
mod wire;

/// What the tests of the service are made with, as far as it needs no binary.
#[path = "../../tests/it/support"]
#[expect(unreachable_pub, reason = "it is written for a test binary")]
#[expect(dead_code, reason = "the tests of the service use the rest")]
mod support {
    mod answer;
    mod app;
    mod clock;
    mod cluster;
    mod forged;
    mod persona;
    mod served;
    mod wire;

    pub use answer::Answer;
    pub use app::{CHEAP, Engine, FORM, PASSWORD, SECRET, Setup, TestApp};
    pub use clock::TestClock;
    pub use cluster::{Cluster, TestDatabase};
    pub use forged::forge_text;
    pub use persona::Persona;
    pub use served::Served;
    pub use wire::Wire;
}

/// Tries one input. Holds what a target needs from one input to the next.
pub type Attack = Box<dyn FnMut(&[u8])>;

/// A way in.
pub struct Target {
    /// Its name, and its folder's in `corpus/`.
    pub name: &'static str,
    /// Makes it ready.
    pub open: fn() -> Attack,
}

/// All there are. Each has a binary of its own in `fuzz_targets/`.
pub const TARGETS: [Target; 10] = [
    Target { name: "router", open: router::open },
    Target { name: "wire", open: wire::open },
    Target { name: "json", open: bodies::open_json },
    Target { name: "form", open: bodies::open_form },
    Target { name: "token", open: token::open },
    Target { name: "password_hash", open: password_hash::open },
    Target { name: "email", open: email::open },
    Target { name: "settings", open: settings::open },
    Target { name: "refresh_token", open: refresh_token::open },
    Target { name: "forwarded", open: forwarded::open },
];

/// The target of this name, ready.
#[must_use]
pub fn open(name: &str) -> Attack {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("no target is called {name}"));
    (target.open)()
}

/// The binary of a target.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        std::thread_local! {
            static ATTACK: std::cell::RefCell<$crate::Attack> =
                std::cell::RefCell::new($crate::open($name));
        }
        libfuzzer_sys::fuzz_target!(|data: &[u8]| ATTACK.with_borrow_mut(|attack| attack(data)));
    };
}
