-- A database as the Alembic migrations of the reference service create it, with 5 users, 40 posts
-- (some of them drafts) and 100 votes.
CREATE TABLE alembic_version (
    version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY
);
CREATE TABLE users (
    id serial PRIMARY KEY,
    email varchar NOT NULL UNIQUE,
    password varchar NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE posts (
    id serial PRIMARY KEY,
    title varchar NOT NULL,
    content varchar NOT NULL,
    owner_id integer NOT NULL CONSTRAINT post_user_fk REFERENCES users (id) ON DELETE CASCADE,
    published boolean NOT NULL DEFAULT TRUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE votes (
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    post_id integer NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, post_id)
);
INSERT INTO alembic_version VALUES ('0cf86d064551');
INSERT INTO users (email, password, created_at)
SELECT format('user%s@example.com', n), format('$argon2id$%s', n),
       timestamptz '2026-01-02 03:04:05.678901+00' + n * interval '1 hour'
  FROM generate_series(1, 5) AS n;
INSERT INTO posts (title, content, owner_id, published, created_at)
SELECT format('Post %s', n), repeat('text ', n), 1 + n % 5, n % 7 <> 0,
       timestamptz '2026-02-03 04:05:06.789012+00' + n * interval '1 minute'
  FROM generate_series(1, 40) AS n;
INSERT INTO votes (user_id, post_id)
SELECT u, 2 * n - u % 2 FROM generate_series(1, 5) AS u, generate_series(1, 20) AS n;
