//! Parts of the statements for tables that Citus has distributed.
//!
//! Not here: how the tables are distributed, see `admin/distribution.rs`.

/// Like `select_page!`, for distributed tables. A subquery of each row may not follow a limit there,
/// and the join to all counts would read all of them, so the counts of the page are a step of their own.
macro_rules! select_distributed_page {
    ($inner:expr, $order:literal) => {
        concat!(
            "WITH page AS MATERIALIZED (",
            $inner,
            "), counts AS MATERIALIZED (
                 SELECT post_id, votes FROM vote_counts WHERE post_id IN (SELECT id FROM page)
             )
             SELECT id::bigint, title, content, published, created_at, owner_id::bigint, votes
               FROM (SELECT page.*, votes,
                            sum(octet_length(title) + octet_length(content)) OVER (
                                ORDER BY ",
            $order,
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                            ) AS bytes_before
                       FROM page LEFT JOIN counts ON counts.post_id = page.id) AS page
              WHERE $1 IS NULL OR bytes_before IS NULL OR 8388608 > bytes_before ORDER BY ",
            $order
        )
    };
}

/// Declares statements that read a page of posts. The macro of each gets `select_page` as its first
/// argument, and for distributed tables `select_distributed_page`.
macro_rules! page_statements {
    ($($name:ident ($($parameter:ident),*) = $text:ident!($($argument:tt)*);)+) => {
        $crate::store::postgres::statement::statements! {
            $($name($($parameter),*) = $text!(select_page, $($argument)*),
                $text!(select_distributed_page, $($argument)*);)+
        }
    };
}

/// The page of a query in an order.
macro_rules! page {
    ($select:ident, $inner:expr, $order:literal) => {
        $select!($inner, $order)
    };
}

/// The posts with one of the IDs, to be joined. In a distributed table, only a list of IDs tells which
/// servers have the posts; a join to the table would read it whole.
macro_rules! posts_among {
    ($ids:literal) => {
        concat!("(SELECT id, published, owner_id FROM posts WHERE id = ANY(", $ids, ")) AS posts")
    };
}

pub(super) use {page, page_statements, posts_among, select_distributed_page};
