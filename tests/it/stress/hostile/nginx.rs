//! nginx as a proxy of the service. It sends the requests of all clients over one
//! connection to the service.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::Service;

/// The time for a response, on a busy machine.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// How nginx forwards a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buffering {
    /// Read completely, and forwarded with a length.
    Buffered,
    /// Forwarded as it arrives, with header fields that nginx would drop by default.
    Streamed,
}

/// A forwarded request: its ID, method and target.
pub(super) type ForwardedRequest = (String, String, String);

pub(super) struct Nginx {
    child: Child,
    folder: TempDir,
}

impl Nginx {
    pub(super) fn start(service: &Service) -> Self {
        let folder = TempDir::new().unwrap();
        let configuration = configure(service.address());
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let child = Command::new("nginx")
            // Relative socket paths start from the working directory, all others from the prefix
            // `-p`.
            .current_dir(folder.path())
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx must be installed");
        let mut nginx = Self { child, folder };
        nginx.wait_until_open();
        nginx
    }

    fn wait_until_open(&mut self) {
        for _ in 0..3000 {
            if [Buffering::Buffered, Buffering::Streamed]
                .iter()
                .all(|buffering| self.connect(*buffering).is_ok())
            {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended: {}", self.error_log());
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not listen: {}", self.error_log());
    }

    fn connect(&self, buffering: Buffering) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.folder.path().join(match buffering {
            Buffering::Buffered => "buffered",
            Buffering::Streamed => "streamed",
        }))
    }

    /// Sends the bytes, closes the sending half, and returns everything received.
    pub(super) fn exchange(&self, buffering: Buffering, bytes: &[u8]) -> String {
        let mut stream = self.connect(buffering).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        // nginx may reject the request before all bytes are sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut response = Vec::new();
        if let Err(error) = stream.read_to_end(&mut response) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "nginx does not answer");
        }
        String::from_utf8_lossy(&response).into_owned()
    }

    /// Returns all requests forwarded so far, including those whose client did not wait.
    pub(super) fn forwarded(&self) -> Vec<ForwardedRequest> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let fields = log.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let forwarded = fields.filter(|fields| fields[3] != "-");
        forwarded.map(|fields| (fields[0].into(), fields[1].into(), fields[2].into())).collect()
    }

    fn error_log(&self) -> String {
        let path: PathBuf = self.folder.path().join("error.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a configuration with one foreground process and all files in its folder.
fn configure(service: &str) -> String {
    let proxy = "proxy_pass http://service; proxy_http_version 1.1; \
                proxy_set_header Connection ''; proxy_ignore_client_abort on;";
    format!(
        "daemon off; master_process off; worker_processes 1; pid pid;
events {{ worker_connections 128; }}
http {{
    log_format forwarded '$http_x_request_id\\t$request_method\\t$request_uri\\t$upstream_addr';
    access_log access.log forwarded;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    lingering_close off;
    upstream service {{ server {service}; keepalive 1; keepalive_requests 1000000; }}
    server {{ listen unix:buffered; location / {{ {proxy} }} }}
    server {{
        listen unix:streamed;
        ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
        location / {{ {proxy} proxy_request_buffering off; }}
    }}
}}
"
    )
}
