//! The service as a process or behind its real listener: start, shutdown, limits, failures and
//! logs.

mod access_log;
mod audit;
#[cfg(target_os = "linux")]
mod blocked_log;
mod changes;
mod client_limits;
mod database_file;
mod database_path;
mod database_refusals;
mod detached_database;
mod exposed_files;
mod failing_store;
mod full_disk;
mod idle_timeout;
mod keys;
mod least_privilege;
mod legacy;
mod library_events;
mod limits;
mod log_injection;
mod mail;
#[cfg(target_os = "linux")]
mod memory;
mod metrics;
mod open_files;
mod panic_log;
mod postgres;
mod procfile;
mod rate_limits;
mod replicas;
mod request_headers;
mod request_host;
mod scheduled_backups;
mod seccomp;
mod secrets;
mod server_errors;
mod service_manager;
mod setting_faults;
mod shutdown;
mod smuggling;
mod start;
mod tls;
mod tls_files;
mod trace_context;
mod warnings;
