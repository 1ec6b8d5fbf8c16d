//! `/posts`.

/// `POST /posts`
mod create;

/// `GET /posts`
mod list;

/// `GET /posts`: pages and their links
mod paging;

/// `GET /posts/{id}`
mod get;

/// `PUT /posts/{id}`
mod update;

/// `DELETE /posts/{id}`
mod delete;
