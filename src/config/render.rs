//! The settings in words: files that are made from the table, and what is in force.

use super::source::Source;
use super::table::SETTINGS;

/// `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting with its default. Copy to .env and change what you need: nothing is required.\n",
    );
    for setting in SETTINGS {
        text.push('\n');
        for line in wrap(setting.about, 96) {
            text.push_str("# ");
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&format!("# {}={}\n", setting.name, setting.default));
    }
    text
}

/// `docs/settings.md`.
#[must_use]
pub fn settings_page() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         From the environment, or from a file `.env` in the working folder (`--env-file` names another), \
         which is read as python-dotenv reads it; the environment wins. Names are compared without case. \
         Switches take `on`, `off`, `true`, `false`, `1` and `0`. A secret may come from a file: \
         `SECRET_KEY_FILE=/run/secrets/key`. All faults are told at once at the start, which then ends with exit code 2. \
         `post-api settings` shows what is in force.\n\n\
         | setting | default | meaning |\n| --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", setting.default)
        };
        let secret = if setting.is_secret { " Secret." } else { "" };
        text.push_str(&format!("| `{}` | {default} | {}{secret} |\n", setting.name, setting.about));
    }
    text
}

/// `Procfile`: for hosts that say their port.
#[must_use]
pub fn procfile() -> String {
    "web: post-api serve --host 0.0.0.0 --port ${PORT:-8000}\n".to_owned()
}

/// What is in force, a line each; secrets are masked.
#[must_use]
pub fn effective(source: &Source) -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let given = source.get(setting.name);
        let value = match given {
            Some(_) if setting.is_secret => "**********",
            Some(value) => value,
            None => setting.default,
        };
        let origin = if given.is_some() { "" } else { "  # default" };
        text.push_str(&format!("{}={value}{origin}\n", setting.name));
    }
    text
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
