/*
 * nr_codec.c
 *		Keys and values as bytes, and back.
 *
 * KEYS are the bytes that make two keys equal or different: native integers,
 * 16 bytes of a uuid, the characters of a text without header.  (Equality of
 * the key types under a deterministic collation is equality of these bytes; see
 * nr_key_type.c.)
 *
 * VALUES.  One value column: no bytes at all for NULL, else the column.  Several:
 * a bitmap with a bit set for each column that is not NULL, then these columns.
 * A column is stored without alignment: pass-by-value and fixed-length types as
 * their typlen bytes; a varlena as its image with a header of one byte when it is
 * short, as in a heap tuple, else of four.  An empty text thus has one byte and
 * differs from NULL.  Nothing that points elsewhere may get in: a TOAST pointer
 * would outlive the table it points into, so varlenas are fetched and
 * decompressed first.  (Composites, arrays and ranges never hold such pointers
 * inside: PostgreSQL flattens them when it makes them.)
 */
#include "nr_fn.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

/* ---- keys ---- */

static void
check_key_bytes(const NrCacheDef *def, size_t bytes)
{
	if (likely(bytes <= DS_HASH_KEY_MAX))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("key of %zu bytes is too long for cache \"%s\"", bytes, def->relname),
			 errdetail("A key has at most %d bytes.", DS_HASH_KEY_MAX),
			 errhint("Use a hash of the value as the key, such as md5() or sha256().")));
}

void
nr_key_of_varlena(const NrCacheDef *def, Datum key, NrKey *out)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(key);

	check_key_bytes(def, VARSIZE_ANY_EXHDR(v));
	out->data = VARDATA_ANY(v);
	out->bytes = VARSIZE_ANY_EXHDR(v);
}

uint32
nr_bpchar_bytes(const struct varlena *key)
{
	return bpchartruelen(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

void
nr_key_of_bpchar(const NrCacheDef *def, Datum key, NrKey *out)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(key);

	out->data = VARDATA_ANY(v);
	out->bytes = nr_bpchar_bytes(v);
	check_key_bytes(def, out->bytes);
}

/* Padded with blanks to the type's length, which counts characters. */
static Datum
bpchar_decode(const NrCacheDef *def, const char *data, uint32 bytes)
{
	int			pad = def->key_chars > 0 ? def->key_chars - pg_mbstrlen_with_len(data, bytes) : 0;
	size_t		size = VARHDRSZ + bytes + Max(pad, 0);
	char	   *key = palloc(size);

	SET_VARSIZE(key, size);
	memcpy(key + VARHDRSZ, data, bytes);
	if (pad > 0)
		memset(key + VARHDRSZ + bytes, ' ', pad);
	return PointerGetDatum(key);
}

void
nr_key_encode(const NrCache *cache, Datum key, NrKey *out)
{
	nr_key_encode_as(cache->def->key_kind, cache, key, out);
}

Datum
nr_key_decode(const NrCacheDef *def, const char *data, uint32 bytes)
{
	switch (def->key_kind)
	{
		case NR_KEY_INT8:
			return nr_fetch_byval(data, sizeof(int64));
		case NR_KEY_INT4:
			return nr_fetch_byval(data, sizeof(int32));
		case NR_KEY_INT2:
			return nr_fetch_byval(data, sizeof(int16));
		case NR_KEY_INT1:
			return nr_fetch_byval(data, sizeof(char));
		case NR_KEY_FIXED:
			return PointerGetDatum(memcpy(palloc(bytes), data, bytes));
		case NR_KEY_VARLENA:
			return PointerGetDatum(cstring_to_text_with_len(data, bytes));
		case NR_KEY_BPCHAR:
			return bpchar_decode(def, data, bytes);
		case NR_KEY_NAME:
			return PointerGetDatum(memcpy(palloc0(NAMEDATALEN), data, bytes));
	}
	pg_unreachable();
}

/* ---- values: in ---- */

/* May this column have one-byte headers?  Types with plain storage do not expect them. */
static inline bool
column_may_be_short(const NrCacheDef *def, const NrColumn *col)
{
	return TupleDescAttr(def->tupdesc, col->attnum - 1)->attstorage != TYPSTORAGE_PLAIN;
}

size_t
nr_column_measure(const NrCacheDef *def, const NrColumn *col, Datum *value)
{
	if (col->typlen > 0)
		return col->typlen;
	if (col->typlen == -1)
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(*value);

		*value = PointerGetDatum(v);
		if (!VARATT_IS_1B(v) && VARATT_CAN_MAKE_SHORT(v) && column_may_be_short(def, col))
			return VARATT_CONVERTED_SHORT_SIZE(v);
		return VARSIZE_ANY(v);
	}
	return strlen(DatumGetCString(*value)) + 1;
}

/* The reverse of nr_fetch_byval. */
static inline char *
store_byval(char *to, Datum value, int16 typlen)
{
	int64		v8 = DatumGetInt64(value);
	int32		v4 = DatumGetInt32(value);
	int16		v2 = DatumGetInt16(value);

	switch (typlen)
	{
		case 8:
			memcpy(to, &v8, sizeof(v8));
			break;
		case 4:
			memcpy(to, &v4, sizeof(v4));
			break;
		case 2:
			memcpy(to, &v2, sizeof(v2));
			break;
		default:
			*to = DatumGetChar(value);
			break;
	}
	return to + typlen;
}

/* Returns where the column ends.  The value is as nr_column_measure left it. */
char *
nr_column_store(const NrCacheDef *def, const NrColumn *col, Datum value, char *to)
{
	size_t		bytes;

	if (col->typbyval)
		return store_byval(to, value, col->typlen);
	if (col->typlen == -1)
	{
		struct varlena *v = (struct varlena *) DatumGetPointer(value);

		if (!VARATT_IS_1B(v) && VARATT_CAN_MAKE_SHORT(v) && column_may_be_short(def, col))
		{
			bytes = VARATT_CONVERTED_SHORT_SIZE(v);
			SET_VARSIZE_SHORT(to, bytes);
			memcpy(to + 1, VARDATA(v), bytes - 1);
			return to + bytes;
		}
		bytes = VARSIZE_ANY(v);
	}
	else if (col->typlen > 0)
		bytes = col->typlen;
	else
		bytes = strlen(DatumGetCString(value)) + 1;
	memcpy(to, DatumGetPointer(value), bytes);
	return to + bytes;
}

static inline size_t
bitmap_bytes(const NrCacheDef *def)
{
	return (def->nvalues + 7) / 8;
}

size_t
nr_value_measure(const NrCacheDef *def, Datum *values, const bool *isnull)
{
	size_t		bytes = def->nvalues > 1 ? bitmap_bytes(def) : 0;

	for (int i = 0; i < def->nvalues; i++)
	{
		const NrColumn *col = &def->values[i];
		int			at = col->attnum - 1;

		if (!isnull[at])
			bytes += nr_column_measure(def, col, &values[at]);
	}
	return bytes;
}

void
nr_value_store(const NrCacheDef *def, const Datum *values, const bool *isnull, char *to)
{
	char	   *bitmap = to;

	if (def->nvalues > 1)
	{
		to += bitmap_bytes(def);
		memset(bitmap, 0, to - bitmap);
	}
	for (int i = 0; i < def->nvalues; i++)
	{
		const NrColumn *col = &def->values[i];
		int			at = col->attnum - 1;

		if (isnull[at])
			continue;
		if (def->nvalues > 1)
			bitmap[i / 8] |= 1 << (i % 8);
		to = nr_column_store(def, col, values[at], to);
	}
}

void
nr_check_entry_bytes(const NrCacheDef *def, size_t key_bytes, size_t value_bytes)
{
	size_t		limit = Min((size_t) nr_guc_max_entry_bytes,
							ds_hash_entry_max(nr_engine.geo.extent_shift));

	if (likely(key_bytes + value_bytes <= limit))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("entry of %zu bytes is too large for cache \"%s\"",
					key_bytes + value_bytes, def->relname),
			 errdetail("Key and value together may have %zu bytes.", limit),
			 limit == (size_t) nr_guc_max_entry_bytes ?
			 errhint("Raise \"%s\" and restart the server.", "nr_cache.max_entry") : 0));
}

char *
nr_value_encode(const NrCacheDef *def, const Datum *values, const bool *isnull, uint32 *bytes)
{
	int			natts = def->tupdesc->natts;
	Datum	   *flat = palloc(natts * sizeof(Datum));
	size_t		n;
	char	   *to;

	memcpy(flat, values, natts * sizeof(Datum));
	n = nr_value_measure(def, flat, isnull);
	nr_check_entry_bytes(def, 0, n);
	to = palloc(n + 1);			/* NULL has no bytes, but palloc(0) is a waste of thought */
	nr_value_store(def, flat, isnull, to);
	pfree(flat);
	*bytes = n;
	return to;
}

/* ---- values: out ---- */

/* Copy a column out; *data moves behind it. */
static Datum
column_fetch(const NrColumn *col, const char **data)
{
	const char *from = *data;
	size_t		bytes;
	char	   *copy;

	if (col->typbyval)
	{
		*data += col->typlen;
		return nr_fetch_byval(from, col->typlen);
	}
	if (col->typlen == -1)
		bytes = nr_stored_varlena_bytes(from);
	else if (col->typlen > 0)
		bytes = col->typlen;
	else
		bytes = strlen(from) + 1;
	copy = palloc(bytes);
	memcpy(copy, from, bytes);
	*data += bytes;
	return PointerGetDatum(copy);
}

void
nr_value_decode(const NrCacheDef *def, const char *data, uint32 bytes, Datum *values, bool *isnull)
{
	const char *bitmap = data;

	if (def->nvalues > 1)
		data += bitmap_bytes(def);
	for (int i = 0; i < def->nvalues; i++)
	{
		const NrColumn *col = &def->values[i];
		int			at = col->attnum - 1;

		isnull[at] = def->nvalues > 1 ? (bitmap[i / 8] & (1 << (i % 8))) == 0 : bytes == 0;
		values[at] = isnull[at] ? (Datum) 0 : column_fetch(col, &data);
	}
}

Datum
nr_value_datum(const NrCacheDef *def, const NrKey *key, const char *data, uint32 bytes, bool *isnull)
{
	TupleDesc	desc = def->tupdesc;
	Datum	   *values;
	bool	   *nulls;

	if (def->nvalues == 1)
	{
		*isnull = (bytes == 0);
		return *isnull ? (Datum) 0 : column_fetch(&def->values[0], &data);
	}

	values = palloc0(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	memset(nulls, true, desc->natts * sizeof(bool));	/* dropped columns */
	nr_value_decode(def, data, bytes, values, nulls);
	values[def->key.attnum - 1] = nr_key_decode(def, key->data, key->bytes);
	nulls[def->key.attnum - 1] = false;
	*isnull = false;
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}
