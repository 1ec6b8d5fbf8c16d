//! The service on PostgreSQL against pgbench once more, loaded in turn by this generator and by wrk,
//! which others have written. Each run also gets the processor time that client, service and
//! database took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::environment::Environment;
use super::pgbench::{Case, cases};
use crate::load::{self, Pace};
use crate::operation::Operation;
use crate::postgres::{number_after, run_command};
use crate::process::{ProcessTimes, Server, descendants_time};
use crate::report::{ClientComparison, ClientRuns, Report, Run};
use crate::seed::{CONTENT, POSTS};

const DATABASE: &str = "wrk";

const SCRIPT: &str = "bench/wrk/requests.lua";

pub fn measure(environment: &Environment<'_>, report: &mut Report) -> Result<()> {
    let Some(program) = &environment.options.wrk else { return Ok(()) };
    let server = environment.start_on_postgres(DATABASE)?;
    let cluster = environment.cluster.main_process()?;
    let tokens = environment.folder.path().join("tokens");
    std::fs::write(&tokens, environment.tokens.join("\n"))?;
    let connections = environment.options.connections;
    let mut wrk = Wrk { program, server: &server, connections, tokens, seed: 0 };
    let schedule = environment.schedule;
    for Case { operation, script, uses_fastest_clients, .. } in cases() {
        let clients = (!uses_fastest_clients).then_some(connections);
        let script =
            environment.cluster.prepare_script(DATABASE, &script, clients, schedule.time / 2)?;
        let mut traffic = environment.traffic(operation);
        let mut own = ClientRuns::new("`bench/speed`");
        let mut of_wrk = ClientRuns::new("wrk");
        let mut of_pgbench = ClientRuns::new(&format!("pgbench, {} clients", script.clients()));
        for round in 0..=schedule.rounds {
            // The first round is a warm-up, whose values are dropped.
            let is_warm_up = round == 0;
            let time = if is_warm_up { schedule.time / 2 } else { schedule.time };
            let runs = [
                observe(&server, cluster, || {
                    let (pace, address) = (Pace::ClosedLoop, server.address);
                    let outcome = load::run(address, connections, pace, time, &mut traffic)?;
                    Ok(crate::comparison::Measurement::throughput(&outcome)?.value)
                })?,
                observe(&server, cluster, || wrk.run(operation, time))?,
                observe(&server, cluster, || Ok(script.run(time)?.value))?,
            ];
            for (client, run) in [&mut own, &mut of_wrk, &mut of_pgbench].into_iter().zip(runs) {
                if !is_warm_up {
                    client.runs.push(run);
                }
            }
        }
        let name = format!("{}, PostgreSQL", operation.name());
        report.clients.push(ClientComparison {
            name,
            clients: vec![own, of_wrk],
            baseline: of_pgbench,
        });
    }
    Ok(())
}

/// Runs a client and returns its throughput with the processors that it, the service and the
/// database used meanwhile.
fn observe(server: &Server, cluster: u32, run: impl FnOnce() -> Result<f64>) -> Result<Run> {
    let times = || -> Result<[f64; 3]> {
        let client = ProcessTimes::read(std::process::id())?;
        // A client that is another process has ended by then.
        let client = client.own + client.ended_children;
        Ok([client, server.processor_time()?, descendants_time(cluster)?])
    };
    let (start, before) = (Instant::now(), times()?);
    let per_second = run()?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), times()?);
    let [client, service, database] =
        std::array::from_fn(|index| (after[index] - before[index]) / seconds);
    Ok(Run { per_second, client, service, database })
}

struct Wrk<'a> {
    program: &'a Path,
    server: &'a Server,
    connections: usize,
    /// A file with a token a line.
    tokens: PathBuf,
    /// The seed of the last run.
    seed: u64,
}

impl Wrk<'_> {
    /// Returns the requests per second.
    fn run(&mut self, operation: Operation, time: Duration) -> Result<f64> {
        self.seed += 1;
        let name = match operation {
            Operation::ReadPost => "read",
            Operation::ListPosts => "list",
            Operation::Vote => "vote",
            Operation::VoteOnOnePost => "vote-one",
            Operation::CreatePost => "create",
            other => bail!("{SCRIPT} has no requests for {other:?}"),
        };
        // wrk takes whole seconds.
        let seconds = time.as_secs().max(1);
        let mut command = Command::new(self.program);
        command.args(["--threads", "1", "--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--script", SCRIPT]);
        command.arg(format!("http://{}", self.server.address)).args(["--", name]);
        command.arg(&self.tokens).args([&self.seed.to_string(), &POSTS.to_string(), CONTENT]);
        let output = run_command(&mut command)?;
        // A vote that is cast already is answered with 409.
        let is_vote = matches!(operation, Operation::Vote | Operation::VoteOnOnePost);
        if output.contains("Socket errors") || (output.contains("Non-2xx") && !is_vote) {
            bail!("invalid measurement: {output}");
        }
        number_after(&output, "Requests/sec:").context("the output of wrk")
    }
}
