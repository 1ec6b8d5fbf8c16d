//! The tags that a client sends in `If-Match` and `If-None-Match` (RFC 9110, 13.1.1 and 13.1.2).

use axum::http::header::HeaderValue;

/// `*`, or some tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTagList {
    /// Every version.
    Any,
    Listed(Vec<EntityTag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether the tag has the prefix `W/`. A proxy adds it if it compresses a response.
    pub is_weak: bool,
    /// The text between the quotes.
    pub text: Vec<u8>,
}

impl EntityTagList {
    /// Parses the fields of one header. Returns `None` if they do not have the grammar of RFC 9110,
    /// or have no tag.
    pub fn parse<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Self> {
        // Several fields mean the same as one with commas (RFC 9110, 5.3).
        let fields: Vec<&[u8]> = fields.into_iter().map(HeaderValue::as_bytes).collect();
        let fields = fields.join(&b',');
        let mut rest = fields.trim_ascii();
        if rest == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after.trim_ascii_start();
                continue;
            }
            let (tag, after) = parse_tag(rest)?;
            tags.push(tag);
            rest = after.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
        (!tags.is_empty()).then_some(Self::Listed(tags))
    }

    /// Whether the list has the current tag, by weak comparison (RFC 9110, 8.8.3.2).
    #[must_use]
    pub fn has(&self, current: &HeaderValue) -> bool {
        match (self, parse_tag(current.as_bytes())) {
            (Self::Any, _) => true,
            (Self::Listed(tags), Some((current, _))) => {
                tags.iter().any(|tag| tag.text == current.text)
            }
            (Self::Listed(_), None) => false,
        }
    }
}

/// Parses the tag at the start, and returns what follows it.
fn parse_tag(text: &[u8]) -> Option<(EntityTag, &[u8])> {
    let (is_weak, tag) = match text.strip_prefix(b"W/") {
        Some(tag) => (true, tag),
        None => (false, text),
    };
    let tag = tag.strip_prefix(b"\"")?;
    let end = tag.iter().position(|byte| *byte == b'"')?;
    let (tag, after) = tag.split_at(end);
    let is_allowed = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    let after = after.strip_prefix(b"\"")?;
    tag.iter().all(is_allowed).then(|| (EntityTag { is_weak, text: tag.to_vec() }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[&[u8]]) -> Option<EntityTagList> {
        let fields: Vec<_> =
            fields.iter().map(|field| HeaderValue::from_bytes(field).unwrap()).collect();
        EntityTagList::parse(&fields)
    }

    #[test]
    fn lists_of_the_grammar_are_parsed() {
        let tag = |is_weak: bool, text: &[u8]| EntityTag { is_weak, text: text.to_vec() };
        for any in [b"*".as_slice(), b" * ", b"\t*"] {
            assert_eq!(parse(&[any]), Some(EntityTagList::Any), "{any:?}");
        }
        let cases: [(&[&[u8]], Vec<EntityTag>); 7] = [
            (&[b"\"a.17\""], vec![tag(false, b"a.17")]),
            (&[b"\"\""], vec![tag(false, b"")]),
            (&[b"W/\"a\""], vec![tag(true, b"a")]),
            (
                &[b"\"a\",W/\"b\" , \"c\""],
                vec![tag(false, b"a"), tag(true, b"b"), tag(false, b"c")],
            ),
            (&[b", ,\"a\",,"], vec![tag(false, b"a")]),
            (&[b"\"a,b\"", b"\"\xff'\\\""], vec![tag(false, b"a,b"), tag(false, b"\xff'\\")]),
            (&[b"", b"\"a\""], vec![tag(false, b"a")]),
        ];
        for (fields, tags) in cases {
            assert_eq!(parse(fields), Some(EntityTagList::Listed(tags)), "{fields:?}");
        }
    }

    #[test]
    fn other_lists_are_rejected() {
        let invalid: [&[&[u8]]; 14] = [
            &[],
            &[b""],
            &[b","],
            &[b"a"],
            &[b"\"a"],
            &[b"a\""],
            &[b"'a'"],
            &[b"w/\"a\""],
            &[b"W/ \"a\""],
            &[b"\"a b\""],
            &[b"\"a\" \"b\""],
            &[b"\"a\"b"],
            &[b"*, \"a\""],
            &[b"*", b"*"],
        ];
        for fields in invalid {
            assert_eq!(parse(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn comparison_ignores_weakness() {
        let current = HeaderValue::from_static("\"a.1\"");
        for (sent, has) in
            [("*", true), ("\"a.1\"", true), ("\"b\", W/\"a.1\"", true), ("\"a\"", false)]
        {
            assert_eq!(parse(&[sent.as_bytes()]).unwrap().has(&current), has, "{sent}");
        }
    }
}
