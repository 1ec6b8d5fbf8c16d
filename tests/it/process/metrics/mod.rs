//! The metrics: what is counted, what the listener answers, and that no value names a client.

mod canaries;
mod contrib;
mod listener;
mod promtool;
mod series;
mod values;

use std::ops::Deref;

use tempfile::TempDir;

use crate::support::{Cluster, Engine, METRICS, PostgresDatabase, Service};

const KEY: &str = "3f70c9d15b8e42a6971dc0fe8a6b2b47";

/// A service with metrics, on a database of its own.
struct MeasuredService {
    service: Service,
    _database: Option<PostgresDatabase<'static>>,
    _folder: TempDir,
}

impl MeasuredService {
    fn start(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let database = (engine == Engine::Postgres).then(|| Cluster::shared().database());
        let mut environment = settings.to_vec();
        environment.push(METRICS);
        if let Some(database) = &database {
            environment.extend([("DATABASE_URL", database.url()), ("SECRET_KEY", KEY)]);
        }
        let service = Service::start_in(folder.path(), &environment);
        Self { service, _database: database, _folder: folder }
    }
}

impl Deref for MeasuredService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}
