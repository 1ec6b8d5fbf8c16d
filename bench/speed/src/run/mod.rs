//! Runs the groups of measurements one after the other, each with its own servers and databases.

mod builds;
mod environment;
mod interference;
mod keys;
mod logins;
mod memory;
mod peers;
mod pgbench;
mod sqlite;
mod typical;
mod wrk;

use std::time::Duration;

use anyhow::Result;

use self::environment::Environment;
use crate::Options;
use crate::comparison::Schedule;
use crate::report::Report;

type Group = fn(&Environment<'_>, &mut Report) -> Result<()>;

const GROUPS: [(&str, Group); 10] = [
    ("postgres", pgbench::measure),
    ("sqlite", sqlite::measure),
    ("typical", typical::measure),
    ("wrk", wrk::measure),
    ("keys", keys::measure),
    ("login", logins::measure),
    ("interference", interference::measure),
    ("memory", memory::measure),
    ("pocketbase", peers::measure_pocketbase),
    ("reference", peers::measure_reference),
];

pub fn run(options: &Options) -> Result<()> {
    let schedule = if options.quick {
        Schedule { rounds: 1, time: Duration::from_millis(400) }
    } else {
        Schedule { rounds: options.rounds, time: Duration::from_secs(options.seconds) }
    };
    let environment = Environment::new(options, schedule)?;
    let mut report = Report::default();
    if let Some(other) = options.compare.as_deref() {
        builds::measure(&environment, &mut report, other)?;
        println!("{}", report.to_markdown()?);
        return Ok(());
    }
    for (name, measure) in GROUPS {
        let is_wanted =
            options.groups.is_empty() || options.groups.iter().any(|group| group == name);
        if is_wanted {
            eprintln!("measuring group {name}");
            measure(&environment, &mut report)?;
        }
    }
    println!("{}", report.to_markdown()?);
    options.page.as_deref().map_or(Ok(()), |page| report.write(page))
}
