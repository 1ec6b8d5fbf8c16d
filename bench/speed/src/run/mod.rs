//! The measurements, one group after the other, each with servers and databases of its own.

mod environment;
mod logins;
mod memory;
mod peers;
mod pgbench;
mod sqlite;

use std::time::Duration;

use anyhow::Result;

use self::environment::Place;
use crate::Options;
use crate::comparison::Effort;
use crate::report::Report;

type Group = fn(&Place<'_>, &mut Report) -> Result<()>;

const GROUPS: [(&str, Group); 6] = [
    ("postgres", pgbench::measure),
    ("embedded", sqlite::measure),
    ("login", logins::measure),
    ("memory", memory::measure),
    ("pocketbase", peers::measure_pocketbase),
    ("reference", peers::measure_reference),
];

pub fn run(options: &Options) -> Result<()> {
    let effort = if options.quick {
        Effort { rounds: 1, time: Duration::from_millis(400) }
    } else {
        Effort { rounds: options.rounds, time: Duration::from_secs(options.seconds) }
    };
    let place = Place::new(options, effort)?;
    let mut report = Report::default();
    if let Some(other) = options.beside.as_deref() {
        peers::measure_build(&place, &mut report, other)?;
        println!("{}", report.to_markdown()?);
        return Ok(());
    }
    for (name, measure) in GROUPS {
        let is_wanted = options.only.is_empty() || options.only.iter().any(|only| only == name);
        if is_wanted {
            eprintln!("measuring: {name}");
            measure(&place, &mut report)?;
        }
    }
    println!("{}", report.to_markdown()?);
    options.page.as_deref().map_or(Ok(()), |page| report.write(page))
}
