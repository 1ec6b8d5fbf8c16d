//! PostgreSQL through the service, beside pgbench on the same server with the same question as one
//! prepared statement of its own, with as many clients as suit it best.

use anyhow::Result;

use super::environment::Place;
use crate::comparison::{Goal, compare, median_of};
use crate::operation::Operation;
use crate::report::Report;
use crate::seed::{CONTENT, POSTS, USERS};

const DATABASE: &str = "ours";

/// Whether the caller is there, and the post with its votes.
const READ_POST: &str = "
\\set post random(1, POSTS)
\\set caller random(1, USERS)
SELECT posts.id, title, content, published, posts.created_at, owner_id,
       (SELECT votes FROM vote_counts WHERE post_id = posts.id)
  FROM users LEFT JOIN posts ON posts.id = :post AND (published OR owner_id = users.id)
 WHERE users.id = :caller;
";

/// Without the question who asks, and without the bound on a list's bytes: less than the service does.
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

/// With the number of clients that pgbench is given where its best count is not asked for.
struct Work {
    operation: Operation,
    script: String,
    goal: f64,
    is_at_best: bool,
}

pub fn measure(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let server = place.on_postgres(DATABASE)?;
    for Work { operation, script, goal, is_at_best } in works() {
        let fixed = (!is_at_best).then_some(place.options.connections);
        let script = place.cluster.script(DATABASE, &script, fixed, place.effort.time / 2)?;
        let mut traffic = place.traffic(operation);
        let comparison = compare(
            place.effort,
            (&format!("{}, PostgreSQL", operation.name()), &mut |time| {
                place.load(server.address, &mut traffic, time)
            }),
            (&format!("pgbench, {} clients", script.clients()), &mut |time| script.run(time)),
            ("/s", Goal::AtLeast(goal)),
        )?;
        let reached = median_of(&comparison.ours);
        let work = comparison.work.clone();
        report.comparisons.push(comparison);
        let mut traffic = place.traffic(operation);
        report.latencies.push(place.latency(work, server.address, &mut traffic, reached)?);
    }
    Ok(())
}

fn works() -> Vec<Work> {
    let vote = |posts: u64| VOTE.replace("VOTED_POSTS", &posts.to_string());
    let works = [
        (Operation::ReadPost, READ_POST.to_owned(), 1.5, true),
        (Operation::ListPosts, LIST_POSTS.to_owned(), 1.2, true),
        (Operation::Vote, vote(POSTS), 2.5, false),
        (Operation::VoteOnOnePost, vote(1), 15.0, false),
        (Operation::CreatePost, CREATE_POST.to_owned(), 2.0, false),
    ];
    let fill = |script: String| {
        script
            .replace("POSTS", &POSTS.to_string())
            .replace("USERS", &USERS.to_string())
            .replace("CONTENT", CONTENT)
    };
    works
        .into_iter()
        .map(|(operation, script, goal, is_at_best)| {
            let script = fill(script);
            Work { operation, script, goal, is_at_best }
        })
        .collect()
}
