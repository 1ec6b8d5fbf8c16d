//! Measures the start of the program: from its process to the first answer.

#![expect(clippy::unwrap_used, reason = "a failed benchmark aborts")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::measure::Measurement;

pub(crate) const NAME: &str = "start to the first answer";

/// No other process may have the databases open.
pub(crate) fn measure(small: &Path, large: &Path, rounds: u32) -> Measurement {
    let mut measurement = Measurement { name: NAME, concurrency: 1, rounds: Vec::new() };
    // The first round is a warm-up; its times are dropped.
    for round in 0..=rounds {
        let times = (time(small), time(large));
        if round > 0 {
            measurement.rounds.push(times);
        }
    }
    measurement
}

/// Returns the microseconds until a list without a token is refused.
fn time(database: &Path) -> f64 {
    let begin = Instant::now();
    let mut program = Command::new(env!("CARGO_BIN_EXE_post-api"))
        .args(["serve", "--port", "0"])
        .current_dir(database.parent().unwrap())
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .env("SECRET_KEY", "for measurements only: 0123456789abcdefghijklmnopqrstuv")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = address(&mut program);
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /posts HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut status = [0; 12];
    connection.read_exact(&mut status).unwrap();
    let elapsed = begin.elapsed();
    assert_eq!(&status, b"HTTP/1.1 401");
    stop(program);
    elapsed.as_secs_f64() * 1e6
}

/// Returns the address that the program prints. Its other output is not read: it has room in the pipe.
fn address(program: &mut Child) -> String {
    let mut lines = BufReader::new(program.stderr.as_mut().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://")));
    let line = line.unwrap().unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    address.split('/').next().unwrap().to_owned()
}

/// Stops the program in an orderly way, so that the next start finds no log to replay.
fn stop(mut program: Child) {
    let killed = Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(program.wait().unwrap().success());
}
