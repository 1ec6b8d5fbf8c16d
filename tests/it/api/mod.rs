//! The API, by path: what each operation does, then what holds for all of them. What the answers
//! look like to the byte is the recorded contract's to judge.

/// `/users`: accounts.
mod users;

/// `/login`: tokens for passwords, and what becomes of old hashes.
mod login;

/// `/logout`: the end of every token of an account.
mod logout;

/// `/posts`: posts and drafts.
mod posts;

/// `/vote`: votes and their races.
mod vote;

/// `/docs`, `/redoc`, `/openapi.json`: the pages and the document.
mod docs;

/// `/.well-known/jwks.json`: the keys with which others verify tokens.
mod jwks;

/// `/livez`, `/readyz`: alive and ready.
mod health;

/// The operations of the document, for the tests that walk over all of them.
pub mod operations;

/// Every operation with a token, and every way for a token to be wrong.
mod access;

/// What is too often: passwords that are tried, sign-ups, writes.
mod rate_limits;

/// Every status that an operation answers stands in the document.
mod documented_statuses;

/// Where the service differs from the reference on purpose, a test for each difference.
mod differences;

/// The modes: the reference's, and each switch alone.
mod modes;

/// Refusals that no handler makes: unknown paths and methods, bodies that are too large.
mod errors;

/// Input made to hurt, on every operation: never a fault of ours.
mod hostile_input;

/// JSON hidden in texts of JSON.
mod nested_json;

/// No password in any answer.
mod secrets;

/// Cross-origin requests.
mod cors;

/// Headers that every answer carries.
mod headers;
