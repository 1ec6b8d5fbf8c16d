//! Who is asking.

use super::policy::Drafts;
use super::user::UserId;

/// The user that a valid token names, and what they may see.
///
/// A value of this type proves the token's signature and dates, not that the account still
/// exists: that is for the store to say, in the same step that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub user_id: UserId,
    pub drafts: Drafts,
}
