//! The lines of an export: JSON, one row each, between a header and an end with a checksum.

mod reader;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::transfer::{NextIds, Row, VoteRow};

pub(super) use reader::LineReader;

/// The version of the format. An import refuses unknown fields, because it would lose what they say of
/// an account. A new field needs a default, because older exports lack it.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    #[serde(rename = "post-api")]
    pub(super) version: u32,
    pub(super) revision: String,
    pub(super) at: Timestamp,
    pub(super) store: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    User(UserLine),
    Post(PostLine),
    Vote(VoteLine),
    Next(NextLine),
    End(EndLine),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLine {
    id: i64,
    email: String,
    /// Not in the export of one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(with = "microsecond_time")]
    created_at: Timestamp,
    /// In microseconds since 1970; before 1970 for an account that never revoked its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_valid_from: Option<i64>,
    #[serde(default)]
    disabled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_verified_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostLine {
    id: i64,
    owner_id: i64,
    title: String,
    content: String,
    published: bool,
    #[serde(with = "microsecond_time")]
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteLine {
    post_id: i64,
    user_id: i64,
    dir: i16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextLine {
    users: i64,
    posts: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counts {
    pub(super) users: u64,
    pub(super) posts: u64,
    pub(super) votes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    users: u64,
    posts: u64,
    votes: u64,
    /// SHA-256 of all lines before, with their line ends.
    sha256: String,
}

impl Counts {
    fn add(&mut self, row: &Row) {
        match row {
            Row::User(_) => self.users += 1,
            Row::Post(_) => self.posts += 1,
            Row::Vote(_) => self.votes += 1,
        }
    }
}

/// The text of a time has six digits after the second, so that equal times are equal texts.
mod microsecond_time {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// Writes an export.
pub(super) struct LineWriter<W> {
    output: W,
    hash: Sha256,
    counts: Counts,
    /// Whether the lines are of one account, without its secrets.
    is_personal: bool,
    line: Vec<u8>,
}

impl<W: Write> LineWriter<W> {
    pub(super) fn new(output: W, header: &Header, is_personal: bool) -> io::Result<Self> {
        let (hash, line) = (Sha256::new(), Vec::new());
        let mut writer = Self { output, hash, counts: Counts::default(), is_personal, line };
        writer.write_line(header)?;
        Ok(writer)
    }

    pub(super) fn write(&mut self, row: Row) -> io::Result<()> {
        self.counts.add(&row);
        let is_full = !self.is_personal;
        let line = match row {
            Row::User(user) => Line::User(UserLine {
                id: user.id,
                email: user.email,
                password: is_full.then_some(user.password),
                name: user.name,
                created_at: user.created_at,
                tokens_valid_from: is_full.then(|| user.tokens_valid_from.as_microsecond()),
                disabled_at: user.disabled_at,
                email_verified_at: user.email_verified_at,
            }),
            Row::Post(post) => Line::Post(PostLine {
                id: post.id,
                owner_id: post.owner_id,
                title: post.title,
                content: post.content,
                published: post.published,
                created_at: post.created_at,
            }),
            Row::Vote(VoteRow { post_id, user_id, dir }) => {
                Line::Vote(VoteLine { post_id, user_id, dir })
            }
        };
        self.write_line(&line)
    }

    /// Writes the lines after the last row.
    pub(super) fn finish(mut self, next: NextIds) -> io::Result<Counts> {
        if !self.is_personal {
            self.write_line(&Line::Next(NextLine { users: next.users, posts: next.posts }))?;
        }
        let Counts { users, posts, votes } = self.counts.clone();
        let sha256 = hex::encode(self.hash.clone().finalize());
        self.write_line(&Line::End(EndLine { users, posts, votes, sha256 }))?;
        self.output.flush()?;
        Ok(self.counts)
    }

    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.output.write_all(&self.line)
    }
}
