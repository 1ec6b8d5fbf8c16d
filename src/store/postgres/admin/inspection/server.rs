//! The checks of the server and of its settings.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::{Client, Error};

use super::super::{PostgresAdmin, confirmation};
use crate::store::inspection::Finding;

/// The major versions that the tests run on.
const VERSIONS: std::ops::RangeInclusive<i32> = 14..=18;

/// From this age in seconds on, an open transaction keeps dead rows and delays migrations too long.
const OLD_TRANSACTION: i64 = 5 * 60;

/// The largest difference between the two clocks that passes.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

const VERSION: &str =
    "SELECT current_setting('server_version_num')::integer, current_setting('server_version')";

/// The value outside of this session, which only reads.
const MODE: &str = "SELECT pg_is_in_recovery(), reset_val::boolean
   FROM pg_settings WHERE name = 'default_transaction_read_only'";

const DURABILITY: &str = "SELECT current_setting('synchronous_commit'),
    current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean";

/// Whether autovacuum works, and the tables for which it is off.
const AUTOVACUUM: &str = "
    SELECT current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean,
           ARRAY(SELECT relname::text
                   FROM unnest(ARRAY['users', 'posts', 'votes', 'vote_counts', 'sessions', 'events',
                                     'login_failures', 'idempotency_keys',
                                     'post_changes']) AS name
                   JOIN pg_class ON pg_class.oid = to_regclass(name)
                  CROSS JOIN pg_options_to_table(reloptions)
                  WHERE option_name = 'autovacuum_enabled' AND NOT option_value::boolean
                  ORDER BY relname)";

/// The number of other transactions, and the age of the oldest in seconds. A role that may not read
/// the statistics of others sees its own.
const TRANSACTIONS: &str = "
    SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - started)), 0)::bigint
      FROM (SELECT xact_start AS started FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND backend_type = 'client backend' AND xact_start IS NOT NULL
             UNION ALL
            SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS others";

pub(super) async fn inspect_version(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one(VERSION, &[]).await?;
    let (number, version): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(judge_version(number / 10_000, &format!("PostgreSQL {version}")))
}

fn judge_version(major: i32, version: &str) -> Finding {
    let (oldest, newest) = (VERSIONS.start(), VERSIONS.end());
    if major < *oldest {
        Finding::fail(version, format!("upgrade the server to a version from {oldest} to {newest}"))
    } else if major > *newest {
        Finding::warn(version, format!("this release is tested with {oldest} to {newest}"))
    } else {
        Finding::ok(version)
    }
}

pub(super) async fn inspect_mode(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one(MODE, &[]).await?;
    Ok(if row.try_get(0)? {
        Finding::fail(
            "the server is a standby, which only reads",
            "name the primary in DATABASE_URL, or all hosts separated by commas",
        )
    } else if row.try_get(1)? {
        Finding::fail(
            "default_transaction_read_only is on, so every write fails",
            "set it to off for the server, the database and the role",
        )
    } else {
        Finding::ok("the server accepts writes")
    })
}

pub(super) async fn inspect_clock(
    client: &Client,
    now: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Finding, Error> {
    let before = now();
    let server: Timestamp = client.query_one("SELECT clock_timestamp()", &[]).await?.try_get(0)?;
    Ok(judge_clock(before, server, now()))
}

/// The server has read its clock between the two other times.
fn judge_clock(before: Timestamp, server: Timestamp, after: Timestamp) -> Finding {
    let ahead = server.duration_since(after).max(SignedDuration::ZERO);
    let behind = before.duration_since(server).max(SignedDuration::ZERO);
    let (difference, way) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference <= CLOCK_TOLERANCE {
        return Finding::ok("the clocks of the server and of this machine agree");
    }
    let seconds = difference.as_millis();
    Finding::warn(
        format!("the clock of the server is {seconds} ms {way} that of this machine"),
        "synchronize both clocks with NTP",
    )
}

pub(super) async fn inspect_durability(admin: &PostgresAdmin) -> Result<Finding, Error> {
    let (client, has_session) = (&admin.client, admin.has_session);
    let unconfirmed = confirmation::problem(client, admin.confirms_reads).await?;
    let row = client.query_one(DURABILITY, &[]).await?;
    let (commit, is_written): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    // `local` waits for the disk, but not for a synchronous standby.
    let is_weak = ["off", "local"].contains(&commit.as_str());
    Ok(if !is_written {
        Finding::warn(
            "fsync or full_page_writes is off: a crash of the machine can destroy the database",
            "set both to on in postgresql.conf",
        )
    } else if is_weak && has_session {
        Finding::warn(
            format!(
                "synchronous_commit is {commit}: the service sets it to on for its connections, \
                 other programs can lose writes"
            ),
            "set it to on for the server, the database and the role",
        )
    } else if is_weak {
        Finding::fail(
            format!(
                "synchronous_commit is {commit}, and the service cannot set it behind a pooler: a \
                 crash or a failover can lose acknowledged writes"
            ),
            "set it to on for the role",
        )
    } else if let Some((problem, cure)) = unconfirmed {
        Finding::warn(problem, cure)
    } else {
        Finding::ok("a commit is on the disk before it is acknowledged")
    })
}

pub(super) async fn inspect_autovacuum(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one(AUTOVACUUM, &[]).await?;
    let (is_on, off): (bool, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(if !is_on {
        Finding::warn(
            "autovacuum is off: tables grow, and IDs of transactions run out",
            "set autovacuum and track_counts to on in postgresql.conf",
        )
    } else if let Some(table) = off.first() {
        Finding::warn(
            format!("autovacuum is off for {}", off.join(", ")),
            format!("run `ALTER TABLE {table} RESET (autovacuum_enabled)`"),
        )
    } else {
        Finding::ok("autovacuum is on")
    })
}

pub(super) async fn inspect_transactions(client: &Client) -> Result<Finding, Error> {
    let row = client.query_one(TRANSACTIONS, &[]).await?;
    Ok(judge_transactions(row.try_get(0)?, row.try_get(1)?))
}

fn judge_transactions(count: i64, age: i64) -> Finding {
    if count == 0 {
        return Finding::ok("no other transaction is open");
    }
    let detail = format!("{count} other transactions are open, the oldest for {age} seconds");
    if age < OLD_TRANSACTION {
        return Finding::ok(detail);
    }
    let cure = "end it, for example with pg_terminate_backend: see xact_start in pg_stat_activity, \
                and pg_prepared_xacts";
    Finding::warn(detail, cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::inspection::Verdict;

    #[test]
    fn versions_outside_the_tested_range_are_reported() {
        for (major, verdict) in
            [(13, Verdict::Fail), (14, Verdict::Ok), (18, Verdict::Ok), (19, Verdict::Warn)]
        {
            assert_eq!(judge_version(major, "").verdict, verdict, "{major}");
        }
    }

    #[test]
    fn old_transaction_is_reported() {
        assert_eq!(judge_transactions(0, 0).verdict, Verdict::Ok);
        assert_eq!(judge_transactions(2, OLD_TRANSACTION - 1).verdict, Verdict::Ok);
        assert_eq!(judge_transactions(1, OLD_TRANSACTION).verdict, Verdict::Warn);
    }

    #[test]
    fn clock_outside_of_the_question_and_the_tolerance_is_reported() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        for (server, verdict, way) in [
            (0, Verdict::Ok, "agree"),
            (-1000, Verdict::Ok, "agree"),
            (-1001, Verdict::Warn, "1001 ms behind"),
            (9000, Verdict::Ok, "agree"),
            (10_000, Verdict::Ok, "agree"),
            (10_002, Verdict::Warn, "1002 ms ahead of"),
        ] {
            let finding = judge_clock(at(0), at(server), at(9000));
            assert_eq!(finding.verdict, verdict, "{server}");
            assert!(finding.detail.contains(way), "{server}: {finding:?}");
        }
    }
}
