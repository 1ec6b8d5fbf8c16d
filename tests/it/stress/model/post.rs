//! A post of the reference model, with the texts that it has had.

use super::step::Condition;

#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) owner: usize,
    pub(super) title: String,
    pub(super) content: String,
    pub(super) published: bool,
    pub(super) created_at: i64,
    /// Every title, content and `published` so far, the current ones last.
    pub(super) texts: Vec<(String, String, bool)>,
}

impl Post {
    /// Replaces the given parts.
    pub(super) fn update(
        &mut self,
        title: Option<&String>,
        content: Option<&str>,
        published: Option<bool>,
    ) {
        self.title = title.unwrap_or(&self.title).clone();
        self.content = content.unwrap_or(&self.content).to_owned();
        self.published = published.unwrap_or(self.published);
        self.record_text();
    }

    pub(super) fn record_text(&mut self) {
        self.texts.push((self.title.clone(), self.content.clone(), self.published));
    }

    pub(super) fn meets(&self, condition: Option<Condition>) -> bool {
        let is_current = |text: usize| self.texts.get(text % self.texts.len()) == self.texts.last();
        match condition {
            None | Some(Condition::MatchAny) => true,
            Some(Condition::NoneMatchAny) => false,
            Some(Condition::Match(text)) => is_current(text),
            Some(Condition::NoneMatch(text)) => !is_current(text),
        }
    }
}
