//! Encodings of PostgreSQL databases other than UTF8.

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
