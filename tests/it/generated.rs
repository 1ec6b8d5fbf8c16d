//! What is generated and committed.
