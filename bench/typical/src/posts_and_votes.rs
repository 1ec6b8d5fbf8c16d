//! Posts and votes: their JSON, and the outcomes of the stores.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};

#[derive(Deserialize)]
pub struct NewPost {
    pub title: String,
    pub content: String,
    #[serde(default = "published_by_default")]
    pub published: bool,
}

fn published_by_default() -> bool {
    true
}

#[derive(Serialize)]
pub struct Post {
    pub title: String,
    pub content: String,
    pub published: bool,
    pub id: i64,
    #[serde(serialize_with = "serialize_time")]
    pub created_at: DateTime<Utc>,
    pub owner_id: i64,
}

#[derive(Serialize)]
pub struct PostWithVotes {
    #[serde(rename = "Post")]
    pub post: Post,
    pub votes: i64,
}

#[derive(Deserialize)]
pub struct Vote {
    pub post_id: i64,
    pub dir: Direction,
}

/// 1 or -1. Not here: 0, which withdraws a vote.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Direction(pub i16);

impl TryFrom<i64> for Direction {
    type Error = &'static str;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        match value {
            1 => Ok(Self(1)),
            -1 => Ok(Self(-1)),
            _ => Err("dir is neither 1 nor -1"),
        }
    }
}

pub enum VoteOutcome {
    Added,
    Changed,
    AlreadyCast,
    NoSuchPost,
}

/// Six decimal places, or none if they are zero.
fn serialize_time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let format = match time.timestamp_subsec_micros() {
        0 => SecondsFormat::Secs,
        _ => SecondsFormat::Micros,
    };
    serializer.serialize_str(&time.to_rfc3339_opts(format, true))
}
