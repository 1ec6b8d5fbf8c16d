//! See `post_api_fuzz`.

#![no_main]

post_api_fuzz::fuzz!("conditions");
