-- The objects of the current schema that have one of these names: the key of the name in the shape, and
-- a description of the object.
WITH here AS (
    SELECT oid FROM pg_namespace WHERE nspname = current_schema()
), functions AS MATERIALIZED (
    -- Otherwise the arguments of every function of PostgreSQL are written out for each name.
    SELECT proname || '(' || pg_get_function_identity_arguments(pg_proc.oid) || ')' AS signature, proowner
      FROM pg_proc JOIN here ON pronamespace = here.oid
)
SELECT wanted.key, found.description
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (key, kind, name, on_table)
 CROSS JOIN LATERAL (
    SELECT CASE relkind WHEN 'i' THEN 'an index on ' WHEN 'I' THEN 'an index on ' ELSE '' END
           || CASE WHEN relkind IN ('i', 'I')
                   THEN (SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = pg_class.oid)
                   ELSE CASE relkind WHEN 'r' THEN 'a table' WHEN 'p' THEN 'a partitioned table'
                                     WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view'
                                     WHEN 'f' THEN 'a foreign table' WHEN 'S' THEN 'a sequence'
                                     ELSE 'a type' END END
           || CASE WHEN relkind IN ('i', 'I', 'S') THEN ''
                   ELSE (SELECT ' (' || string_agg(attname, ', ' ORDER BY attnum) || ')' FROM pg_attribute
                          WHERE attrelid = pg_class.oid AND attnum BETWEEN 1 AND 8 AND NOT attisdropped) END
           || ' of the role ' || pg_get_userbyid(relowner) AS description
      FROM pg_class JOIN here ON relnamespace = here.oid
     WHERE wanted.kind IN ('table', 'index', 'sequence') AND relname = wanted.name
    UNION ALL
    -- A table also makes a type of its name.
    SELECT 'a type of the role ' || pg_get_userbyid(typowner)
      FROM pg_type JOIN here ON typnamespace = here.oid
     WHERE wanted.kind = 'table' AND typname = wanted.name AND typrelid = 0
    UNION ALL
    SELECT 'a function of the role ' || pg_get_userbyid(proowner)
      FROM functions WHERE wanted.kind = 'function' AND signature = wanted.name
    UNION ALL
    SELECT 'a column of ' || relname || ', ' || format_type(atttypid, atttypmod)
      FROM pg_class
      JOIN here ON relnamespace = here.oid
      JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
     WHERE wanted.kind = 'column' AND relname = wanted.on_table AND attname = wanted.name
    UNION ALL
    SELECT 'a trigger on ' || relname
      FROM pg_class
      JOIN here ON relnamespace = here.oid
      JOIN pg_trigger ON tgrelid = pg_class.oid
     WHERE wanted.kind = 'trigger' AND relname = wanted.on_table AND tgname = wanted.name
    UNION ALL
    SELECT 'a constraint on ' || relname || ', ' || pg_get_constraintdef(pg_constraint.oid, true)
      FROM pg_class
      JOIN here ON relnamespace = here.oid
      JOIN pg_constraint ON conrelid = pg_class.oid
     WHERE wanted.kind = 'constraint' AND relname = wanted.on_table AND conname = wanted.name
 ) AS found
 ORDER BY wanted.key, found.description
