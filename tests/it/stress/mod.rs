//! The guarantees under attack. Each part has a short form, which runs with all other tests. Under
//! `scripts/stress` it runs for a configurable time; `docs/verification.md` has the results.
//!
//! Not here: responses to a single request or a single fault, see `api` and `process`.

mod budget;
mod cluster;
mod faults;
mod followed_list;
mod histories;
mod hostile;
mod identity;
mod live;
mod long_work;
mod matrix;
mod model;
mod replicas;
mod revocation;
pub mod rng;
mod secrets;
mod timing;
mod walks;
