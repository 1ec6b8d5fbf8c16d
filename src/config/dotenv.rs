//! Parses the text of a `.env` file like python-dotenv 1.2.4, which the reference service uses: the
//! same file must give the same settings here. No crate handles quotes, escapes and references in
//! the same way. `tests/it/config/dotenv.rs` compares the parser with recorded results.
//!
//! Not here:
//!
//! - files: the caller opens and decodes them, and rejects a file that is not UTF-8;
//! - names: the parser keeps their case, and `source.rs` decides which of them are settings;
//! - the environment: the parser only reads it, through a function;
//! - shell syntax: `$NAME`, `$(command)` and backslashes outside quotes are plain text;
//! - limits: references can make a value far longer than its file, so the file must be trusted.

use std::borrow::Cow;
use std::collections::HashMap;

/// The content of a `.env` file. It contains secrets, so it does not implement `Debug`.
#[derive(Default)]
pub struct DotEnv {
    /// Names and values. A repeated name has the position of its first statement and the value of
    /// its last one. A name without `=` has no value.
    pub entries: Vec<(String, Option<String>)>,
    /// The numbers of the lines, from 1, at which the entries begin, in their order.
    pub entry_lines: Vec<usize>,
    /// The numbers of the lines, from 1, at which the skipped statements begin.
    pub unreadable_lines: Vec<usize>,
}

/// Parses a whole `.env` file.
///
/// `environment` resolves `${NAME}` for names that the file has not set before. A name can be any
/// text, even an empty text.
#[must_use]
pub fn parse(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> DotEnv {
    // Python opens the file in text mode, which converts line ends before quotes are parsed.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader { rest: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text), line: 1 };
    let mut variables = Variables { names: Vec::new(), values: HashMap::new(), environment };
    let mut dot_env = DotEnv::default();
    while reader.skip_to_statement() {
        let line = reader.line;
        match reader.statement() {
            Ok(Statement::Comment) => {}
            Ok(Statement::Variable(name, value)) => {
                let is_new = variables.set(name, value.as_deref());
                dot_env.entry_lines.extend(is_new.then_some(line));
            }
            Err(Unreadable) => {
                // Only one line is skipped: an open quote must not hide the statements after it.
                reader.take_line();
                dot_env.unreadable_lines.push(line);
            }
        }
    }
    dot_env.entries = variables.into_entries();
    dot_env
}

const BYTE_ORDER_MARK: char = '\u{feff}';

enum Statement<'text> {
    Comment,
    Variable(&'text str, Option<String>),
}

struct Unreadable;

/// Python's white space also includes four control characters that are not in Unicode's
/// `White_Space`.
fn is_whitespace(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

fn is_blank(character: char) -> bool {
    is_whitespace(character) && character != '\n'
}

struct Reader<'text> {
    rest: &'text str,
    line: usize,
}

impl<'text> Reader<'text> {
    /// Returns whether a statement follows.
    fn skip_to_statement(&mut self) -> bool {
        self.take_while(is_whitespace);
        !self.rest.is_empty()
    }

    fn statement(&mut self) -> Result<Statement<'text>, Unreadable> {
        self.skip_export();
        if self.rest.starts_with('#') {
            self.take_line();
            return Ok(Statement::Comment);
        }
        let name = self.name()?;
        self.take_while(is_blank);
        let value = self.assigned_value()?;
        self.take_while(is_blank);
        if self.rest.starts_with('#') {
            self.take_line();
        }
        if !self.rest.is_empty() && !self.rest.starts_with('\n') {
            return Err(Unreadable);
        }
        Ok(Statement::Variable(name, value))
    }

    /// If no blank follows, `export` itself is a name.
    fn skip_export(&mut self) {
        const EXPORT: &str = "export";
        let after = self.rest.strip_prefix(EXPORT);
        if after.is_some_and(|after| after.starts_with(is_blank)) {
            self.take(EXPORT.len());
            self.take_while(is_blank);
        }
    }

    fn name(&mut self) -> Result<&'text str, Unreadable> {
        let name = match self.rest.strip_prefix('\'') {
            Some(quoted) => {
                let (name, _) = quoted.split_once('\'').ok_or(Unreadable)?;
                self.take(name.len() + "''".len());
                name
            }
            None => self.take_while(|character| {
                !is_whitespace(character) && character != '=' && character != '#'
            }),
        };
        if name.is_empty() {
            return Err(Unreadable);
        }
        Ok(name)
    }

    fn assigned_value(&mut self) -> Result<Option<String>, Unreadable> {
        if !self.rest.starts_with('=') {
            return Ok(None);
        }
        self.take("=".len());
        let blanks = self.take_while(is_blank);
        match self.rest.chars().next() {
            // Directly after the `=`, a `#` belongs to the value.
            Some('#') if !blanks.is_empty() => Ok(Some(String::new())),
            Some(quote @ ('\'' | '"')) => self.quoted_value(quote).map(Some),
            _ => Ok(Some(self.unquoted_value().to_owned())),
        }
    }

    /// The search for the closing quote may reach the end of the text, but the total time stays
    /// linear. A later quote of the same kind would have closed this one, so it happens once per
    /// kind of quote.
    fn quoted_value(&mut self, quote: char) -> Result<String, Unreadable> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            if character == quote {
                self.take(index + quote.len_utf8());
                return Ok(value);
            }
            if character != '\\' {
                value.push(character);
                continue;
            }
            let (_, escaped) = characters.next().ok_or(Unreadable)?;
            match unescape(quote, escaped) {
                Some(meant) => value.push(meant),
                None => value.extend(['\\', escaped]),
            }
        }
        Err(Unreadable)
    }

    fn unquoted_value(&mut self) -> &'text str {
        let line = self.take_line();
        let mut after_blank = false;
        let comment = line.find(|character| {
            let begins_comment = after_blank && character == '#';
            after_blank = is_blank(character);
            begins_comment
        });
        let value = comment.and_then(|start| line.get(..start)).unwrap_or(line);
        value.trim_end_matches(is_blank)
    }

    fn take_line(&mut self) -> &'text str {
        self.take_while(|character| character != '\n')
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'text str {
        let end = self.rest.find(|character| !wanted(character));
        self.take(end.unwrap_or(self.rest.len()))
    }

    /// Consumes text. All other functions call this one, so every line end is counted.
    fn take(&mut self, length: usize) -> &'text str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }
}

/// Returns `None` if the backslash stands for itself.
fn unescape(quote: char, escaped: char) -> Option<char> {
    match escaped {
        '\\' | '\'' => Some(escaped),
        _ if quote == '\'' => None,
        '"' => Some('"'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        _ => None,
    }
}

struct Variables<'text, 'environment> {
    names: Vec<&'text str>,
    values: HashMap<&'text str, Option<String>>,
    environment: &'environment dyn Fn(&str) -> Option<String>,
}

impl<'text> Variables<'text, '_> {
    /// Returns whether the name is new.
    fn set(&mut self, name: &'text str, value: Option<&str>) -> bool {
        let value = value.map(|value| self.resolve_references(value));
        let is_new = self.values.insert(name, value).is_none();
        if is_new {
            self.names.push(name);
        }
        is_new
    }

    /// Resolves the references in a value, with any quotes or none. Inserted text is not resolved
    /// again.
    fn resolve_references(&self, value: &str) -> String {
        let mut resolved = String::new();
        let mut rest = value;
        while let Some(reference) = next_reference(rest) {
            resolved.push_str(reference.before);
            resolved.push_str(&self.lookup(reference.name, reference.default));
            rest = reference.after;
        }
        resolved + rest
    }

    /// The file takes precedence over the environment. If the file sets a name, even without a
    /// value, its default does not apply.
    fn lookup(&self, name: &str, default: &str) -> Cow<'_, str> {
        if let Some(value) = self.values.get(name) {
            return Cow::Borrowed(value.as_deref().unwrap_or_default());
        }
        Cow::Owned((self.environment)(name).unwrap_or_else(|| default.to_owned()))
    }

    fn into_entries(mut self) -> Vec<(String, Option<String>)> {
        let entry = |name: &str| (name.to_owned(), self.values.remove(name).flatten());
        self.names.into_iter().map(entry).collect()
    }
}

/// `${NAME}` or `${NAME:-default}`, with the text on both sides of it.
struct Reference<'value> {
    before: &'value str,
    name: &'value str,
    default: &'value str,
    after: &'value str,
}

fn next_reference(value: &str) -> Option<Reference<'_>> {
    const OPENING: &str = "${";
    let mut searched = value;
    loop {
        let (_, inside) = searched.split_once(OPENING)?;
        let (name, ending) = inside.split_at_checked(inside.find(['}', ':'])?)?;
        let (default, after) = if let Some(after) = ending.strip_prefix('}') {
            ("", after)
        } else if let Some(default_and_after) = ending.strip_prefix(":-") {
            default_and_after.split_once('}')?
        } else {
            // The search continues after the colon: an opening before it would stop at the same
            // colon.
            searched = ending;
            continue;
        };
        let before = value.len() - inside.len() - OPENING.len();
        return Some(Reference { before: value.get(..before)?, name, default, after });
    }
}
