//! The service on PostgreSQL against pgbench on the same cluster. pgbench runs one prepared
//! statement with the work of the request: reads with the fastest number of clients, writes with as
//! many clients as the service has connections.

use anyhow::Result;

use super::environment::Environment;
use crate::comparison::{Goal, compare, median_of};
use crate::operation::Operation;
use crate::report::Report;
use crate::seed::{CONTENT, POSTS, USERS};

const DATABASE: &str = "pgbench";

/// Looks up the caller, and the post with its votes.
const READ_POST: &str = "
\\set post random(1, POSTS)
\\set caller random(1, USERS)
SELECT posts.id, title, content, published, posts.created_at, owner_id,
       (SELECT votes FROM vote_counts WHERE post_id = posts.id)
  FROM users LEFT JOIN posts ON posts.id = :post AND (published OR owner_id = users.id)
 WHERE users.id = :caller;
";

/// Less work than in the service: no look-up of the caller, and no limit on the bytes of a list.
const LIST_POSTS: &str = "
SELECT id, title, content, published, created_at, owner_id,
       (SELECT votes FROM vote_counts WHERE post_id = posts.id)
  FROM posts WHERE published ORDER BY id DESC LIMIT 10;
";

const VOTE: &str = "
\\set caller random(1, USERS)
\\set post random(1, VOTED_POSTS)
\\set dir 2 * random(0, 1) - 1
INSERT INTO votes (post_id, user_id, dir) VALUES (:post, :caller, :dir)
ON CONFLICT (post_id, user_id) DO UPDATE SET dir = excluded.dir WHERE votes.dir <> excluded.dir;
";

const CREATE_POST: &str = "
\\set caller random(1, USERS)
INSERT INTO posts (title, content, published, created_at, owner_id)
VALUES ('Post of a load', 'CONTENT', TRUE, now(), :caller) RETURNING id;
";

pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) script: String,
    goal: f64,
    /// Whether pgbench gets its fastest number of clients, or else the number of connections.
    pub(super) uses_fastest_clients: bool,
}

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let server = environment.start_on_postgres(DATABASE)?;
    for Case { operation, script, goal, uses_fastest_clients } in cases() {
        let clients = (!uses_fastest_clients).then_some(environment.options.connections);
        let trial = environment.schedule.time / 2;
        let script = environment.cluster.prepare_script(DATABASE, &script, clients, trial)?;
        let mut traffic = environment.traffic(operation);
        let comparison = compare(
            environment.schedule,
            (&format!("{}, PostgreSQL", operation.name()), &mut |time| {
                environment.load(server.address, &mut traffic, time)
            }),
            (&format!("pgbench, {} clients", script.clients()), &mut |time| script.run(time)),
            ("/s", Goal::AtLeast(goal)),
        )?;
        let throughput = median_of(&comparison.service_values);
        let name = comparison.name.clone();
        report.comparisons.push(comparison);
        let mut traffic = environment.traffic(operation);
        report.latencies.push(environment.profile_latency(
            name,
            server.address,
            &mut traffic,
            throughput,
        )?);
    }
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    let vote = |posts: u64| VOTE.replace("VOTED_POSTS", &posts.to_string());
    let cases = [
        (Operation::ReadPost, READ_POST.to_owned(), 1.35, true),
        (Operation::ListPosts, LIST_POSTS.to_owned(), 1.4, true),
        (Operation::Vote, vote(POSTS), 3.0, false),
        (Operation::VoteOnOnePost, vote(1), 15.0, false),
        (Operation::CreatePost, CREATE_POST.to_owned(), 2.6, false),
    ];
    let fill = |script: String| {
        script
            .replace("POSTS", &POSTS.to_string())
            .replace("USERS", &USERS.to_string())
            .replace("CONTENT", CONTENT)
    };
    cases
        .into_iter()
        .map(|(operation, script, goal, uses_fastest_clients)| {
            let script = fill(script);
            Case { operation, script, goal, uses_fastest_clients }
        })
        .collect()
}
