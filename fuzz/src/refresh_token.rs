//! Target for refresh tokens: each token has exactly one accepted encoding, so that no second
//! encoding can bypass reuse detection.

use post_api::auth::RefreshSecrets;

use crate::FuzzTarget;

pub(crate) fn prepare() -> FuzzTarget {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Some((id, secrets)) = RefreshSecrets::parse(text) else { return };
        assert_eq!(secrets.token(id), text, "another encoding");
        let next = secrets.successor([0; 16]);
        assert_eq!(next.family_hash(), secrets.family_hash(), "the family changed");
        assert_ne!(
            next.secret_hash(),
            secrets.secret_hash(),
            "the rotated token equals its successor"
        );
    })
}
