//! Finds the setting that a misspelt name means. A misspelt `DATABASE_URL` would otherwise start
//! the service on an empty embedded database.

use strsim::osa_distance;

use super::definitions::SETTINGS;

/// Returns the setting that is written a little differently: at most one letter in five is wrong,
/// missing, added or transposed, or the last quarter of the name is missing.
///
/// A separator other than `=` also counts: `PORT:8000` as a whole stands where a name should stand.
pub(super) fn similar_name(written: &str) -> Option<String> {
    let is_in_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let end = written.find(|character| !is_in_name(character)).unwrap_or(written.len());
    let name = written.get(..end).unwrap_or_default().to_ascii_uppercase();
    let names = SETTINGS.iter().map(|setting| setting.name.to_owned());
    let files = SETTINGS.iter().filter(|setting| setting.is_secret);
    let files = files.map(|setting| format!("{}_FILE", setting.name));
    names
        .chain(files)
        .filter(|known| is_similar(&name, known))
        .min_by_key(|known| (!known.starts_with(&name), osa_distance(&name, known)))
}

fn is_similar(name: &str, known: &str) -> bool {
    let tolerated = (known.len() / 5).clamp(1, 3);
    let is_abbreviated = known.starts_with(name) && 4 * name.len() >= 3 * known.len();
    is_abbreviated || osa_distance(name, known) <= tolerated
}

/// Returns the name if a log may contain it. A secret may stand where a name should stand, for
/// example in a value of several lines without quotes.
pub(super) fn shown_name(written: &str) -> Option<&str> {
    const LONGEST: usize = 40;
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    let is_shown = (1..=LONGEST).contains(&written.len()) && written.bytes().all(is_name);
    is_shown.then_some(written)
}
