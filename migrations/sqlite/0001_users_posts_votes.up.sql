-- The three tables of the service. Times are microseconds since 1970-01-01 UTC.
-- AUTOINCREMENT: a number that was used is never given again, else the token of a deleted user
-- would open a stranger's account.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Before the texts, which may be long: who may see a post is known without reading them.
    owner_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    published INTEGER NOT NULL DEFAULT 1 CHECK (published IN (0, 1)),
    created_at INTEGER NOT NULL,
    title TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE TABLE votes (
    post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (post_id, user_id)
) STRICT, WITHOUT ROWID;
