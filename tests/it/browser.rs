//! The documentation pages in a real browser.
