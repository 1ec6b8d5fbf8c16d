//! The README and the pages of `docs/`, run as their readers would: every command, from top to
//! bottom, in an empty folder. The output must be the one that the page shows.
//!
//! A command whose output a page does not show must succeed, and must not print an error of the API.

mod blocks;
pub(crate) mod live_client;
mod session;

use std::path::{Path, PathBuf};

use self::blocks::{Block, Command, matches, shell_blocks};
use self::session::Session;
use crate::support::{Certificate, Cluster};

const REFERENCE: &str = include_str!("../data/reference.sql");

/// The pages in the order in which a reader types their commands. Each row is one reader, who begins
/// in an empty folder. `page#heading` has the blocks below that heading, and `page` all of them.
const GUIDES: [(&str, &[&str]); 8] = [
    ("first_steps", &["README.md#quick-start", "README.md#try-it", "docs/accounts.md"]),
    ("live", &["README.md#quick-start", "README.md#try-it", "docs/live.md"]),
    ("postgresql", &["README.md#configuration", "docs/postgresql.md"]),
    ("https", &["docs/https.md"]),
    ("keys", &["docs/keys.md"]),
    ("migrating", &["docs/migrating.md"]),
    ("operations", &["docs/operations.md"]),
    ("email", &["docs/email.md"]),
];

/// Pages whose blocks are not run, with the reason.
const NOT_RUN: [(&str, &str); 3] = [
    (
        "docs/installation.md",
        "needs systemd, Docker or a cluster; scripts/test-packages checks the package and the files",
    ),
    ("docs/scaling.md", "needs several servers; scripts/stress has the parts cluster and citus"),
    (
        "docs/verification.md",
        "takes from half an hour to half a day; scripts/test runs the short form of each part",
    ),
];

/// Commands that are run in another form, with the reason.
const REPLACED: [(&str, &str, &str); 2] = [
    ("cargo run --release", "post-api", "the binary is built before the tests run"),
    ("--port 8443", "--port 0", "another program may use the port"),
];

/// The address at which the README's service listens. The system chooses another port in tests.
const README_URL: &str = "http://127.0.0.1:8000";

/// The example of a database URL in the pages.
const DATABASE_URL: &str = "postgresql://USER:PASSWORD@HOST/NAME";

/// The secret of the reference service.
const SECRET_KEY: &str = "7c1f0a94e2b85d36f7a1c05e9d42b83a";

/// The state that the text around a block asks for.
enum Precondition {
    Serving,
    Stopped,
    /// The service ran before and has stopped.
    Started,
    Certificate,
    ReferenceDatabase,
}

/// The preconditions of commands, by their beginning.
const PRECONDITIONS: [(&str, Precondition); 6] = [
    ("echo 'plum lantern 83 quay' | post-api user add", Precondition::Serving),
    ("post-api secret rotate", Precondition::Started),
    ("post-api backup", Precondition::Serving),
    ("post-api restore", Precondition::Stopped),
    ("TLS_CERT=", Precondition::Certificate),
    ("post-api db upgrade --dry-run", Precondition::ReferenceDatabase),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read_blocks(page: &str) -> Vec<Block> {
    shell_blocks(&std::fs::read_to_string(root().join(page)).unwrap())
}

/// Returns the blocks of `page` or `page#heading`.
fn blocks_of(place: &str) -> Vec<Block> {
    let (page, anchor) = place.split_at(place.find('#').unwrap_or(place.len()));
    let mut blocks = read_blocks(page);
    blocks.retain(|block| anchor.is_empty() || block.anchor == anchor);
    assert!(!blocks.is_empty(), "{place} has no shell block");
    blocks
}

struct Reader {
    session: Session,
    database_url: String,
}

impl Reader {
    fn follow(guide: &str) {
        let (_, places) = GUIDES.iter().find(|(name, _)| *name == guide).unwrap();
        let database = Cluster::shared().empty_database();
        let database_url = database.url().to_owned();
        if guide == "migrating" {
            database.execute(REFERENCE);
        }
        let mut reader = Self { session: Session::start(), database_url };
        for place in *places {
            for command in blocks_of(place).iter().flat_map(|block| &block.commands) {
                reader.prepare(&command.text);
                reader.run(command, place);
            }
        }
        reader.session.stop();
    }

    fn prepare(&mut self, command: &str) {
        let found = PRECONDITIONS.iter().find(|(beginning, _)| command.starts_with(beginning));
        match found.map(|(_, precondition)| precondition) {
            None => {}
            Some(Precondition::Serving) => drop(self.session.serve("post-api")),
            Some(Precondition::Stopped) => self.session.stop(),
            Some(Precondition::Started) => {
                self.session.serve("post-api");
                self.session.stop();
            }
            Some(Precondition::Certificate) => {
                let certificate = Certificate::generate();
                let write = |name: &str, text: &str| {
                    std::fs::write(self.session.folder().join(name), text).unwrap();
                };
                write("fullchain.pem", &certificate.pem);
                write("privkey.pem", &certificate.key);
            }
            Some(Precondition::ReferenceDatabase) => {
                let url = &self.database_url;
                self.session.run(&format!("export DATABASE_URL={url} SECRET_KEY={SECRET_KEY}"));
            }
        }
    }

    fn run(&mut self, command: &Command, place: &str) {
        let mut text = command.text.replace(DATABASE_URL, &self.database_url);
        for (from, to, _) in REPLACED {
            text = text.replace(from, to);
        }
        let serves = text == "post-api" || text.contains("post-api serve");
        let output = if serves {
            self.session.serve(&text)
        } else {
            let url = self.session.url.clone();
            self.session.run(&text.replace(README_URL, &url))
        };
        let is_shown = match &command.output {
            Some(shown) => matches(&shown.replace(README_URL, &self.session.url), &output),
            None => !output.contains("{\"detail\":"),
        };
        assert!(is_shown, "{place}: {}\nprinted\n{output}\nnot {:?}", command.text, command.output);
    }
}

#[test]
fn first_steps_can_be_followed() {
    Reader::follow("first_steps");
}

#[test]
fn live_page_can_be_followed() {
    Reader::follow("live");
}

#[test]
fn postgresql_pages_can_be_followed() {
    Reader::follow("postgresql");
}

#[test]
fn https_page_can_be_followed() {
    Reader::follow("https");
}

#[test]
fn keys_page_can_be_followed() {
    Reader::follow("keys");
}

#[test]
fn migrating_page_can_be_followed() {
    Reader::follow("migrating");
}

#[test]
fn operations_page_can_be_followed() {
    Reader::follow("operations");
}

#[test]
fn email_page_can_be_followed() {
    Reader::follow("email");
}

/// Returns the README and the pages of `docs/`.
fn pages() -> Vec<String> {
    let files = std::fs::read_dir(root().join("docs")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let is_page = |name: &String| Path::new(name).extension().is_some_and(|ending| ending == "md");
    let pages = names.filter(is_page).map(|name| format!("docs/{name}"));
    pages.chain(["README.md".to_owned()]).collect()
}

/// A new block is run or listed with a reason.
#[test]
fn every_shell_block_is_run_or_listed() {
    let places: Vec<&str> = GUIDES.iter().flat_map(|(_, places)| *places).copied().collect();
    let is_run = |page: &str, block: &Block| {
        places.contains(&page) || places.contains(&format!("{page}{}", block.anchor).as_str())
    };
    for page in pages() {
        let is_listed = NOT_RUN.iter().any(|(listed, _)| *listed == page);
        let blocks = read_blocks(&page);
        assert!(!is_listed || !blocks.is_empty(), "{page} has no shell block");
        for block in blocks {
            assert_ne!(is_run(&page, &block), is_listed, "{page}{}: {block:?}", block.anchor);
        }
    }
}
