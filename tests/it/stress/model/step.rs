//! The steps of clients. A step refers to users, posts and tokens by index, so that every sequence
//! is valid, even after steps were removed from it.

use proptest::prelude::*;
use proptest::sample::select;

#[derive(Debug, Clone)]
pub(super) enum Step {
    SignUp {
        email: &'static str,
        password: &'static str,
    },
    LogIn {
        email: String,
        password: String,
    },
    /// By this many seconds, forward or back.
    MoveClock {
        seconds: i64,
    },
    GetMe {
        by: By,
    },
    ChangeName {
        by: By,
        name: Option<&'static str>,
    },
    ListMyVotes {
        by: By,
        limit: Option<usize>,
    },
    GetUser {
        by: By,
        user: usize,
        has_name: bool,
    },
    DeleteMe {
        by: By,
    },
    DeleteUser {
        by: By,
        user: usize,
    },
    CreatePost {
        by: By,
        post: Draft,
    },
    GetPost {
        by: By,
        post: usize,
        include: &'static str,
    },
    ReplacePost {
        by: By,
        post: usize,
        with: Draft,
        condition: Option<Condition>,
    },
    UpdatePost {
        by: By,
        post: usize,
        with: Update,
        condition: Option<Condition>,
    },
    DeletePost {
        by: By,
        post: usize,
        condition: Option<Condition>,
    },
    ListPosts {
        by: By,
        page: Page,
    },
    Vote {
        by: By,
        post: usize,
        dir: i64,
    },
    /// A write with a key.
    Keyed {
        key: u8,
        step: Box<Step>,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Anonymous,
    Garbage,
    /// With one of the tokens issued so far.
    Token(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) content: &'static str,
    pub(super) published: Option<bool>,
}

impl Step {
    /// Returns who sends a write.
    pub(super) fn by(&self) -> By {
        match self {
            Self::CreatePost { by, .. }
            | Self::ReplacePost { by, .. }
            | Self::UpdatePost { by, .. }
            | Self::DeletePost { by, .. }
            | Self::Vote { by, .. } => *by,
            other => panic!("{other:?} has no key"),
        }
    }
}

impl Draft {
    /// Returns the values with the default of `published`.
    pub(super) fn values(&self) -> String {
        format!("{:?}", (&self.title, self.content, self.published.unwrap_or(true)))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) title: Option<String>,
    pub(super) content: Option<&'static str>,
    pub(super) published: Option<bool>,
}

/// A condition of a change, with the tag of one of the texts that the post has had.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    Match(usize),
    MatchAny,
    NoneMatch(usize),
    NoneMatchAny,
}

#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) limit: Option<u32>,
    pub(super) skip: Option<usize>,
    pub(super) search: Option<&'static str>,
    pub(super) published: Option<bool>,
    pub(super) sort: Option<&'static str>,
    /// Only posts of the caller.
    pub(super) is_own: bool,
    pub(super) include: &'static str,
}

const EMAILS: [&str; 6] = [
    "ada@example.com",
    "ada@EXAMPLE.com",
    "Ada@example.com",
    "grace@example.org",
    "mary@example.net",
    "not an email",
];

/// Values of the parameter `include`.
const PARTS: [&str; 5] = ["", "", "my_vote", "owner", "owner,my_vote"];

const NAMES: [Option<&str>; 6] =
    [None, Some("Ada"), Some(" Ada  L. "), Some("本\u{1F469}"), Some("  "), Some(LONG_NAME)];

/// A name of 65 characters.
const LONG_NAME: &str = "names of sixty-five characters are longer than the longest of all";

const PASSWORDS: [&str; 3] = ["plum lantern 83 quay", "Plum lantern 83 quay", "short"];

/// Returns a title longer than its searched part.
fn long_title() -> String {
    format!("{}needle", "hay ".repeat(250))
}

fn title() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["alpha", "alphabet", "Beta", "100 % _sure_", "\\ ' \" ;--", "日本語", " "])
            .prop_map(str::to_owned),
        1 => Just(long_title()),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let published = prop_oneof![2 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))];
    (title(), select(vec!["text", "", "two\nlines\u{1F600}"]), published)
        .prop_map(|(title, content, published)| Draft { title, content, published })
}

fn update() -> impl Strategy<Value = Update> {
    let text = proptest::option::of(select(vec!["text", "", "two\nlines\u{1F600}"]));
    (proptest::option::of(title()), text, proptest::option::of(proptest::bool::ANY))
        .prop_map(|(title, content, published)| Update { title, content, published })
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    prop_oneof![
        6 => Just(None),
        6 => (0..6_usize).prop_map(|text| Some(Condition::Match(text))),
        1 => Just(Some(Condition::MatchAny)),
        2 => (0..6_usize).prop_map(|text| Some(Condition::NoneMatch(text))),
        1 => Just(Some(Condition::NoneMatchAny)),
    ]
}

fn page() -> impl Strategy<Value = Page> {
    let limit = select(vec![None, None, Some(0), Some(1), Some(2), Some(1000), Some(1001)]);
    let skip = select(vec![None, None, Some(0), Some(1), Some(5), Some(usize::MAX)]);
    let search = select(vec![
        None,
        None,
        Some(""),
        Some("a"),
        Some("alpha"),
        Some("pha"),
        Some("ALPHA"),
        Some("%"),
        Some("_"),
        Some("\\ '"),
        Some("本"),
        Some("hay hay"),
        Some("needle"),
    ]);
    let published = select(vec![None, None, Some(true), Some(false)]);
    let sort = select(vec![None, None, Some("newest"), Some("oldest"), Some("best")]);
    let is_own = select(vec![false, false, true]);
    (limit, skip, search, published, sort, is_own, select(PARTS.to_vec())).prop_map(
        |(limit, skip, search, published, sort, is_own, include)| Page {
            limit,
            skip,
            search,
            published,
            sort,
            is_own,
            include,
        },
    )
}

/// The existing users, posts and tokens, so that most steps refer to something that exists.
pub(super) struct Existing {
    /// E-mails and passwords of accounts.
    pub(super) accounts: Vec<(String, String)>,
    /// Valid tokens.
    pub(super) tokens: Vec<usize>,
    pub(super) users: Vec<usize>,
    pub(super) posts: Vec<usize>,
    /// Steps that were sent with a key.
    pub(super) keyed: Vec<Step>,
}

/// Mostly a caller with an account.
fn by(existing: &Existing) -> BoxedStrategy<By> {
    let any = prop_oneof![
        1 => Just(By::Anonymous),
        1 => Just(By::Garbage),
        3 => (0..16_usize).prop_map(By::Token),
    ];
    if existing.tokens.is_empty() {
        return any.boxed();
    }
    prop_oneof![1 => any, 12 => select(existing.tokens.clone()).prop_map(By::Token)].boxed()
}

/// Mostly the index of an existing item, else one that was deleted or never created.
fn index(existing: &[usize]) -> BoxedStrategy<usize> {
    if existing.is_empty() {
        return (0..12_usize).boxed();
    }
    prop_oneof![1 => 0..12_usize, 8 => select(existing.to_vec())].boxed()
}

fn sign_up() -> impl Strategy<Value = Step> {
    let password = prop_oneof![8 => Just(PASSWORDS[0]), 1 => select(PASSWORDS.to_vec())];
    (select(EMAILS.to_vec()), password)
        .prop_map(|(email, password)| Step::SignUp { email, password })
}

fn log_in(existing: &Existing) -> BoxedStrategy<Step> {
    let any = (select(EMAILS.to_vec()), select(PASSWORDS.to_vec()))
        .prop_map(|(email, password)| (email.to_owned(), password.to_owned()));
    let account = if existing.accounts.is_empty() {
        any.boxed()
    } else {
        prop_oneof![1 => any, 4 => select(existing.accounts.clone())].boxed()
    };
    account.prop_map(|(email, password)| Step::LogIn { email, password }).boxed()
}

fn create_post(existing: &Existing) -> BoxedStrategy<Step> {
    (by(existing), draft()).prop_map(|(by, post)| Step::CreatePost { by, post }).boxed()
}

fn replace_post(existing: &Existing) -> BoxedStrategy<Step> {
    (by(existing), index(&existing.posts), draft(), condition())
        .prop_map(|(by, post, with, condition)| Step::ReplacePost { by, post, with, condition })
        .boxed()
}

fn update_post(existing: &Existing) -> BoxedStrategy<Step> {
    (by(existing), index(&existing.posts), update(), condition())
        .prop_map(|(by, post, with, condition)| Step::UpdatePost { by, post, with, condition })
        .boxed()
}

fn delete_post(existing: &Existing) -> BoxedStrategy<Step> {
    (by(existing), index(&existing.posts), condition())
        .prop_map(|(by, post, condition)| Step::DeletePost { by, post, condition })
        .boxed()
}

fn vote(existing: &Existing) -> BoxedStrategy<Step> {
    (by(existing), index(&existing.posts), -1..=1_i64)
        .prop_map(|(by, post, dir)| Step::Vote { by, post, dir })
        .boxed()
}

/// Often a step that was sent before.
fn keyed(existing: &Existing) -> BoxedStrategy<Step> {
    let step = prop_oneof![
        2 => create_post(existing),
        1 => replace_post(existing),
        2 => update_post(existing),
        1 => delete_post(existing),
        4 => vote(existing),
    ];
    let new = (0..4_u8, step).prop_map(|(key, step)| Step::Keyed { key, step: Box::new(step) });
    if existing.keyed.is_empty() {
        return new.boxed();
    }
    prop_oneof![1 => new, 1 => select(existing.keyed.clone())].boxed()
}

pub(super) fn step(existing: &Existing) -> BoxedStrategy<Step> {
    let (by, user, post) = (|| by(existing), || index(&existing.users), || index(&existing.posts));
    prop_oneof![
        if existing.accounts.len() < 2 { 30 } else { 2 } => sign_up(),
        if existing.tokens.len() < 3 { 30 } else { 3 } => log_in(existing),
        1 => select(vec![1, 600, 1799, 1800, -1, -900, -86_400])
            .prop_map(|seconds| Step::MoveClock { seconds }),
        2 => by().prop_map(|by| Step::GetMe { by }),
        3 => (by(), select(NAMES.to_vec())).prop_map(|(by, name)| Step::ChangeName { by, name }),
        8 => (by(), select(vec![None, None, Some(0), Some(1), Some(3)]))
            .prop_map(|(by, limit)| Step::ListMyVotes { by, limit }),
        2 => (by(), user(), select(vec![false, true]))
            .prop_map(|(by, user, has_name)| Step::GetUser { by, user, has_name }),
        1 => by().prop_map(|by| Step::DeleteMe { by }),
        1 => (by(), user()).prop_map(|(by, user)| Step::DeleteUser { by, user }),
        if existing.posts.len() < 4 { 20 } else { 5 } => create_post(existing),
        6 => (by(), post(), select(PARTS.to_vec()))
            .prop_map(|(by, post, include)| Step::GetPost { by, post, include }),
        8 => replace_post(existing),
        8 => update_post(existing),
        2 => delete_post(existing),
        8 => (by(), page()).prop_map(|(by, page)| Step::ListPosts { by, page }),
        24 => vote(existing),
        16 => keyed(existing),
    ]
    .boxed()
}
