-- nr_check on every cache of this database; an error or a false fails.
SELECT c.oid::regclass AS cache, nr_check(c.oid::regclass)
  FROM pg_class c
  JOIN pg_foreign_table t ON t.ftrelid = c.oid
  JOIN pg_foreign_server s ON s.oid = t.ftserver
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 WHERE w.fdwname = 'nr_cache'
 ORDER BY 1;
