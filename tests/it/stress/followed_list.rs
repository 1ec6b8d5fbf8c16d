//! The list of posts as a client of the stream keeps it: it reads the list once, and then applies each
//! event.

use std::collections::BTreeMap;

use serde_json::Value;

/// The title, the length of the content and the votes of each post.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct FollowedList(BTreeMap<i64, (String, usize, i64)>);

/// The client must read this after an event.
#[derive(Debug, PartialEq)]
pub enum Wanted {
    Nothing,
    List,
    Post(i64),
}

impl FollowedList {
    /// Returns the list that these items of `GET /posts` make.
    pub fn of(items: &[Value]) -> Self {
        let mut list = Self::default();
        for item in items {
            list.insert(item);
        }
        list
    }

    /// Returns the posts that only one of the two lists has so.
    pub fn describe_difference(&self, expected: &Self) -> String {
        let without = |list: &Self, other: &Self| {
            let posts = list.0.iter().filter(|(id, post)| other.0.get(id) != Some(post));
            posts.map(|(id, post)| format!("{id}: {post:?}")).collect::<Vec<_>>()
        };
        format!("{:?} instead of {:?}", without(self, expected), without(expected, self))
    }

    /// Adds or replaces the post.
    pub fn insert(&mut self, item: &Value) {
        let post = &item["Post"];
        let title = post["title"].as_str().unwrap().to_owned();
        let length = post["content"].as_str().unwrap().len();
        let votes = item["votes"].as_i64().unwrap();
        self.0.insert(post["id"].as_i64().unwrap(), (title, length, votes));
    }

    /// Applies the event in the block, if there is one.
    pub fn apply(&mut self, block: &str) -> Wanted {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let (Some(name), Some(data)) = (field("event: "), field("data: ")) else {
            return Wanted::Nothing;
        };
        let data: Value = serde_json::from_str(data).unwrap();
        let id = || data["id"].as_i64().unwrap();
        match name {
            "hello" if data["resumed"] == true => {}
            "hello" | "reset" => return Wanted::List,
            "created" | "updated" => match data.get("item") {
                Some(item) => self.insert(item),
                None => return Wanted::Post(id()),
            },
            "votes" => {
                if let Some((_, _, votes)) = self.0.get_mut(&id()) {
                    *votes = data["votes"].as_i64().unwrap();
                }
            }
            "deleted" => drop(self.0.remove(&id())),
            other => panic!("{other}"),
        }
        Wanted::Nothing
    }
}
