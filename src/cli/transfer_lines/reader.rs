//! Reads the lines of an export, and checks each of them.

use std::io::{self, BufRead, Read as _};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Counts, Header, Line, NextLine, PostLine, UserLine, VERSION, VoteLine};
use crate::domain::email::Email;
use crate::store::transfer::{
    NextIds, PostRow, Row, RowKind, RowSource, TransferError, UserRow, VoteRow,
};

/// Maximum length of a line in bytes. A post has at most 4 MiB, and JSON escapes some characters.
const MAX_LINE: u64 = 32 * 1024 * 1024;

/// A line that cannot be imported. The text never has the content of the line.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum LineError {
    #[error("line {0}: {1}")]
    Fault(u64, Fault),
    #[error("could not read the export")]
    Unreadable(#[from] io::Error),
}

#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Fault {
    #[error("is not JSON (column {0})")]
    NotJson(usize),
    #[error("has a field that is missing, unknown or of the wrong type (column {0})")]
    WrongFields(usize),
    #[error("is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("is not the header of an export")]
    NoHeader,
    #[error("is of version {0} of the format, and this binary reads version {VERSION}")]
    OtherVersion(u32),
    #[error("is missing: the export was cut off")]
    Missing,
    #[error("has no password: the export of one account cannot be imported")]
    Personal,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("has other counts or another SHA-256 than the lines before: the export was changed")]
    Changed,
    #[error("comes after the end")]
    AfterEnd,
}

/// Reads an export, and checks each line.
pub(in crate::cli) struct LineReader<R> {
    input: R,
    hash: Sha256,
    pub(in crate::cli) number: u64,
    pub(in crate::cli) counts: Counts,
    line: Vec<u8>,
    /// The kind and the key of the last row.
    last: Option<(RowKind, i64, i64)>,
    next: Option<NextIds>,
}

impl<R: BufRead> LineReader<R> {
    pub(in crate::cli) fn new(input: R) -> Result<Self, LineError> {
        let mut reader = Self {
            input,
            hash: Sha256::new(),
            number: 0,
            counts: Counts::default(),
            line: Vec::new(),
            last: None,
            next: None,
        };
        if !reader.read_line()? {
            return Err(reader.fault(Fault::Missing));
        }
        let header: Header =
            serde_json::from_slice(&reader.line).map_err(|_| reader.fault(Fault::NoHeader))?;
        if header.version != VERSION {
            return Err(reader.fault(Fault::OtherVersion(header.version)));
        }
        reader.hash.update(&reader.line);
        Ok(reader)
    }

    pub(super) fn read(&mut self) -> Result<Option<Row>, LineError> {
        let line = self.parse_line()?;
        let row = match line {
            Line::User(user) => Row::User(check_user(user).map_err(|fault| self.fault(fault))?),
            Line::Post(post) => Row::Post(check_post(post).map_err(|fault| self.fault(fault))?),
            Line::Vote(vote) if vote.dir == 1 || vote.dir == -1 => {
                let VoteLine { post_id, user_id, dir } = vote;
                Row::Vote(VoteRow { post_id, user_id, dir })
            }
            Line::Vote(_) => {
                return Err(self.fault(Fault::Invalid("has a dir other than 1 and -1")));
            }
            Line::Next(next) => {
                self.check_next(&next)?;
                self.next = Some(NextIds { users: next.users, posts: next.posts });
                self.hash.update(&self.line);
                return Ok(None);
            }
            Line::End(_) => return Err(self.fault(Fault::Invalid("comes before the next IDs"))),
        };
        let key = match &row {
            Row::User(user) => (row.kind(), user.id, 0),
            Row::Post(post) => (row.kind(), post.id, 0),
            Row::Vote(vote) => (row.kind(), vote.post_id, vote.user_id),
        };
        if Some(key) <= self.last || key.1 < 1 {
            return Err(self.fault(Fault::Invalid("is not in the order of kinds and IDs")));
        }
        self.last = Some(key);
        self.counts.add(&row);
        self.hash.update(&self.line);
        Ok(Some(row))
    }

    pub(super) fn read_end(&mut self) -> Result<NextIds, LineError> {
        let expected = hex::encode(self.hash.clone().finalize());
        let Line::End(end) = self.parse_line()? else {
            return Err(self.fault(Fault::Invalid("is not the end")));
        };
        let counts = Counts { users: end.users, posts: end.posts, votes: end.votes };
        if counts != self.counts || end.sha256 != expected {
            return Err(self.fault(Fault::Changed));
        }
        if self.read_line()? {
            return Err(self.fault(Fault::AfterEnd));
        }
        Ok(self.next.unwrap_or_default())
    }

    fn check_next(&self, next: &NextLine) -> Result<(), LineError> {
        let is_given = next.users < 1 || next.posts < 1;
        if is_given { Err(self.fault(Fault::Invalid("has a next ID below 1"))) } else { Ok(()) }
    }

    fn parse_line(&mut self) -> Result<Line, LineError> {
        if !self.read_line()? {
            return Err(self.fault(Fault::Missing));
        }
        serde_json::from_slice(&self.line).map_err(|error| {
            // The text of the error has values of the line.
            self.fault(if error.is_data() {
                Fault::WrongFields(error.column())
            } else {
                Fault::NotJson(error.column())
            })
        })
    }

    /// Reads a line with its end. Returns whether there is one.
    fn read_line(&mut self) -> Result<bool, LineError> {
        self.line.clear();
        self.number += 1;
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if self.line.last() != Some(&b'\n') {
            let is_long = u64::try_from(self.line.len()).is_ok_and(|length| length >= MAX_LINE);
            return Err(self.fault(if is_long { Fault::TooLong } else { Fault::Missing }));
        }
        Ok(true)
    }

    fn fault(&self, fault: Fault) -> LineError {
        LineError::Fault(self.number, fault)
    }
}

impl<R: BufRead + Send> RowSource for LineReader<R> {
    fn next_row(&mut self) -> Result<Option<Row>, TransferError> {
        self.read().map_err(|error| TransferError::Lines(error.into()))
    }

    fn finish(&mut self) -> Result<NextIds, TransferError> {
        self.read_end().map_err(|error| TransferError::Lines(error.into()))
    }
}

fn check_user(user: UserLine) -> Result<UserRow, Fault> {
    let (Some(password), Some(valid_from)) = (user.password, user.tokens_valid_from) else {
        return Err(Fault::Personal);
    };
    if Email::parse(&user.email).is_err() {
        return Err(Fault::Invalid("has an invalid e-mail"));
    }
    check_texts(&[&user.email, &password, user.name.as_deref().unwrap_or_default()])?;
    let tokens_valid_from = Timestamp::from_microsecond(valid_from)
        .map_err(|_| Fault::Invalid("has a tokens_valid_from that is no time"))?;
    Ok(UserRow {
        id: user.id,
        email: user.email,
        password,
        name: user.name,
        created_at: user.created_at,
        tokens_valid_from,
        disabled_at: user.disabled_at,
        email_verified_at: user.email_verified_at,
    })
}

fn check_post(post: PostLine) -> Result<PostRow, Fault> {
    check_texts(&[&post.title, &post.content])?;
    let PostLine { id, owner_id, title, content, published, created_at } = post;
    Ok(PostRow { id, owner_id, title, content, published, created_at })
}

/// PostgreSQL cannot store NUL.
fn check_texts(texts: &[&str]) -> Result<(), Fault> {
    let has_nul = texts.iter().any(|text| text.contains('\0'));
    if has_nul { Err(Fault::Invalid("has a NUL character")) } else { Ok(()) }
}
