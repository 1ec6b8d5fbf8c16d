//! The service as a process or behind its real listener: start, shutdown, limits, failures and
//! logs.

mod audit;
mod body_memory;
mod database_file;
mod detached_database;
mod full_disk;
mod idle_timeout;
mod keys;
mod large_responses;
mod least_privilege;
mod legacy;
mod limits;
mod log_injection;
mod panic_log;
mod postgres;
mod rate_limits;
mod replicas;
mod request_headers;
mod secrets;
mod server_errors;
mod shutdown;
mod smuggling;
mod start;
mod tls;
mod tls_files;
mod warnings;
