//! The handlers, one file per resource, each with the types of its requests and responses.
//!
//! Not here: the paths, see `api/mod.rs`.

pub(super) mod admin_lists;
pub(super) mod change_tickets;
pub(super) mod changes;
pub(super) mod docs;
pub(super) mod email_verifications;
pub(super) mod events;
pub(super) mod health;
mod include;
pub(super) mod jwks;
pub(super) mod login;
pub(super) mod me;
pub(super) mod me_export;
pub(super) mod me_include;
pub(super) mod own_votes;
pub(super) mod pages;
mod password_confirmation;
pub(super) mod password_resets;
pub(super) mod post_include;
pub(super) mod post_list;
pub(super) mod post_list_request;
pub(super) mod post_requests;
pub(super) mod post_types;
pub(super) mod posts;
mod refresh;
pub(super) mod sessions;
pub(super) mod statistics;
pub(super) mod users;
pub(super) mod votes;
