//! The options of a startup message, such as `-c search_path=app`, as statements.

/// A setting of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    name: String,
    value: String,
}

impl Assignment {
    pub(super) fn to_sql(&self) -> String {
        format!("SELECT set_config({}, {}, false);", quoted(&self.name), quoted(&self.value))
    }
}

/// Returns the settings, or `None` if an option sets none: such an option works only at the start.
/// White space separates options, and a backslash escapes the next character.
pub(super) fn parse(options: &str) -> Option<Vec<Assignment>> {
    let mut words = words(options).into_iter();
    let mut assignments = Vec::new();
    while let Some(word) = words.next() {
        let text = match word.strip_prefix("--") {
            Some(text) => text.to_owned(),
            None => match word.strip_prefix("-c")? {
                "" => words.next()?,
                text => text.to_owned(),
            },
        };
        let (name, value) = text.split_once('=')?;
        assignments.push(Assignment { name: name.replace('-', "_"), value: value.to_owned() });
    }
    Some(assignments)
}

fn words(options: &str) -> Vec<String> {
    let (mut words, mut is_in_word) = (Vec::<String>::new(), false);
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => characters.next(),
            space if space.is_ascii_whitespace() => {
                is_in_word = false;
                continue;
            }
            other => Some(other),
        };
        if !is_in_word {
            words.push(String::new());
            is_in_word = true;
        }
        if let Some(word) = words.last_mut() {
            word.extend(character);
        }
    }
    words
}

/// Returns a literal that means the same with every `standard_conforming_strings`.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_settings_become_assignments() {
        for (options, expected) in [
            ("", Some(vec![])),
            ("-c a=1", Some(vec![("a", "1")])),
            ("-ca=1  --statement-timeout=5s", Some(vec![("a", "1"), ("statement_timeout", "5s")])),
            ("-c search_path=\\\"A\\ b\\\",\\\\c", Some(vec![("search_path", "\"A b\",\\c")])),
            ("-c a=", Some(vec![("a", "")])),
            ("-c a", None),
            ("-c", None),
            ("-B 64", None),
            ("a=1", None),
        ] {
            let found = parse(options);
            let found: Option<Vec<_>> = found.as_ref().map(|found| {
                found.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect()
            });
            assert_eq!(found, expected, "{options}");
        }
    }

    #[test]
    fn assignment_is_quoted() {
        let assignments = parse("-c a.b='x\\\\y").unwrap();
        assert_eq!(assignments[0].to_sql(), "SELECT set_config(E'a.b', E'''x\\\\y', false);");
    }
}
