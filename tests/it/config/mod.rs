//! Settings.

mod database;
mod dotenv;
mod keys;
mod rates;
mod readers;
mod settings;
mod values;
