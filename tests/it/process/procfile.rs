//! The lines of `Procfile`, run as a hosting platform does: by a shell, on an empty database.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Cluster, Service};

#[test]
fn every_line_of_the_procfile_works_on_an_empty_database() {
    let procfile = std::fs::read_to_string("Procfile").unwrap();
    let lines: Vec<(&str, &str)> =
        procfile.lines().map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(lines.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["web"]);
    let database = Cluster::shared().empty_database();
    let folder = TempDir::new().unwrap();
    for (_, line) in lines {
        // The second start finds the database of the first.
        for _ in 0..2 {
            let service =
                Service::run(&mut shell(line, folder.path(), database.url()), folder.path());
            let (_, port) = service.address().rsplit_once(':').unwrap();
            let address = format!("127.0.0.1:{port}");
            let mut wire = crate::support::Wire::connect(&address);
            wire.call("GET", "/readyz", "", None).unwrap().expect(200);
        }
    }
}

fn shell(line: &str, folder: &Path, url: &str) -> Command {
    let service = Service::command(folder);
    let binary = Path::new(service.get_program());
    let programs = std::env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    // `exec` gives the service the process ID that the test ends.
    command.args(["-c", &format!("exec {line}")]).current_dir(folder).env_clear();
    command.env("PATH", format!("{}:{programs}", binary.parent().unwrap().display()));
    command.env("PORT", "0").env("DATABASE_URL", url);
    command.env("SECRET_KEY", "7c1f0a94e2b85d36f7a1c05e9d42b83a");
    command
}
