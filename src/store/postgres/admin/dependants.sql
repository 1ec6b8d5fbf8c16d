-- The objects of others that depend on what a downgrade drops: PostgreSQL would refuse to drop what they
-- need, or drop them too. The parameters are the keys' parts of what is dropped: tables, columns
-- (table.column), functions with their arguments, other relations, and triggers and constraints
-- (name on table); then all columns of ours.
WITH RECURSIVE here AS (
    SELECT oid FROM pg_namespace WHERE nspname = current_schema()
), dropped_tables AS (
    SELECT pg_class.oid FROM pg_class JOIN here ON relnamespace = here.oid
     WHERE relname = ANY ($1::text[]) AND relkind = 'r'
), dropped_columns AS (
    SELECT attrelid, attnum FROM pg_class
      JOIN here ON relnamespace = here.oid
      JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
     WHERE relname || '.' || attname = ANY ($2::text[])
), functions AS MATERIALIZED (
    -- Otherwise the arguments of every function of PostgreSQL are written out.
    SELECT pg_proc.oid, proname FROM pg_proc JOIN here ON pronamespace = here.oid
), dropped_functions AS (
    SELECT oid FROM functions
     WHERE proname || '(' || pg_get_function_identity_arguments(oid) || ')' = ANY ($3::text[])
), going (classid, objid, objsubid) AS (
    SELECT 'pg_class'::regclass::oid, oid, 0 FROM dropped_tables
    UNION
    SELECT 'pg_class'::regclass::oid, attrelid, attnum::integer FROM dropped_columns
    UNION
    SELECT 'pg_proc'::regclass::oid, oid, 0 FROM dropped_functions
    UNION
    SELECT dependant.classid, dependant.objid, dependant.objsubid
      FROM going
      JOIN pg_depend AS dependant
        ON refclassid = going.classid AND refobjid = going.objid
       AND (going.objsubid = 0 OR refobjsubid = going.objsubid)
     -- Some parts of a table depend on others of it, and a dropped column does not drop its table.
     WHERE NOT (dependant.classid = going.classid AND dependant.objid = going.objid
                AND dependant.objsubid = 0)
), ours (classid, objid) AS (
    SELECT 'pg_attrdef'::regclass::oid, oid FROM pg_attrdef
     WHERE adrelid IN (SELECT oid FROM dropped_tables)
        -- A migration changes the default of a column before it drops what the default uses.
        OR EXISTS (SELECT FROM pg_class
                     JOIN here ON relnamespace = here.oid
                     JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = adnum
                    WHERE pg_class.oid = adrelid AND relname || '.' || attname = ANY ($6::text[]))
    UNION ALL
    SELECT 'pg_constraint'::regclass::oid, pg_constraint.oid
      FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
     WHERE conrelid IN (SELECT oid FROM dropped_tables) OR conname || ' on ' || relname = ANY ($5::text[])
    UNION ALL
    SELECT 'pg_trigger'::regclass::oid, pg_trigger.oid
      FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
     WHERE tgisinternal OR tgname || ' on ' || relname = ANY ($5::text[])
    UNION ALL
    SELECT 'pg_class'::regclass::oid, pg_class.oid
      FROM pg_class JOIN here ON relnamespace = here.oid WHERE relname = ANY ($4::text[])
    UNION ALL
    SELECT 'pg_class'::regclass::oid, indexrelid
      FROM pg_index JOIN pg_constraint ON conindid = indexrelid AND conrelid = indrelid
     WHERE indrelid IN (SELECT oid FROM dropped_tables)
)
SELECT DISTINCT
       CASE WHEN classid = 'pg_rewrite'::regclass
            THEN (SELECT CASE WHEN rulename = '_RETURN' THEN pg_describe_object('pg_class'::regclass, ev_class, 0)
                              ELSE pg_describe_object(classid, objid, 0) END
                    FROM pg_rewrite WHERE oid = objid)
            ELSE pg_describe_object(classid, objid, objsubid) END
  FROM going
 WHERE NOT (classid = 'pg_class'::regclass AND objid IN (SELECT oid FROM dropped_tables))
   AND NOT (classid = 'pg_class'::regclass AND objsubid > 0
            AND (objid, objsubid) IN (SELECT attrelid, attnum FROM dropped_columns))
   AND NOT (classid = 'pg_proc'::regclass AND objid IN (SELECT oid FROM dropped_functions))
   AND NOT (classid = 'pg_class'::regclass
            AND objid IN (SELECT oid FROM pg_class WHERE relkind = 't'
                           UNION ALL
                          SELECT indexrelid FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
                           WHERE relkind = 't'))
   AND classid <> 'pg_type'::regclass
   AND (classid, objid) NOT IN (SELECT classid, objid FROM ours)
 ORDER BY 1
