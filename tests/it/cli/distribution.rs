//! `db distribute` and `db undistribute` on servers without Citus.
//!
//! Not here: both commands on Citus, see `scripts/stress`.

use super::{folder, run, run_with};
use crate::support::Cluster;

#[test]
fn sqlite_is_refused() {
    let folder = folder();
    for command in ["db distribute", "db undistribute"] {
        let error = run(folder.path(), command).expect(2).error;
        assert!(error.contains("only PostgreSQL with Citus"), "{command}: {error}");
    }
    run(folder.path(), "db distribute --shards 0").expect(2);
}

#[test]
fn server_without_citus_is_refused_after_the_upgrade() {
    let (folder, database) = (folder(), Cluster::shared().empty_database());
    let settings = [("DATABASE_URL", database.url())];
    let run = |command: &str| run_with(folder.path(), command, &settings);
    run("db upgrade 21").expect(0);
    let error = run("db distribute").expect(1).error;
    assert!(error.contains("run `post-api db upgrade` first"), "{error}");
    run("db upgrade").expect(0);
    let error = run("db distribute").expect(1).error;
    assert!(error.contains("lacks the extension citus"), "{error}");
    assert_eq!(run("db undistribute").expect(0).output, "nothing to do\n");
    run("db check").expect(0);
}
