//! Encodings of PostgreSQL databases other than UTF8.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::cluster::{Cluster, PostgresDatabase, upgrade};

impl Cluster {
    /// Creates an empty database in this encoding.
    pub fn database_in(&self, encoding: &str) -> PostgresDatabase<'_> {
        self.create(&format!(
            " ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
    }

    /// Creates a database in this encoding, at the newest revision: a copy of the first one.
    pub fn upgraded_database_in(&self, encoding: &'static str) -> PostgresDatabase<'_> {
        static TEMPLATES: Mutex<BTreeMap<(u16, &str), String>> = Mutex::new(BTreeMap::new());
        let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
        let template = templates.entry((self.port(), encoding)).or_insert_with(|| {
            let database = self.database_in(encoding);
            upgrade(database.url());
            database.keep()
        });
        self.copy_of(template)
    }
}

/// An encoding, a text that it has beyond ASCII, and a letter that it lacks.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    pub name: &'static str,
    pub has: &'static str,
    /// `None`: the database keeps every byte.
    pub lacks: Option<&'static str>,
}

pub const ENCODINGS: [Encoding; 6] = [
    Encoding { name: "LATIN1", has: "déjà", lacks: Some("ж") },
    Encoding { name: "LATIN9", has: "€uro", lacks: Some("ж") },
    Encoding { name: "WIN1251", has: "журнал", lacks: Some("é") },
    Encoding { name: "WIN1252", has: "€uro", lacks: Some("ж") },
    Encoding { name: "EUC_JP", has: "日本語", lacks: Some("한") },
    Encoding { name: "SQL_ASCII", has: "日本語ж€", lacks: None },
];
