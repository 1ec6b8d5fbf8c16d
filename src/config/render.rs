//! Renders the settings as text: the generated files, and the values in force.

use super::definitions::{COMPAT, SETTINGS};
use super::setting::Setting;
use super::source::Source;

/// Returns the content of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    const HEAD: &str = "\
# Every setting with its default. None is required. Copy this file to .env, change what you need.
";
    HEAD.to_owned() + &commented_settings()
}

/// Returns the content of `packaging/env`, which the Debian package installs as `/etc/post-api/env`.
#[must_use]
pub fn package_env() -> String {
    const HEAD: &str = "\
# Settings of the service post-api. Restart the service after a change:
#   systemctl restart post-api
# Commands that use the same database read this file too:
#   runuser -u post-api -- post-api --env-file /etc/post-api/env settings

# The unit lets the service write only to this folder.
DATA_DIR=/var/lib/post-api

# Every setting with its default. Remove the `#` in front of what you change.
";
    HEAD.to_owned() + &commented_settings()
}

fn commented_settings() -> String {
    let mut lines = Vec::new();
    for setting in SETTINGS {
        let range = range(setting).map_or(String::new(), |range| format!(" Range: {range}."));
        let about = format!("{}{range}", setting.about);
        lines.push(String::new());
        lines.extend(wrap(&about, 96).into_iter().map(|line| format!("# {line}")));
        lines.push(format!("# {}={}", setting.name, setting.default));
    }
    lines.join("\n") + "\n"
}

/// Returns the content of `docs/settings.md`.
#[must_use]
pub fn settings_page() -> String {
    const HEAD: &str = "# Settings

Set them in the environment, or in a file `.env` in the working folder (`--env-file` names another).
The environment takes precedence. The file has the syntax of python-dotenv.

- Names are compared without case. Switches take `on`, `off`, `true`, `false`, `1` and `0`.
- A blank value means the default, except for `CORS_ORIGINS`.
- A secret may come from a file: `SECRET_KEY_FILE=/run/secrets/key`. systemd, Compose and Kubernetes
  deliver [such files](installation.md#secrets). A file has at most 1 MiB. It may be a pipe of the
  shell, such as `--env-file <(command)`.
- A name in the file that differs a little from that of a setting is an error. The service warns
  about other unknown names with their line, and about a similar name in the environment.
- The service checks all settings at startup. If any is wrong, it prints every error and ends with
  exit code 2.
- `post-api settings` prints the values in force, with secrets masked.

| setting | default | range | meaning |
| --- | --- | --- | --- |";
    let mut lines = vec![HEAD.to_owned()];
    for setting in SETTINGS {
        let default = match (setting.default, setting.reference) {
            ("", _) => String::new(),
            (default, None) => format!("`{default}`"),
            (default, Some(preset)) => format!("`{default}`; `COMPAT=reference`: `{preset}`"),
        };
        let secret = if setting.is_secret { " Secret." } else { "" };
        let (name, about) = (setting.name, setting.about);
        let range = range(setting).unwrap_or_default();
        lines.push(format!("| `{name}` | {default} | {range} | {about}{secret} |"));
    }
    lines.join("\n") + "\n"
}

/// Returns the content of `Procfile`, for hosting platforms that set `PORT`. The first start finds an
/// empty database. Not all platforms run a `release` line, so the service itself migrates it.
#[must_use]
pub fn procfile() -> String {
    "web: post-api serve --upgrade --host 0.0.0.0 --port ${PORT:-8000}\n".to_owned()
}

/// Returns the values in force, one setting per line. Secrets are masked.
#[must_use]
pub fn effective_settings(source: &Source) -> String {
    let is_reference =
        source.get(COMPAT.name).is_some_and(|compat| compat.eq_ignore_ascii_case("reference"));
    let lines = SETTINGS.iter().map(|setting| {
        let name = setting.name;
        match (source.get(name), setting.reference) {
            _ if setting.is_secret && source.is_given(name) => format!("{name}=**********\n"),
            (Some(value), _) => format!("{name}={value}\n"),
            (None, Some(preset)) if is_reference => {
                format!("{name}={preset}  # COMPAT=reference\n")
            }
            (None, _) => format!("{name}={}  # default\n", setting.default),
        }
    });
    lines.collect()
}

fn range(setting: &Setting) -> Option<String> {
    setting.range.as_ref().map(|range| format!("{} to {}", range.start(), range.end()))
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
