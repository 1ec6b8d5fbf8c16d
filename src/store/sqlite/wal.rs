//! Reads the headers of a database file and of its write-ahead log without SQLite.
//! Format: <https://www.sqlite.org/fileformat2.html>, sections 1.3 and 4.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::commit_id::CommitId;
use crate::file_access::ignore_missing;

/// The first 16 bytes of a database file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The part of page 1 that describes the file, in bytes.
const FILE_HEADER: usize = 100;

/// Returns a file that is kept next to the database: SQLite's `-wal` or `-shm`, or our `-lock`.
pub(super) fn companion(database: &Path, suffix: &str) -> PathBuf {
    // SQLite places it next to the target of a symbolic link.
    let is_link = database.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let target = if is_link { database.canonicalize().ok() } else { None };
    with_suffix(target.as_deref().unwrap_or(database), suffix)
}

/// Returns the path with the suffix appended to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The header of page 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) commit_id: CommitId,
    pub(super) previous_id: CommitId,
    /// Whether the file is in WAL mode.
    pub(super) is_wal: bool,
}

impl FileHeader {
    /// Reads the header from the file. Returns `None` if the file is not a database.
    ///
    /// Closing a file drops the POSIX locks of the whole process on it. Call this before the
    /// process opens the database.
    pub(super) fn read(database: &Path) -> io::Result<Option<Self>> {
        let mut page = Vec::new();
        File::open(database)?.take(FILE_HEADER.try_into().unwrap_or(0)).read_to_end(&mut page)?;
        Ok(Self::parse(&page))
    }

    fn parse(page: &[u8]) -> Option<Self> {
        let header = page.first_chunk::<FILE_HEADER>()?;
        let number =
            |at: usize| big_endian(header, at).map(|number| CommitId(number.cast_signed()));
        header.starts_with(MAGIC).then_some(())?;
        Some(Self {
            commit_id: number(60)?,
            previous_id: number(68)?,
            is_wal: header.get(18..20)? == [2, 2],
        })
    }
}

/// The header of a log. The salts change each time that SQLite starts the log anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogHeader([u8; 32]);

impl LogHeader {
    /// Reads the header. Returns `None` if there is no log, or a log that SQLite ignores.
    pub(super) fn read(log: &Path) -> io::Result<Option<Self>> {
        let Some(mut file) = ignore_missing(File::open(log))? else {
            return Ok(None);
        };
        let mut header = [0; 32];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Self(header).checksum().map(|_| Self(header))),
        }
    }

    fn number(&self, at: usize) -> Option<u32> {
        big_endian(&self.0, at)
    }

    fn page_size(&self) -> Option<usize> {
        let size = self.number(8)?;
        let is_valid = size.is_power_of_two() && (512..=65536).contains(&size);
        usize::try_from(size).ok().filter(|_| is_valid)
    }

    /// Returns the checksum of the header, if the header is valid.
    fn checksum(&self) -> Option<Checksum> {
        let is_big_endian = match self.number(0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        self.page_size()?;
        let mut checksum = Checksum { is_big_endian, first: 0, second: 0 };
        checksum.add(self.0.get(..24)?);
        checksum.matches(self.0.get(24..)?).then_some(checksum)
    }
}

/// Reads the headers of page 1 in the committed transactions of the log, in their order. A header
/// appears once per time that the page was written.
pub(super) fn committed_headers(log: &Path) -> io::Result<Vec<FileHeader>> {
    let mut committed = Vec::new();
    let Some(header) = LogHeader::read(log)? else {
        return Ok(committed);
    };
    let (Some(mut checksum), Some(page_size)) = (header.checksum(), header.page_size()) else {
        return Ok(committed);
    };
    let mut file = BufReader::with_capacity(1 << 20, File::open(log)?);
    file.read_exact(&mut [0; 32])?;
    let mut frame = vec![0; 24 + page_size];
    let mut pending = Vec::new();
    while read_whole(&mut file, &mut frame)? {
        let (Some(head), Some(page)) = (frame.get(..24), frame.get(24..)) else { break };
        // The log ends at the first frame that is of an earlier cycle or was not written whole.
        checksum.add(head.get(..8).unwrap_or_default());
        checksum.add(page);
        if head.get(8..16) != header.0.get(16..24)
            || !checksum.matches(head.get(16..).unwrap_or_default())
        {
            break;
        }
        if big_endian(head, 0) == Some(1) {
            pending.extend(FileHeader::parse(page));
        }
        let is_commit = big_endian(head, 4).is_some_and(|pages| pages > 0);
        if is_commit {
            committed.append(&mut pending);
        }
    }
    Ok(committed)
}

/// Fills the buffer. Returns `false` if the file ends first.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

/// The running checksum of a log, section 4.2 of the format.
#[derive(Debug, Clone, Copy)]
struct Checksum {
    is_big_endian: bool,
    first: u32,
    second: u32,
}

impl Checksum {
    /// Adds bytes, a multiple of eight.
    fn add(&mut self, bytes: &[u8]) {
        let word = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        for [a, b, c, d, e, f, g, h] in bytes.as_chunks::<8>().0 {
            self.first = self.first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(self.second);
            self.second = self.second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(self.first);
        }
    }

    fn matches(&self, stored: &[u8]) -> bool {
        (big_endian(stored, 0), big_endian(stored, 4)) == (Some(self.first), Some(self.second))
    }
}
