//! What tests are made with.

mod answer;
mod app;
mod clock;
mod persona;
mod process;

pub use answer::Answer;
pub use app::{CHEAP, PASSWORD, TestApp};
pub use clock::TestClock;
pub use persona::Persona;
pub use process::Service;
