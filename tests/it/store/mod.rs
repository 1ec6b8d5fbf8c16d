//! The contract of `store`, held against every store by name.
