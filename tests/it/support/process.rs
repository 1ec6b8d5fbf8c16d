//! The service as operators run it: the binary, in its own folder, on a free port.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use post_api::api::openapi;
use post_api::config::{Settings, Source};
use tempfile::TempDir;

use super::{DocumentChecker, FORM, PASSWORD, TestResponse, Wire};

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_post-api");

/// Settings with which the service has the routes of links in mails.
pub const MAIL_SETTINGS: [(&str, &str); 3] = [
    ("SMTP_URL", "console:"),
    ("MAIL_FROM", "no-reply@example.org"),
    ("PUBLIC_URL", "http://127.0.0.1"),
];

/// The time for startup, on a machine that is busy with other tests.
const START_TIMEOUT: Duration = Duration::from_mins(1);

pub struct Service {
    child: Child,
    /// `http://127.0.0.1:PORT`, or `https`
    pub url: String,
    folder: Option<TempDir>,
    path: PathBuf,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    checker: Option<Arc<DocumentChecker>>,
}

impl Service {
    /// Starts the service in an empty folder, removed with it.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut service = Self::start_in(folder.path(), environment);
        service.folder = Some(folder);
        service
    }

    /// Starts the service in a folder that may hold a database already.
    pub fn start_in(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Self::command(folder);
        command.args(["serve", "--port", "0"]).envs(environment.iter().copied());
        Self::run(&mut command, folder)
    }

    /// Runs a command that serves, and waits until it prints its URL.
    pub fn run(command: &mut Command, folder: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let (url, reader) = read_banner(&mut child, &stderr);
        let (path, reader) = (folder.to_owned(), Some(reader));
        let checker = checker_of(command, folder);
        Self { child, url, folder: None, path, stderr, reader, checker }
    }

    /// Returns the command of the binary in the folder, with cheap hashes and without rate limits.
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
            .env("RATE_LIMIT_MAIL_IP", "off")
            .env("RATE_LIMIT_MAIL_ACCOUNT", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Returns a command that runs a script of `sh` in the folder without the rights of root, in a
    /// namespace of its own. `$0` is the binary. The owner of the files is the same user.
    pub fn command_without_privileges(folder: &Path, script: &str) -> Command {
        let service = Self::command(folder);
        let mut command = Command::new("unshare");
        command.args(["--user", "sh", "-c", script]).arg(service.get_program());
        command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        for (name, value) in service.get_envs() {
            command.env(name, value.unwrap());
        }
        command
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        let (_, rest) = self.url.split_once("://").unwrap();
        rest.split('/').next().unwrap()
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.address()).checked_by(self.checker.clone())
    }

    /// Sends a GET request without a token.
    pub fn get(&self, path: &str) -> TestResponse {
        self.connect().call("GET", path, "", None).unwrap()
    }

    /// Logs in with [`PASSWORD`] and returns the token.
    pub fn log_in(&self, email: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", email)
            .append_pair("password", PASSWORD)
            .finish();
        let response = self.connect().exchange(format!(
            "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
             content-type: {FORM}\r\n\r\n{form}",
            form.len()
        ));
        response.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Returns what the process has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Returns everything that the process wrote to standard error. It must have ended.
    pub fn final_stderr(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.stderr()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secrets that the service generated for itself, one a line, the newest first.
    pub fn secret(&self) -> String {
        let file = std::fs::read(self.path.join("data/keys.json")).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&file).unwrap();
        let secrets: Vec<_> =
            entries.iter().map(|entry| entry["secret"].as_str().unwrap()).collect();
        secrets.join("\n")
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, as service managers do.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends SIGHUP: reload the certificate.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Sends the signal, such as `-INT`.
    pub fn signal(&self, name: &str) {
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

/// Returns the checker for the document of the service under the settings of the command. `None` if
/// they come from elsewhere.
fn checker_of(command: &Command, folder: &Path) -> Option<Arc<DocumentChecker>> {
    let text = |text: &std::ffi::OsStr| text.to_str().map(str::to_owned);
    let environment = command.get_envs();
    let pairs = environment.filter_map(|(name, value)| Some((text(name)?, text(value?)?)));
    // Reading a named pipe would wait for its writer.
    let file = Some(folder.join(".env")).filter(|file| file.is_file());
    let file = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let settings = Settings::load(&Source::from_parts(&file, pairs.collect())).ok()?;
    Some(DocumentChecker::of(&openapi::document(&settings.root_path, &settings.policy)))
}

/// Waits for the line with the URL of the API. Keeps reading afterwards, so that the process never
/// blocks on a full pipe.
fn read_banner(child: &mut Child, stderr: &Arc<Mutex<String>>) -> (String, JoinHandle<()>) {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let (found, url) = mpsc::channel();
    let output = Arc::clone(stderr);
    let reader = std::thread::spawn(move || {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            output.lock().unwrap().push_str(&text);
            if let Some(url) = announced_url(&text) {
                let _ = found.send(url);
            }
            line.clear();
        }
    });
    match url.recv_timeout(START_TIMEOUT) {
        Ok(url) => (url, reader),
        Err(error) => panic!("the service did not start ({error}): {}", stderr.lock().unwrap()),
    }
}

/// Reads the URL from the banner, or from the log in JSON.
fn announced_url(line: &str) -> Option<String> {
    if let Some(url) = line.strip_prefix("  API   ") {
        return Some(url.trim_end().to_owned());
    }
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["api"].as_str().map(str::to_owned)
}
