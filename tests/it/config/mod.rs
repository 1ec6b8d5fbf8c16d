//! Settings.

mod database;
mod dotenv;
mod keys;
mod rates;
mod settings;
mod values;
