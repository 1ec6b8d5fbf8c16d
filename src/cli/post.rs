//! `post-api post`: moderates posts, even while the service runs.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::SourceArguments;
use super::exit::Exit;
use super::list_lines::{escape, json_line, time};
use super::operator::{self, Operator};
use super::output::{print, print_while_read};
use super::setup::block_on;
use crate::auth::fold_case;
use crate::config::Database;
use crate::domain::post::{PostId, PostWithVotes};

#[derive(Debug, Args)]
pub(super) struct PostArguments {
    #[command(subcommand)]
    command: PostCommand,
    #[command(flatten)]
    source: SourceArguments,
}

#[derive(Debug, Subcommand)]
enum PostCommand {
    /// List posts and drafts by descending ID, the newest first
    ///
    /// Prints a header and one line per post, with tabs between the fields: ID, ID of the owner, time of
    /// creation, whether it is published, votes, and the first 200 characters of the title. Characters
    /// that control a terminal or break a line are escaped, like \u{202e}, and a backslash is \\.
    List(ListArguments),
    /// Delete posts or drafts with their votes: exit code 1 if one does not exist
    Delete {
        /// IDs of the posts
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

#[derive(Debug, Args)]
struct ListArguments {
    /// List only posts of the account with this e-mail: exit code 1 if there is none
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// List only posts whose title or content has this text, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Print one JSON object per line, with the whole title and the content, without a header
    #[arg(long)]
    json: bool,
    /// Continue the list after the post with this ID: list only posts with a lower one
    #[arg(long, value_name = "ID", default_value_t = i64::MAX, hide_default_value = true)]
    after: i64,
}

/// A post as `--json` shows it.
#[derive(Serialize)]
struct PostLine<'a> {
    id: i64,
    owner_id: i64,
    created_at: String,
    published: bool,
    votes: i64,
    title: &'a str,
    content: &'a str,
}

const HEADER: &str = "id\towner_id\tcreated_at\tpublished\tvotes\ttitle\n";

/// Number of characters of a title in a line for people.
const TITLE_CHARACTERS: usize = 200;

pub(super) fn run(arguments: &PostArguments) -> Result<(), Exit> {
    let settings = operator::start(&arguments.source)?;
    block_on(async {
        match &arguments.command {
            PostCommand::List(arguments) => list(arguments, &settings.database).await,
            PostCommand::Delete { ids } => delete(ids, &settings.database).await,
        }
    })
}

async fn list(arguments: &ListArguments, database: &Database) -> Result<(), Exit> {
    let mut operator = Operator::open(database).await?;
    let owner = match &arguments.owner {
        Some(email) => Some(operator.find(email).await?.user.id),
        None => None,
    };
    if !arguments.json && !print_while_read(HEADER)? {
        return Ok(());
    }
    let search = arguments.search.as_deref().map(fold_case);
    let mut before = PostId(arguments.after);
    loop {
        // One page is in memory at a time.
        let posts = operator.store.list_posts(owner, before).await?;
        let Some(last) = posts.last() else { return Ok(()) };
        before = last.post.id;
        let mut lines = String::new();
        for found in &posts {
            if search.as_ref().is_none_or(|text| has_text(found, text)) {
                lines.push_str(&line(found, arguments.json)?);
            }
        }
        if !print_while_read(&lines)? {
            return Ok(());
        }
    }
}

fn has_text(PostWithVotes { post, .. }: &PostWithVotes, folded: &str) -> bool {
    [&post.title, &post.content].iter().any(|text| fold_case(text.as_str()).contains(folded))
}

fn line(PostWithVotes { post, votes }: &PostWithVotes, as_json: bool) -> Result<String, Exit> {
    let (id, owner_id, created_at) = (post.id.0, post.owner_id.0, time(post.created_at));
    let (published, votes, title) = (post.published, *votes, post.title.as_str());
    if as_json {
        let content = post.content.as_str();
        return json_line(&PostLine { id, owner_id, created_at, published, votes, title, content });
    }
    let title: String = title.chars().take(TITLE_CHARACTERS).collect();
    let title = escape(&title);
    Ok(format!("{id}\t{owner_id}\t{created_at}\t{published}\t{votes}\t{title}\n"))
}

async fn delete(ids: &[i64], database: &Database) -> Result<(), Exit> {
    let mut operator = Operator::open(database).await?;
    let mut missing = Vec::new();
    for id in ids {
        match operator.store.delete_post(PostId(*id)).await? {
            Some(owner) => {
                operator.record_deleted_post(owner, PostId(*id)).await;
                print(&format!("deleted post {id}"))?;
            }
            None => missing.push(format!("there is no post {id}")),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Exit::CheckFailed(missing)) }
}
