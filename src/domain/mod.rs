//! What the service is about. Pure values and rules: no HTTP, no SQL, no clock, and no other
//! room of this crate is imported here.

pub mod caller;
pub mod email;
pub mod event;
pub mod page;
pub mod policy;
pub mod post;
pub mod session;
pub mod text;
pub mod user;
pub mod vote;
