//! The settings in words: files that are made from the table, and what is in force.

use super::definitions::SETTINGS;
use super::source::Source;

/// `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut lines = vec![
        "# Every setting with its default: nothing is required. Copy to .env, change what you need."
            .to_owned(),
    ];
    for setting in SETTINGS {
        lines.push(String::new());
        lines.extend(wrap(setting.about, 96).into_iter().map(|line| format!("# {line}")));
        lines.push(format!("# {}={}", setting.name, setting.default));
    }
    lines.join("\n") + "\n"
}

/// `docs/settings.md`.
#[must_use]
pub fn settings_page() -> String {
    const HEAD: &str = "# Settings

From the environment, or from a file `.env` in the working folder (`--env-file` names another), which
is read as python-dotenv reads it; the environment wins. Names are compared without case. Switches take
`on`, `off`, `true`, `false`, `1` and `0`. A secret may come from a file: `SECRET_KEY_FILE=/run/secrets/key`.
All faults are told at once at the start, which then ends with exit code 2. `post-api settings` shows what
is in force.

| setting | default | meaning |
| --- | --- | --- |";
    let mut lines = vec![HEAD.to_owned()];
    for setting in SETTINGS {
        let default = match (setting.default, setting.reference) {
            ("", _) => String::new(),
            (default, None) => format!("`{default}`"),
            (default, Some(preset)) => format!("`{default}`; `COMPAT=reference`: `{preset}`"),
        };
        let secret = if setting.is_secret { " Secret." } else { "" };
        lines.push(format!("| `{}` | {default} | {}{secret} |", setting.name, setting.about));
    }
    lines.join("\n") + "\n"
}

/// `Procfile`: for hosts that say their port.
#[must_use]
pub fn procfile() -> String {
    "web: post-api serve --host 0.0.0.0 --port ${PORT:-8000}\n".to_owned()
}

/// What is in force, a line each; secrets are masked.
#[must_use]
pub fn effective_settings(source: &Source) -> String {
    let is_reference =
        source.get("COMPAT").is_some_and(|compat| compat.eq_ignore_ascii_case("reference"));
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
