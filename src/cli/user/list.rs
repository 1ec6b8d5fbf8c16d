//! `post-api user list`.

use clap::Args;
use serde::Serialize;

use crate::auth::fold_case;
use crate::cli::exit::Exit;
use crate::cli::list_lines::{escape, json_line, time};
use crate::cli::operator::Operator;
use crate::cli::output::print_while_read;
use crate::config::Database;
use crate::domain::display_name::DisplayName;
use crate::domain::user::{Account, UserId};

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// List only accounts whose e-mail or display name has this text, in any case
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// List only disabled accounts
    #[arg(long)]
    disabled: bool,
    /// List only administrators
    #[arg(long)]
    admin: bool,
    /// Print one JSON object per line, without a header
    #[arg(long)]
    json: bool,
    /// List only accounts with a higher ID
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
}

/// An account as `--json` shows it.
#[derive(Serialize)]
struct AccountLine<'a> {
    id: i64,
    email: &'a str,
    name: Option<&'a str>,
    created_at: String,
    disabled_at: Option<String>,
    is_admin: bool,
}

const HEADER: &str = "id\temail\tname\tcreated_at\tdisabled_at\tis_admin\n";

pub(super) async fn run(arguments: &ListArguments, database: &Database) -> Result<(), Exit> {
    let mut operator = Operator::open(database).await?;
    if !arguments.json && !print_while_read(HEADER)? {
        return Ok(());
    }
    let search = arguments.search.as_deref().map(fold_case);
    let mut after = UserId(arguments.after);
    loop {
        // One page is in memory at a time.
        let accounts = operator.store.list_accounts(after).await?;
        let Some(last) = accounts.last() else { return Ok(()) };
        after = last.user.id;
        let is_listed = |account: &&Account| {
            (!arguments.disabled || account.disabled_at.is_some())
                && (!arguments.admin || account.is_admin)
                && search.as_ref().is_none_or(|text| has_text(account, text))
        };
        let mut lines = String::new();
        for account in accounts.iter().filter(is_listed) {
            lines.push_str(&line(account, arguments.json)?);
        }
        if !print_while_read(&lines)? {
            return Ok(());
        }
    }
}

fn has_text(Account { user, .. }: &Account, folded: &str) -> bool {
    let name = user.name.as_ref().map_or("", DisplayName::as_str);
    fold_case(user.email.as_str()).contains(folded) || fold_case(name).contains(folded)
}

fn line(Account { user, disabled_at, is_admin }: &Account, as_json: bool) -> Result<String, Exit> {
    let account = AccountLine {
        id: user.id.0,
        email: user.email.as_str(),
        name: user.name.as_ref().map(DisplayName::as_str),
        created_at: time(user.created_at),
        disabled_at: disabled_at.map(time),
        is_admin: *is_admin,
    };
    if as_json {
        return json_line(&account);
    }
    Ok(format!(
        "{}\t{}\t{}\t{}\t{}\t{}\n",
        account.id,
        escape(account.email),
        escape(account.name.unwrap_or_default()),
        account.created_at,
        account.disabled_at.unwrap_or_default(),
        account.is_admin
    ))
}
