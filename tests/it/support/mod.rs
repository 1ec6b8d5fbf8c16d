//! The building blocks of tests.

mod app;
mod certificate;
mod clock;
mod cluster;
mod concurrency;
mod databases;
mod document_checker;
mod document_schema;
mod encodings;
mod forged_tokens;
pub mod frames;
pub mod key_files;
mod pooler;
mod process;
mod smuggling_cases;
mod test_caller;
mod test_response;
mod test_server;
mod wire;

pub use app::{CHEAP, Engine, FORM, PASSWORD, Setup, TestApp};
pub use certificate::Certificate;
pub use clock::TestClock;
pub use cluster::{Cluster, PostgresDatabase};
pub use concurrency::{growing_poll_limits, poll_at_most, poll_once, run_concurrently};
pub use document_checker::{DocumentChecker, SentRequest};
pub use encodings::{ENCODINGS, Encoding};
pub use forged_tokens::{forge, forge_text, forge_with, forge_with_sha512};
pub use pooler::Pooler;
pub use process::Service;
pub use smuggling_cases::{AMBIGUOUS_FRAMING, INVALID_CHUNKS, LENGTH_AND_ENCODING};
pub use test_caller::TestCaller;
pub use test_response::TestResponse;
pub use test_server::{TestServer, connections_of_a_network, limits, middleware_config};
pub use wire::Wire;
