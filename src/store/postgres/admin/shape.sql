-- Every object of the current schema as a key and a definition. The session's search path is only this
-- schema, so the names of its objects are not qualified.
WITH here AS (
    SELECT oid FROM pg_namespace WHERE nspname = current_schema()
), tables AS (
    SELECT pg_class.* FROM pg_class JOIN here ON relnamespace = here.oid
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relname <> 'schema_migrations'
)
SELECT 'table ' || relname,
       CASE relkind WHEN 'r' THEN 'ordinary' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'a view'
                    WHEN 'm' THEN 'a materialized view' ELSE 'foreign' END
       || CASE relpersistence WHEN 'u' THEN ', unlogged' ELSE '' END
       || CASE WHEN relrowsecurity THEN ', with row security' ELSE '' END
       || coalesce((SELECT ', with the child ' || string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid)
                      FROM pg_inherits WHERE inhparent = tables.oid), '')
       || coalesce((SELECT ', a child of ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhparent)
                      FROM pg_inherits WHERE inhrelid = tables.oid), '')
  FROM tables
UNION ALL
SELECT relname || '.' || attname,
       format_type(atttypid, atttypmod)
       || CASE WHEN attcollation NOT IN (0, typcollation) THEN ' collated' ELSE '' END
       || CASE WHEN attnotnull THEN ' not null' ELSE '' END
       || CASE WHEN attidentity <> '' THEN ' identity' ELSE '' END
       || CASE WHEN attgenerated <> '' THEN ' generated' ELSE '' END
       || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
  FROM tables
  JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
  JOIN pg_type ON pg_type.oid = atttypid
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
-- A key is named by its columns, as the reference service's keys have other names. A check is named, as
-- a migration adds and drops it by its name.
SELECT 'constraint ' || CASE contype WHEN 'c' THEN conname || ' on ' ELSE '' END || relname,
       pg_get_constraintdef(pg_constraint.oid, true)
       -- A foreign key is checked by triggers, on both of its tables.
       || (SELECT CASE WHEN bool_or(tgenabled IN ('D', 'R')) THEN ' (not enabled)'
                       WHEN bool_or(tgenabled = 'A') THEN ' (enabled always)' ELSE '' END
             FROM pg_trigger WHERE tgconstraint = pg_constraint.oid)
  FROM tables JOIN pg_constraint ON conrelid = tables.oid AND contype IN ('p', 'u', 'f', 'c', 'x')
UNION ALL
SELECT 'index ' || index_class.relname || ' on ' || tables.relname,
       CASE WHEN indisunique THEN 'unique ' ELSE '' END
       -- The extension of the operators can be in any schema.
       || regexp_replace(regexp_replace(pg_get_indexdef(indexrelid, 0, true), '^.* USING ', ''),
                         '[^ (]+\.gin_trgm_ops', 'gin_trgm_ops')
       || CASE WHEN indisvalid THEN '' ELSE ' (not valid)' END
  FROM tables
  JOIN pg_index ON indrelid = tables.oid
  JOIN pg_class AS index_class ON index_class.oid = indexrelid
 WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'trigger ' || tgname || ' on ' || relname,
       regexp_replace(pg_get_triggerdef(pg_trigger.oid, true), '^CREATE TRIGGER \S+ ', '')
       || CASE tgenabled WHEN 'O' THEN '' WHEN 'A' THEN ' (enabled always)' ELSE ' (not enabled)' END
  FROM tables JOIN pg_trigger ON tgrelid = tables.oid AND NOT tgisinternal
UNION ALL
SELECT 'rule ' || rulename || ' on ' || relname,
       regexp_replace(pg_get_ruledef(pg_rewrite.oid, true), '\s+', ' ', 'g')
       || CASE ev_enabled WHEN 'O' THEN '' WHEN 'A' THEN ' (enabled always)' ELSE ' (not enabled)' END
  FROM tables JOIN pg_rewrite ON ev_class = tables.oid AND rulename <> '_RETURN'
UNION ALL
SELECT 'function ' || proname || '(' || pg_get_function_identity_arguments(pg_proc.oid) || ')',
       encode(sha256(convert_to(prosrc, 'UTF8')), 'hex')
       || CASE WHEN prosecdef THEN ' security definer' ELSE '' END
       || CASE WHEN proconfig IS NULL THEN ''
               WHEN proconfig = ARRAY['search_path=' || quote_ident(current_schema()) || ', pg_temp']
               THEN ' with a path' ELSE ' with another path' END
       || CASE WHEN prosecdef AND has_function_privilege('public', pg_proc.oid, 'EXECUTE')
               THEN ' executable by public' ELSE '' END
  FROM pg_proc JOIN here ON pronamespace = here.oid
 WHERE NOT EXISTS (SELECT FROM pg_depend
                    WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
UNION ALL
SELECT 'sequence ' || sequence_class.relname || ' of ' || tables.relname || '.' || attname,
       format_type(seqtypid, NULL) || CASE WHEN seqcycle THEN ' cycling' ELSE '' END
  FROM tables
  JOIN pg_depend ON refobjid = tables.oid AND refclassid = 'pg_class'::regclass
                AND classid = 'pg_class'::regclass AND deptype = 'a'
  JOIN pg_sequence ON seqrelid = objid
  JOIN pg_class AS sequence_class ON sequence_class.oid = seqrelid
  JOIN pg_attribute ON attrelid = tables.oid AND attnum = refobjsubid
