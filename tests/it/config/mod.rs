//! Settings.

mod database;
mod dotenv;
mod rates;
mod settings;
mod values;
