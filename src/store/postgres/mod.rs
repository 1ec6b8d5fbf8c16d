//! The production store: a PostgreSQL database, 14 to 18.

mod address;
mod connect;
mod error;

pub use address::{Address, AddressFault};
pub use connect::connect;
