//! Rules of the domain, against tables that were recorded from what the reference uses.

mod email;
