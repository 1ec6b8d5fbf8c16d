//! The commands of a page, and the output that the page shows for them.
//!
//! A shell block is fenced with `sh`. A comment right after a command shows its output; any other
//! comment is a remark. A block without a language right after a shell block is the output of its
//! last command.

/// The language of a block that is run.
const SHELL: &str = "sh";

/// Other languages. A block in any other one could be a shell block that is not run.
const OTHER_LANGUAGES: [&str; 10] =
    ["", "caddyfile", "ini", "js", "json", "nginx", "python", "sql", "text", "yaml"];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The heading above the block, as the anchor of a link: `#quick-start`.
    pub(super) anchor: String,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) text: String,
    /// `None` if the page shows no output.
    pub(super) output: Option<String>,
}

/// Returns the shell blocks of a page.
pub(super) fn shell_blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut anchor = String::new();
    let mut is_right_after_shell = false;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix('#') {
            anchor = anchor_of(heading.trim_start_matches('#').trim());
        }
        let Some(language) = line.trim_start().strip_prefix("```") else {
            is_right_after_shell &= line.is_empty();
            continue;
        };
        let inside: Vec<&str> =
            lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
        if language == SHELL {
            blocks.push(Block { anchor: anchor.clone(), commands: commands(&inside) });
        } else {
            assert!(
                OTHER_LANGUAGES.contains(&language),
                "{line}: write `{SHELL}` for a shell block"
            );
            if is_right_after_shell && language.is_empty() {
                let command = blocks.last_mut().and_then(|block| block.commands.last_mut());
                command.unwrap().output = Some(inside.join("\n"));
            }
        }
        is_right_after_shell = language == SHELL;
    }
    blocks
}

fn anchor_of(heading: &str) -> String {
    let words = heading.to_lowercase().replace(' ', "-");
    let is_kept = |character: &char| character.is_alphanumeric() || *character == '-';
    format!("#{}", words.chars().filter(is_kept).collect::<String>())
}

fn commands(lines: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let (mut is_continued, mut is_after_command) = (false, false);
    for line in lines.iter().map(|line| line.trim_end()) {
        let last = commands.last_mut();
        match (last, line.strip_prefix('#')) {
            (Some(last), _) if is_continued => last.text = format!("{}\n{line}", last.text),
            (Some(last), Some(output)) if is_after_command => {
                let output = output.strip_prefix(' ').unwrap_or(output);
                let earlier = last.output.take().map_or(String::new(), |text| text + "\n");
                last.output = Some(earlier + output);
                continue;
            }
            (_, Some(_)) => continue,
            (_, None) if line.is_empty() => {
                is_after_command = false;
                continue;
            }
            (_, None) => commands.push(Command { text: line.to_owned(), output: None }),
        }
        is_continued = line.ends_with(['\\', '|']);
        is_after_command = !is_continued;
    }
    commands
}

/// Returns whether the output is the one that a page shows. `…` stands for any text, and a time such
/// as `2026-01-31T12:00:00.123456Z` for any time.
pub(super) fn matches(shown: &str, output: &str) -> bool {
    let (shown, output) = (without_times(shown.trim_end()), without_times(output.trim_end()));
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| output.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let found = if parts.peek().is_some() { rest.find(part) } else { rest.rfind(part) };
        let Some(start) = found else { return false };
        rest = &rest[start + part.len()..];
    }
    rest.is_empty()
}

/// Replaces each digit of each time by 0.
fn without_times(text: &str) -> String {
    const TIME: &str = "0000-00-00T00:00:00.000000Z";
    let mut characters: Vec<char> = text.chars().collect();
    let is_like = |(character, model): (&char, char)| match model {
        '0' => character.is_ascii_digit(),
        model => *character == model,
    };
    for start in 0..characters.len().saturating_sub(TIME.len() - 1) {
        let window = &mut characters[start..start + TIME.len()];
        if window.iter().zip(TIME.chars()).all(is_like) {
            window.iter_mut().zip(TIME.chars()).for_each(|(character, zero)| *character = zero);
        }
    }
    characters.into_iter().collect()
}

#[test]
fn blocks_have_commands_with_the_output_beside_them() {
    let page = "# Page\n\n## Quick start\n\n```sh\n# remark\na=1\n\n# remark\ncurl x \\\n  -d 'y'\n\
                # {\"id\":1}\n# two\nend\n```\n\n```\nbanner\nof two lines\n```\n\n```text\nno\n```\n";
    let command = |text: &str, output: Option<&str>| Command {
        text: text.to_owned(),
        output: output.map(str::to_owned),
    };
    let commands = vec![
        command("a=1", None),
        command("curl x \\\n  -d 'y'", Some("{\"id\":1}\ntwo")),
        command("end", Some("banner\nof two lines")),
    ];
    assert_eq!(shell_blocks(page), [Block { anchor: "#quick-start".to_owned(), commands }]);
}

#[test]
fn output_matches_up_to_times_and_ellipses() {
    let time = "2031-02-03T04:05:06.000007Z";
    let shown = "{\"id\":1,\"at\":\"2026-01-31T12:00:00.123456Z\",…,\"token\":\"…\"}";
    assert!(matches(shown, &format!("{{\"id\":1,\"at\":\"{time}\",\"x\":2,\"token\":\"a\"}}\n")));
    for other in [
        format!("{{\"id\":2,\"at\":\"{time}\",\"x\":2,\"token\":\"a\"}}"),
        format!("{{\"id\":1,\"at\":\"{time}\",\"x\":2,\"token\":\"a\"}} and more"),
        "{\"id\":1,\"at\":\"yesterday\",\"x\":2,\"token\":\"a\"}".to_owned(),
        String::new(),
    ] {
        assert!(!matches(shown, &other), "{other}");
    }
}
