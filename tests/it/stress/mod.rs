//! The promises, attacked. Each part has a short form, which runs with all other tests, and goes on
//! for as long as it is told to under `scripts/prove`; `docs/proof.md` says what each has shown.
//!
//! Not here: what a single request or a single fault gets (`api`, `process`).

mod budget;
mod faults;
mod histories;
mod hostile;
mod matrix;
mod model;
mod revocation;
mod rng;
mod secrets;
mod timing;
