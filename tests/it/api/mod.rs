//! The API in process: first each path, then the rules that hold for every operation.
//!
//! Not here: the exact bytes of the responses, see the recorded contract (`scripts/test`).

/// `/users`: accounts, sessions and events.
mod users;

/// `/login`: access tokens for passwords, and rehashing.
mod login;

/// `/logout`: revocation of every token of an account.
mod logout;

/// `/password-resets`: a new password by a link in a mail.
mod password_resets;

/// `/email-verifications`, `/users/me/email/verifications`: links that verify an e-mail.
mod email_verifications;

/// `/posts`: posts and drafts.
mod posts;

/// `/admin`: reads for administrators.
mod admin;

/// `/vote`: votes, also concurrent ones.
mod vote;

/// `/docs`, `/redoc`, `/openapi.json`: the documentation pages and the document.
mod docs;

/// `/`: the page, its files and `PAGE`.
mod front_page;

/// `/.well-known/jwks.json`: the public keys that verify tokens.
mod jwks;

/// `/livez`, `/readyz`: liveness and readiness.
mod health;

/// The operations of the document, for tests that cover all of them.
pub mod operations;

/// Every operation that needs a token, with every kind of invalid token.
mod access;

/// `Idempotency-Key`: a repeated write happens once.
mod idempotency_keys;

/// Accounts of an adopted database whose e-mail is not in its normal form.
mod adopted_emails;

/// PostgreSQL databases in other encodings than UTF8.
mod encodings;

/// Tokens of accounts that the database has lost, after another account got their ID.
mod reused_ids;

/// Rate limits of logins, sign-ups and writes.
mod rate_limits;

/// The document lists every status that an operation returns.
mod documented_statuses;

/// Intended differences from the reference service, one test each.
mod differences;

/// `COMPAT=reference`, and each of its settings by itself.
mod modes;

/// Errors before a handler runs: unknown paths and methods, invalid and oversized bodies.
mod errors;

/// Hostile input on every operation: the status is never 5xx.
mod hostile_input;

/// JSON nested in JSON strings.
mod nested_json;

/// No response contains a password or token from the request.
mod secrets;

/// Cross-origin requests.
mod cors;

/// Caches: `Vary` names what a response depends on.
mod vary;

/// `ROOT_PATH`: requests with and without the prefix.
mod root_path;

/// Header fields that every response has.
mod headers;

/// Entity tags of reads, and the responses to clients that have the current version.
mod entity_tags;
