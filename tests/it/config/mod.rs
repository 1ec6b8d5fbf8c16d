//! Settings: sources, defaults, validation and warnings.

mod database;
mod dotenv;
mod file_permissions;
mod keys;
mod rate_limits;
mod settings;
mod values;
