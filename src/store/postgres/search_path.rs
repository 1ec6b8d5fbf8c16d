//! Finds the schema of the search path that has the tables. Commands and requests use the same rule,
//! so that a schema that is added to the path later hides no table.

/// Returns the schemas of the path in their order, whether each has the history of the service, and
/// whether it has tables of the names that the reference service uses.
pub(super) const FIND_SCHEMAS: &str = "
    SELECT path.name::text,
           (SELECT count(*) = 3 FROM pg_class
              JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped
             WHERE relnamespace = pg_namespace.oid AND relname = 'schema_migrations'
               AND relkind = 'r' AND attname IN ('revision', 'checksum', 'applied_at')),
           (SELECT count(*) = 3 FROM pg_class
             WHERE relnamespace = pg_namespace.oid AND relname IN ('users', 'posts', 'votes')
               AND relkind IN ('r', 'p', 'v', 'm', 'f'))
      FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
      JOIN pg_namespace ON nspname = path.name
     ORDER BY place";

/// Puts the schema that has the history first in the path of a connection that serves requests, if
/// exactly one schema of the path has it. The rest of the path stays: triggers of the operator may
/// need it.
pub(super) const PUT_SCHEMA_FIRST: &str = "
    SELECT set_config('search_path', quote_ident(min(nspname)) || ', ' || current_setting('search_path'),
                      false)
      FROM pg_namespace
     WHERE nspname = ANY (current_schemas(false))
       AND (SELECT count(*) = 3 FROM pg_class
              JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped
             WHERE relnamespace = pg_namespace.oid AND relname = 'schema_migrations'
               AND relkind = 'r' AND attname IN ('revision', 'checksum', 'applied_at'))
    HAVING count(*) = 1";
