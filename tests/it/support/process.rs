//! The service as its users run it: the binary, in a folder of its own, on a free port.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_post-api");

/// How long a start may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Service {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Service {
    /// On an empty folder that goes with it.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut service = Self::start_in(folder.path(), environment);
        service.folder = Some(folder);
        service
    }

    /// On a folder that may hold a database from before.
    pub fn start_in(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Self::command(folder)
            .args(["serve", "--port", "0"])
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = read_banner(&mut child);
        Self { child, url, folder: None, path: folder.to_owned() }
    }

    /// The binary in the folder, with nothing configured but cheap hashes.
    pub fn command(folder: &Path) -> Command {
        let mut command = Command::new(BINARY);
        command
            .current_dir(folder)
            .env_clear()
            .env("ARGON2_MEMORY_KIB", "8")
            .env("ARGON2_ITERATIONS", "1")
            .env("ARGON2_PARALLELISM", "1")
            .env("ACCESS_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that the service made for itself.
    pub fn secret(&self) -> String {
        std::fs::read_to_string(self.path.join("data/secret_key")).unwrap().trim().to_owned()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as service managers do.
    pub fn terminate(&self) {
        let status =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line that says where the API is, and goes on reading so that the process never
/// waits for its reader.
fn read_banner(child: &mut Child) -> String {
    let stderr = child.stderr.take().unwrap();
    let (found, url) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut said = String::new();
        while lines.read_line(&mut said).is_ok_and(|length| length > 0) {
            if let Some(url) = said.lines().last().and_then(|line| line.strip_prefix("  API   ")) {
                let _ = found.send(Ok(url.to_owned()));
                let _ = lines.read_to_end(&mut Vec::new());
                return;
            }
        }
        let _ = found.send(Err(said));
    });
    match url.recv_timeout(PATIENCE) {
        Ok(Ok(url)) => url,
        Ok(Err(said)) => panic!("the service ended: {said}"),
        Err(error) => panic!("the service did not start: {error}"),
    }
}
