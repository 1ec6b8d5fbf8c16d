//! Refresh tokens: what is read as one is the one spelling of it, so that none has a twin that is stored
//! or spent apart.

use post_api::auth::RefreshSecrets;

use crate::Attack;

pub(crate) fn open() -> Attack {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Some((id, secrets)) = RefreshSecrets::parse(text) else { return };
        assert_eq!(secrets.token(id), text, "another spelling");
        let next = secrets.next([0; 16]);
        assert_eq!(next.family_hash(), secrets.family_hash(), "of the same session");
        assert_ne!(next.link_hash(), secrets.link_hash(), "spent, and good again");
    })
}
