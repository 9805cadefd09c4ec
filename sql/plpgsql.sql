--
-- Caches in PL/pgSQL and SQL functions, procedures, triggers and policies.
--
CREATE SCHEMA t_pl;
SET search_path = t_pl, public;

CREATE FOREIGN TABLE price (id bigint, cents bigint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
CREATE FOREIGN TABLE label (id text, name text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');

-- loops
DO $$
DECLARE
    total bigint := 0;
BEGIN
    FOR i IN 1..1000 LOOP
        PERFORM nr_put('price', i, i * 10);
    END LOOP;
    FOR i IN 1..2000 LOOP
        total := total + nr_get('price', i, 0::bigint);
    END LOOP;
    RAISE NOTICE 'total %', total;
END $$;

-- a cache in a variable, in several loops of one function
CREATE FUNCTION sum_of(c regclass, n int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    total bigint := 0;
BEGIN
    FOR i IN 1..n LOOP
        total := total + nr_get(c, i, 0::bigint);
    END LOOP;
    RETURN total;
END $$;
CREATE FOREIGN TABLE price2 (id bigint, cents bigint) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('price2', 1, 7);
SELECT sum_of('price', 10), sum_of('price2', 10), sum_of('price', 10);
SELECT sum_of(c, 3) FROM unnest('{price,price2,price,price2}'::regclass[]) c;

-- exceptions: each block is a subtransaction, and sites are found out anew
DO $$
DECLARE
    good int := 0;
    bad int := 0;
BEGIN
    FOR i IN 1..100 LOOP
        BEGIN
            PERFORM nr_put('price', 'key ' || i, 1);
            good := good + 1;
        EXCEPTION WHEN invalid_text_representation THEN
            bad := bad + 1;
        END;
        BEGIN
            PERFORM nr_put('label', i::text, 'label ' || i);
            good := good + nr_get('price', i, 0::bigint)::int;
            IF i % 3 = 0 THEN
                RAISE division_by_zero;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
            bad := bad + 1;
        END;
    END LOOP;
    RAISE NOTICE 'good %, bad %, labels %', good, bad,
        (SELECT count(nr_get('label', i::text)) FROM generate_series(1, 100) i);
END $$;

-- the same statement fails, and then does not
CREATE FUNCTION try_get(k text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN nr_get('price', k, -1::bigint);
EXCEPTION WHEN others THEN
    RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT k, try_get(k) FROM unnest('{1,x,2,99999999999999999999,3,5000}'::text[]) k;
CREATE FUNCTION try_wrong(i int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    FOR n IN 1..3 LOOP
        BEGIN
            answer := nr_get('price', i, 0);
        EXCEPTION WHEN datatype_mismatch THEN
            answer := coalesce(answer, '') || ' ' || sqlerrm;
        END;
    END LOOP;
    RETURN answer;
END $$;
SELECT try_wrong(1);

-- ROLLBACK TO SAVEPOINT and use again, in one function by way of exceptions and in one transaction
BEGIN;
SELECT sum_of('price', 5);
SAVEPOINT a;
SELECT sum_of('price', 5), nr_put('label', 'sp', '1');
ROLLBACK TO a;
SELECT sum_of('price', 5), nr_get('label', 'sp');
RELEASE a;
SELECT sum_of('price', 5);
COMMIT;

-- procedures that commit between two calls of one site
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
DECLARE
    total bigint := 0;
BEGIN
    FOR i IN 1..10 LOOP
        PERFORM nr_put('price', 10000 + i, i);
        total := total + nr_get('price', 10000 + i, 0::bigint) + nr_get('price', i, 0::bigint);
        IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
    END LOOP;
    RAISE NOTICE 'total %', total;
END $$;
CALL commits();

-- DROP and CREATE of the same name between two calls
CREATE FUNCTION reads_it(k int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN nr_get('again', k);
END $$;
CREATE FOREIGN TABLE again (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('again', 1, 'first');
SELECT reads_it(1);
DROP FOREIGN TABLE again;
SELECT reads_it(1);
CREATE FOREIGN TABLE again (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT reads_it(1);
SELECT nr_put('again', 1, 'second');
SELECT reads_it(1);
-- with other types
DROP FOREIGN TABLE again;
CREATE FOREIGN TABLE again (k text, v numeric) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('again', '1', 1.5);
SELECT reads_it(1);
-- within one function
CREATE FUNCTION drops_it() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3 LOOP
        CREATE FOREIGN TABLE flux (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
        RETURN NEXT coalesce(nr_get('flux', 1), 'empty');
        PERFORM nr_put('flux', 1, 'round ' || i);
        RETURN NEXT nr_get('flux', 1);
        DROP FOREIGN TABLE flux;
    END LOOP;
END $$;
SELECT drops_it();
BEGIN;
SELECT drops_it();
ROLLBACK;
SELECT drops_it();
-- one whose creation was rolled back
BEGIN;
CREATE FOREIGN TABLE gone (k int, v text) SERVER nr_cache OPTIONS (scheme 'nr', visibility 'immediate');
SELECT nr_put('gone', 1, 'x'), nr_get('gone', 1);
ROLLBACK;
SELECT nr_get('gone', 1);
-- and whose drop was
BEGIN;
SELECT nr_put('again', '2', 2);
DROP FOREIGN TABLE again;
ROLLBACK;
SELECT nr_get('again', '1'), nr_get('again', '2');

-- ALTER between two calls of one function
CREATE FUNCTION reads_row(k text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN nr_get('again', k);
END $$;
SELECT reads_row('1');
ALTER FOREIGN TABLE again ADD COLUMN w int;
SELECT reads_row('1');
SELECT nr_put('again', ROW('1', 2.5, 3));
SELECT reads_row('1');
ALTER FOREIGN TABLE again RENAME TO renamed;
SELECT reads_row('1');
ALTER FOREIGN TABLE renamed RENAME TO again;
SELECT reads_row('1');

-- SQL functions, inlined and not; polymorphic ones too
CREATE FUNCTION sql_get(k bigint) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT nr_get('price', k, 0::bigint) $$;
CREATE FUNCTION sql_put(k bigint, v bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT nr_put('price', k, v) $$;
CREATE FUNCTION any_get(c regclass, k anynonarray, fallback anycompatible) RETURNS anycompatible LANGUAGE sql AS $$ SELECT nr_get(c, k, fallback) $$;
CREATE FUNCTION any_get_pl(c regclass, k anynonarray, fallback anycompatible) RETURNS anycompatible LANGUAGE plpgsql AS $$ BEGIN RETURN nr_get(c, k, fallback); END $$;
SELECT sum(sql_get(i)) FROM generate_series(1, 100) i;
SELECT sql_put(7, 77), sql_get(7);
SELECT any_get('price', 7, 0::bigint), any_get('label', '5'::text, 'none'::text), any_get_pl('price', 7::bigint, 0::bigint), any_get_pl('label', '6'::text, 'none'::text);

-- triggers
CREATE TABLE orders (id int, item bigint, cents bigint);
CREATE FUNCTION fill_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.cents := nr_get('price', NEW.item, NULL::bigint);
    RETURN NEW;
END $$;
CREATE TRIGGER fill_in BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fill_in();
INSERT INTO orders SELECT i, i * 2 FROM generate_series(1, 5) i RETURNING *;
INSERT INTO orders VALUES (6, 12345678) RETURNING *;

-- defaults, checks, generated columns' cousins: wherever an expression may stand
CREATE TABLE with_default (id int, name text DEFAULT nr_get('label', '1'), CHECK (nr_get('label', id::text) IS NOT NULL));
INSERT INTO with_default (id) VALUES (2) RETURNING *;
INSERT INTO with_default (id) VALUES (200000);

-- a function that raises the privileges of its caller: single keys only
CREATE ROLE regress_nr_pl;
GRANT USAGE ON SCHEMA t_pl TO regress_nr_pl;
CREATE FUNCTION label_of(k text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = t_pl, public AS $$ SELECT nr_get('label', k) $$;
SET ROLE regress_nr_pl;
SELECT label_of('3');
SELECT nr_get('label', '3');
SELECT label_of(i::text) FROM generate_series(3, 5) i;
RESET ROLE;

DROP OWNED BY regress_nr_pl;
DROP ROLE regress_nr_pl;
SELECT nr_check('price'), nr_check('label');
SET client_min_messages = warning;
DROP SCHEMA t_pl CASCADE;
RESET client_min_messages;
RESET search_path;
