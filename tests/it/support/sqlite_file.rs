//! SQLite databases at the newest revision.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use post_api::clock::Clock as _;
use post_api::store::migrate::{SchemaAdmin as _, migrate};
use post_api::store::sqlite::SqliteAdmin;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::TestClock;

/// Creates an empty database at the newest revision. All are copies of one, as migrating each would
/// take most of the time of a short test.
pub async fn create_sqlite_file(path: &Path) {
    static MIGRATED: OnceCell<Vec<u8>> = OnceCell::const_new();
    let bytes = MIGRATED.get_or_init(migrated_file).await;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

async fn migrated_file() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("posts.db");
    let mut admin = SqliteAdmin::new(&path);
    let head = admin.migrations().len();
    migrate(&mut admin, head, TestClock::default().now(), |_| {}).await.unwrap();
    drop(admin);
    // The last connection has moved the log into the file.
    assert!(!folder.path().join("posts.db-wal").exists());
    std::fs::read(&path).unwrap()
}
