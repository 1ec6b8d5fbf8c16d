//! How the log of a process shows a panic.

use std::process::Command;

use post_api::config::LogFormat;
use post_api::telemetry;
use serde_json::Value;
use tracing::level_filters::LevelFilter;

/// Installs the logger and the panic hook of the whole process, so it needs its own process.
#[test]
#[ignore = "the test below runs it in its own process"]
fn child_process_panics() {
    let is_json = std::env::var_os("PANIC_IN_JSON").is_some();
    let format = if is_json { LogFormat::Json } else { LogFormat::Text };
    telemetry::start(format, LevelFilter::INFO).unwrap();
    std::thread::spawn(|| panic!("one\n{{\"forged\": \x1b[31m true}}")).join().unwrap_err();
    telemetry::flush();
}

fn lines(is_json: bool) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture"]);
    command.arg("process::panic_log::child_process_panics").env("NO_COLOR", "1");
    if is_json {
        command.env("PANIC_IN_JSON", "1");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    stderr.lines().map(str::to_owned).collect()
}

#[test]
fn panic_is_logged_on_one_line() {
    for is_json in [true, false] {
        let lines = lines(is_json);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.contains("panic") && line.contains("panic_log.rs"), "{line}");
        assert!(!line.contains('\x1b'), "{line}");
        if is_json {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["cause"], "one\n{\"forged\": \x1b[31m true}");
            assert_eq!(event["level"], "ERROR");
        }
    }
}
