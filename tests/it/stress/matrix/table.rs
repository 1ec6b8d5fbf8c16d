//! The expected status and changes of each cell.

use super::callers::AccessClass;

/// The target of an operation. Existing posts belong to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The operation has no target.
    Nothing,
    Public,
    /// A draft in the default mode.
    Draft,
    /// A draft with `COMPAT=reference`, where drafts are visible.
    VisibleDraft,
    /// The account of the owner.
    Owner,
    /// The account of the other user.
    Other,
    /// A session of the owner.
    OwnersSession,
    OthersSession,
    /// An ID that does not exist.
    Missing,
    /// An ID that cannot exist.
    Impossible,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) status: u16,
    /// The rows that are added (`+`), deleted (`-`) and changed (`~`), sorted; IDs by their names.
    pub(super) effect: &'static str,
}

pub(super) struct Row {
    pub(super) operation: &'static str,
    pub(super) target: Target,
    anonymous: Cell,
    invalid: Cell,
    other: Cell,
    owner: Cell,
}

impl Row {
    /// Returns the cell of a caller. With `ANONYMOUS_READS=on` a client without a token reads
    /// published posts, and all other rows stay the same.
    pub(super) fn cell(&self, access_class: AccessClass, anonymous_reads: bool) -> Cell {
        match access_class {
            AccessClass::Anonymous if anonymous_reads => self.opened(),
            AccessClass::Anonymous => self.anonymous,
            AccessClass::Invalid => self.invalid,
            AccessClass::Other => self.other,
            AccessClass::Owner => self.owner,
        }
    }
}

impl Row {
    fn opened(&self) -> Cell {
        match (self.operation, self.target) {
            ("GET /posts", _) | ("GET /posts/{id}", Target::Public) => {
                Cell { status: 200, effect: "" }
            }
            ("GET /posts/{id}", _) => Cell { status: 404, effect: "" },
            _ => self.anonymous,
        }
    }
}

/// Returns a row without changes. The statuses are for: no token, an invalid token, the other user,
/// the owner.
const fn unchanged(operation: &'static str, target: Target, statuses: [u16; 4]) -> Row {
    let [anonymous, invalid, other, owner] = statuses;
    row(operation, target, [anonymous, invalid], (other, ""), (owner, ""))
}

const fn row(
    operation: &'static str,
    target: Target,
    rejections: [u16; 2],
    other: (u16, &'static str),
    owner: (u16, &'static str),
) -> Row {
    Row {
        operation,
        target,
        anonymous: Cell { status: rejections[0], effect: "" },
        invalid: Cell { status: rejections[1], effect: "" },
        other: Cell { status: other.0, effect: other.1 },
        owner: Cell { status: owner.0, effect: owner.1 },
    }
}

const OTHER_DELETED: &str = "-post/{others} -session/{others_session} -user/{other} -vote/{others},{owner} -vote/{public},{other}";

const OWNER_DELETED: &str = "-post/{draft} -post/{public} -session/{owners_session} -user/{owner} \
                          -vote/{others},{owner} -vote/{public},{other}";

pub(super) const ROWS: &[Row] = &{
    use Target::{
        Draft, Impossible, Missing, Nothing, Other, OthersSession, Owner, OwnersSession, Public,
        VisibleDraft,
    };
    const NEW: Cell = Cell { status: 201, effect: "+user/*" };
    [
        unchanged("GET /livez", Nothing, [200; 4]),
        unchanged("GET /readyz", Nothing, [200; 4]),
        // Tokens are signed with a secret, so there are no public keys.
        unchanged("GET /.well-known/jwks.json", Nothing, [404; 4]),
        // The account of the example does not exist.
        unchanged("POST /login", Nothing, [403; 4]),
        row("POST /logout", Nothing, [401, 401], (204, "~user/{other}"), (204, "~user/{owner}")),
        Row {
            operation: "POST /users",
            target: Nothing,
            anonymous: NEW,
            invalid: NEW,
            other: NEW,
            owner: NEW,
        },
        unchanged("GET /users/me", Nothing, [401, 401, 200, 200]),
        row("PATCH /users/me", Nothing, [401, 401], (200, "~user/{other}"), (200, "~user/{owner}")),
        row(
            "POST /users/me/password",
            Nothing,
            [401, 401],
            (200, "~user/{other}"),
            (200, "~user/{owner}"),
        ),
        row("DELETE /users/me", Nothing, [401, 401], (204, OTHER_DELETED), (204, OWNER_DELETED)),
        // The token of the example is forged.
        unchanged("POST /password-resets", Nothing, [202; 4]),
        unchanged("POST /password-resets/confirm", Nothing, [403; 4]),
        unchanged("POST /users/me/email/verifications", Nothing, [401, 401, 202, 202]),
        unchanged("POST /email-verifications", Nothing, [403; 4]),
        unchanged("GET /users/me/events", Nothing, [401, 401, 200, 200]),
        unchanged("GET /users/me/export", Nothing, [401, 401, 200, 200]),
        unchanged("GET /users/me/votes", Nothing, [401, 401, 200, 200]),
        unchanged("GET /users/me/sessions", Nothing, [401, 401, 200, 200]),
        row(
            "DELETE /users/me/sessions",
            Nothing,
            [401, 401],
            (204, "-session/{others_session}"),
            (204, "-session/{owners_session}"),
        ),
        row(
            "DELETE /users/me/sessions/{id}",
            OwnersSession,
            [401, 401],
            (404, ""),
            (204, "-session/{owners_session}"),
        ),
        row(
            "DELETE /users/me/sessions/{id}",
            OthersSession,
            [401, 401],
            (204, "-session/{others_session}"),
            (404, ""),
        ),
        unchanged("DELETE /users/me/sessions/{id}", Missing, [401, 401, 404, 404]),
        unchanged("DELETE /users/me/sessions/{id}", Impossible, [401, 401, 404, 404]),
        unchanged("GET /users/{id}", Owner, [200; 4]),
        unchanged("GET /users/{id}", Other, [200; 4]),
        unchanged("GET /users/{id}", Missing, [404; 4]),
        unchanged("GET /users/{id}", Impossible, [404; 4]),
        row("DELETE /users/{id}", Owner, [401, 401], (403, ""), (204, OWNER_DELETED)),
        row("DELETE /users/{id}", Other, [401, 401], (204, OTHER_DELETED), (403, "")),
        unchanged("DELETE /users/{id}", Missing, [401, 401, 404, 404]),
        unchanged("DELETE /users/{id}", Impossible, [401, 401, 404, 404]),
        // Neither user is an administrator.
        unchanged("GET /admin/statistics", Nothing, [401, 401, 403, 403]),
        unchanged("GET /admin/users", Nothing, [401, 401, 403, 403]),
        unchanged("GET /admin/events", Nothing, [401, 401, 403, 403]),
        unchanged("GET /posts", Nothing, [401, 401, 200, 200]),
        row("POST /posts", Nothing, [401, 401], (201, "+post/*"), (201, "+post/*")),
        unchanged("GET /posts/changes", Nothing, [401, 401, 200, 200]),
        unchanged("POST /posts/changes/tickets", Nothing, [401, 401, 201, 201]),
        unchanged("GET /posts/{id}", Public, [401, 401, 200, 200]),
        unchanged("GET /posts/{id}", Draft, [401, 401, 404, 200]),
        unchanged("GET /posts/{id}", VisibleDraft, [401, 401, 200, 200]),
        unchanged("GET /posts/{id}", Missing, [401, 401, 404, 404]),
        unchanged("GET /posts/{id}", Impossible, [401, 401, 404, 404]),
        row("PUT /posts/{id}", Public, [401, 401], (403, ""), (200, "~post/{public}")),
        row("PUT /posts/{id}", Draft, [401, 401], (404, ""), (200, "~post/{draft}")),
        row("PUT /posts/{id}", VisibleDraft, [401, 401], (403, ""), (200, "~post/{draft}")),
        unchanged("PUT /posts/{id}", Missing, [401, 401, 404, 404]),
        unchanged("PUT /posts/{id}", Impossible, [401, 401, 404, 404]),
        row("PATCH /posts/{id}", Public, [401, 401], (403, ""), (200, "~post/{public}")),
        row("PATCH /posts/{id}", Draft, [401, 401], (404, ""), (200, "~post/{draft}")),
        row("PATCH /posts/{id}", VisibleDraft, [401, 401], (403, ""), (200, "~post/{draft}")),
        unchanged("PATCH /posts/{id}", Missing, [401, 401, 404, 404]),
        unchanged("PATCH /posts/{id}", Impossible, [401, 401, 404, 404]),
        row(
            "DELETE /posts/{id}",
            Public,
            [401, 401],
            (403, ""),
            (204, "-post/{public} -vote/{public},{other}"),
        ),
        row("DELETE /posts/{id}", Draft, [401, 401], (404, ""), (204, "-post/{draft}")),
        row("DELETE /posts/{id}", VisibleDraft, [401, 401], (403, ""), (204, "-post/{draft}")),
        unchanged("DELETE /posts/{id}", Missing, [401, 401, 404, 404]),
        unchanged("DELETE /posts/{id}", Impossible, [401, 401, 404, 404]),
        row(
            "POST /vote/",
            Public,
            [401, 401],
            (201, "~vote/{public},{other}"),
            (201, "+vote/{public},{owner}"),
        ),
        row("POST /vote/", Draft, [401, 401], (404, ""), (201, "+vote/{draft},{owner}")),
        row(
            "POST /vote/",
            VisibleDraft,
            [401, 401],
            (201, "+vote/{draft},{other}"),
            (201, "+vote/{draft},{owner}"),
        ),
        unchanged("POST /vote/", Missing, [401, 401, 404, 404]),
        unchanged("POST /vote/", Impossible, [401, 401, 404, 404]),
    ]
};
