//! Settings.

mod dotenv;
mod settings;
