//! The service as its users run it: the binary, in a folder of its own, on a free port.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::{Answer, FORM, PASSWORD, Wire};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_post-api");

/// How long a start may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Service {
    child: Child,
    /// `http://127.0.0.1:PORT`, or `https`
    pub url: String,
    folder: Option<TempDir>,
    path: PathBuf,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
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
        let mut command = Self::command(folder);
        command.args(["serve", "--port", "0"]).envs(environment.iter().copied());
        Self::run(&mut command, folder)
    }

    /// Runs a command that serves, and waits until it says where.
    pub fn run(command: &mut Command, folder: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (url, reader) = read_banner(&mut child, &said);
        Self { child, url, folder: None, path: folder.to_owned(), said, reader: Some(reader) }
    }

    /// The binary in the folder, with nothing configured but cheap hashes, and no limits to how often
    /// a test does what it is about.
    pub fn command(folder: &Path) -> Command {
        let mut command = Command::new(BINARY);
        command
            .current_dir(folder)
            .env_clear()
            .env("ARGON2_MEMORY_KIB", "8")
            .env("ARGON2_ITERATIONS", "1")
            .env("ARGON2_PARALLELISM", "1")
            .env("ACCESS_LOG", "off")
            .env("RATE_LIMITS", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        let (_, rest) = self.url.split_once("://").unwrap();
        rest.split('/').next().unwrap()
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    /// Asks for something that needs neither a token nor a body.
    pub fn get(&self, path: &str) -> Answer {
        self.connect().call("GET", path, "", None).unwrap()
    }

    /// A token for the account, whose password is [`PASSWORD`].
    pub fn log_in(&self, email: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", email)
            .append_pair("password", PASSWORD)
            .finish();
        let answer = self.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
             content-type: {FORM}\r\n\r\n{form}",
            form.len()
        ));
        answer.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What it wrote to standard error until now.
    pub fn stderr(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What it wrote to standard error in its life, which must be over.
    pub fn final_stderr(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.stderr()
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
        self.signal("-TERM");
    }

    /// Asks it to read again what it can read again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
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
fn read_banner(child: &mut Child, said: &Arc<Mutex<String>>) -> (String, JoinHandle<()>) {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let (found, url) = mpsc::channel();
    let heard = Arc::clone(said);
    let reader = std::thread::spawn(move || {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            heard.lock().unwrap().push_str(&text);
            if let Some(url) = announced_url(&text) {
                let _ = found.send(url);
            }
            line.clear();
        }
    });
    match url.recv_timeout(PATIENCE) {
        Ok(url) => (url, reader),
        Err(error) => panic!("the service did not start ({error}): {}", said.lock().unwrap()),
    }
}

/// As the banner says it, or the log in JSON.
fn announced_url(line: &str) -> Option<String> {
    if let Some(url) = line.strip_prefix("  API   ") {
        return Some(url.trim_end().to_owned());
    }
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["api"].as_str().map(str::to_owned)
}
