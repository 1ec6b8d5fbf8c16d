//! Rules of the domain, checked against tables recorded from the reference service.

mod email;
