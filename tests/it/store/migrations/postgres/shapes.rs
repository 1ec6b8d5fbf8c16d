//! The shape file of each revision matches its migrations.
//!
//! `UPDATE_GENERATED=1 cargo test generated` rewrites the files; the next build includes them.

use std::path::Path;

use post_api::store::migrate::POSTGRES;

use super::database::Database;

#[tokio::test]
async fn shape_files_are_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let database = Database::empty();
    for (number, migration) in POSTGRES.iter().enumerate() {
        database.migrate_to(number + 1).await;
        let generated = database.admin().await.shape().await.unwrap();
        let path = folder.join(format!("{}.shape.txt", migration.revision));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, generated).unwrap();
            continue;
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, generated, "run `UPDATE_GENERATED=1 cargo test generated`");
    }
}
