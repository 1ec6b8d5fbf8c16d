//! nginx before the service, as operators run it: it keeps one connection to the service, on which
//! the requests of all its clients go one after the other.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::Service;

/// How long it may take to answer on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// How nginx passes a body on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Read as a whole, and given a length of its own.
    Whole,
    /// As it comes, and with header fields that nginx would leave out.
    AsItComes,
}

/// A request that was passed on: its id, its method, its target.
pub(super) type Passed = (String, String, String);

pub(super) struct Front {
    child: Child,
    folder: TempDir,
}

impl Front {
    pub(super) fn start(service: &Service) -> Self {
        let folder = TempDir::new().unwrap();
        let configuration = configure(service.address());
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let child = Command::new("nginx")
            // What it names is looked for there: sockets in the first, all else in the second.
            .current_dir(folder.path())
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx must be installed");
        let mut front = Self { child, folder };
        front.wait_until_open();
        front
    }

    fn wait_until_open(&mut self) {
        for _ in 0..3000 {
            if [Door::Whole, Door::AsItComes].iter().all(|door| self.knock(*door).is_ok()) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended: {}", self.complaints());
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not listen: {}", self.complaints());
    }

    fn knock(&self, door: Door) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.folder.path().join(match door {
            Door::Whole => "whole",
            Door::AsItComes => "as_it_comes",
        }))
    }

    /// Everything that comes back to these bytes, of a client that sends no more.
    pub(super) fn exchange(&self, door: Door, bytes: &[u8]) -> String {
        let mut stream = self.knock(door).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may have been refused before all was sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut said = Vec::new();
        if let Err(error) = stream.read_to_end(&mut said) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "nginx does not answer");
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What it has passed on until now, also where its client did not wait for the answer.
    pub(super) fn passed(&self) -> Vec<Passed> {
        let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let fields = log.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let passed = fields.filter(|fields| fields[3] != "-");
        passed.map(|fields| (fields[0].into(), fields[1].into(), fields[2].into())).collect()
    }

    fn complaints(&self) -> String {
        let path: PathBuf = self.folder.path().join("error.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process in the foreground, all of whose files are in its folder.
fn configure(service: &str) -> String {
    let pass = "proxy_pass http://service; proxy_http_version 1.1; \
                proxy_set_header Connection ''; proxy_ignore_client_abort on;";
    format!(
        "daemon off; master_process off; worker_processes 1; pid pid;
events {{ worker_connections 128; }}
http {{
    log_format passed '$http_x_request_id\\t$request_method\\t$request_uri\\t$upstream_addr';
    access_log access.log passed;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    lingering_close off;
    upstream service {{ server {service}; keepalive 1; keepalive_requests 1000000; }}
    server {{ listen unix:whole; location / {{ {pass} }} }}
    server {{
        listen unix:as_it_comes;
        ignore_invalid_headers off; underscores_in_headers on; merge_slashes off;
        location / {{ {pass} proxy_request_buffering off; }}
    }}
}}
"
    )
}
