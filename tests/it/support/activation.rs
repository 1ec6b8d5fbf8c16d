//! Starts the service with sockets that are already open, as a service manager does.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Service;

/// Returns the command of `serve` in the folder, which gets the socket this many times. `$$` is the
/// process ID that the service keeps.
pub fn activated(folder: &Path, socket: impl Into<OwnedFd>, times: usize) -> Command {
    let script = format!(
        r#"exec 3<&0 4<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS={times}; exec "$0" serve"#
    );
    let service = Service::command(folder);
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(service.get_program());
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    for (name, value) in service.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdin(Stdio::from(socket.into())).stdout(Stdio::null());
    command
}
