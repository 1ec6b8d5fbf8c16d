//! Settings.

mod dotenv;
