//! What a migration's file says about how it is to be run.
//!
//! A file is run as one transaction. One that begins with `-- no transaction` is run paragraph by
//! paragraph, each alone and whole; each can be repeated, so that a run that was cut off is begun
//! again. A paragraph may begin with a condition of its own.

/// A part of a file that is run alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paragraph {
    pub(super) sql: &'static str,
    /// Only where the extension `pg_trgm` is installed.
    pub(super) needs_trigrams: bool,
    /// It ends transactions itself: it does not work in one.
    pub(super) is_outside: bool,
}

/// The paragraphs of a file, or none if it is run as one transaction.
pub(super) fn paragraphs(sql: &'static str) -> Option<Vec<Paragraph>> {
    let rest = sql.strip_prefix("-- no transaction\n")?;
    let paragraphs = rest.split("\n\n").map(str::trim).filter(|sql| !sql.is_empty());
    Some(
        paragraphs
            .map(|sql| Paragraph {
                sql,
                needs_trigrams: sql.starts_with("-- where pg_trgm is\n"),
                is_outside: sql.starts_with("-- outside of a transaction\n"),
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::paragraphs;
    use crate::store::migrate::{ADOPTED, POSTGRES};

    #[test]
    fn a_file_is_one_transaction_or_paragraphs() {
        assert_eq!(paragraphs("CREATE TABLE x ();\n\nDROP TABLE x;\n"), None);
        let found = paragraphs("-- no transaction\n\n-- why\nA;\nB;\n\n-- where pg_trgm is\nC;\n");
        let found = found.unwrap();
        assert_eq!(found[0].sql, "-- why\nA;\nB;");
        assert_eq!(found[1].sql, "-- where pg_trgm is\nC;");
        assert!(found[1].needs_trigrams && !found[0].needs_trigrams);
    }

    /// A statement that PostgreSQL refuses beside others stands alone.
    #[test]
    fn what_must_stand_alone_does() {
        for migration in POSTGRES.iter().chain(ADOPTED) {
            for sql in [migration.up, migration.down] {
                let Some(paragraphs) = paragraphs(sql) else {
                    assert!(!sql.contains("CONCURRENTLY"), "{}", migration.revision);
                    continue;
                };
                for paragraph in paragraphs {
                    let is_concurrent = paragraph.sql.contains("CONCURRENTLY");
                    let statements = paragraph.sql.matches(";\n").count() + 1;
                    assert!(!is_concurrent || statements == 1, "{}", paragraph.sql);
                }
            }
        }
    }
}
