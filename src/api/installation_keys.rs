//! Keys for values that clients give back to the service. They are derived from the key of the
//! database, so every process on the database has the same.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::cursor::Cursors;
use super::entity_tag::EntityTags;
use super::error::ApiResult;
use crate::auth::derive_key;
use crate::store::Store;

/// The keys of the database. The first request that needs them reads them, because the database may
/// be unreachable when the process starts.
#[derive(Default)]
pub struct InstallationKeys(OnceCell<DerivedKeys>);

/// The parts of the API with a key of their own.
pub(super) struct DerivedKeys {
    pub(super) cursors: Arc<Cursors>,
    pub(super) entity_tags: EntityTags,
}

impl InstallationKeys {
    /// # Errors
    /// Those of the store, until it has returned the key once.
    pub(super) async fn get(&self, store: &dyn Store) -> ApiResult<&DerivedKeys> {
        let derive = async || {
            let key = store.find_installation_key().await?.0;
            Ok(DerivedKeys {
                cursors: Arc::new(Cursors::new(&derive_key(&key, "cursor"))?),
                entity_tags: EntityTags::new(&derive_key(&key, "entity tag")),
            })
        };
        self.0.get_or_try_init(derive).await
    }
}
