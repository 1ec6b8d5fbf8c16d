//! The API, by path.
