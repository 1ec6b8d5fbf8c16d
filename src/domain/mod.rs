//! Users, posts, votes and their rules, as pure values. Imports no other module of this crate.
//! Not here: HTTP, SQL, the clock.

pub mod administration;
pub mod caller;
pub mod change;
pub mod display_name;
pub mod email;
pub mod event;
pub mod idempotency_key;
pub mod installation;
pub mod page;
pub mod policy;
pub mod post;
pub mod ranking;
pub mod recipient;
pub mod session;
pub mod text;
pub mod user;
pub mod vote;
