//! `/posts`.

/// `POST /posts`
mod create;

/// `GET /posts`
mod list;

/// `GET /posts`: pages and their links
mod paging;

/// `GET /posts` with `sort=top` and `sort=hot`
mod rankings;

/// `GET /posts/changes`
mod changes;

/// `GET /posts/{id}`
mod get;

/// `PUT /posts/{id}`
mod update;

/// `PATCH /posts/{id}`
mod patch;

/// `If-Match` and `If-None-Match` of the changes of a post.
mod conditions;

/// `DELETE /posts/{id}`
mod delete;

/// `include` on `GET /posts` and `GET /posts/{id}`
mod include;

/// `GET /posts` and `GET /posts/{id}` without a token
mod anonymous;
