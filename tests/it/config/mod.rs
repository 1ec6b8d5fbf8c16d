//! Settings: sources, defaults, validation and warnings.

mod backups;
mod database;
mod dotenv;
mod env_file;
mod file_permissions;
mod keys;
mod mail;
mod rate_limits;
mod settings;
mod values;
