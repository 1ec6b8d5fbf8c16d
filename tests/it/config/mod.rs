//! Settings.

mod database;
mod dotenv;
mod keys;
mod settings;
