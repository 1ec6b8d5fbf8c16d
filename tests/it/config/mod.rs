//! Settings.

mod database;
mod dotenv;
mod settings;
