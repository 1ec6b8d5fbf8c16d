//! What tests are made with.

mod answer;
mod app;
mod certificate;
mod clock;
mod cluster;
mod forged;
pub mod frames;
pub mod key_files;
mod parallel;
mod persona;
mod process;
mod served;
mod smuggled;
mod wire;

pub use answer::Answer;
pub use app::{CHEAP, Engine, FORM, PASSWORD, Setup, TestApp};
pub use certificate::Certificate;
pub use clock::TestClock;
pub use cluster::{Cluster, TestDatabase};
pub use forged::{forge, forge_text, forge_with, forge_with_sha512};
pub use parallel::{at_once, begin_and_drop, longer_and_longer, within_turns};
pub use persona::Persona;
pub use process::Service;
pub use served::{Served, shell};
pub use smuggled::{AMBIGUOUS, LENGTH_BESIDE_ENCODING, NO_CHUNKS};
pub use wire::Wire;
