/*
 * nr_key_type.c
 *		Which types a key can have, and why the others cannot.
 *
 * A cache compares keys byte by byte, so a type can be a key's when its equal
 * values have equal bytes, or can be given equal bytes from which an equal value
 * is made again.  That is a fact about each type's equality function, so types
 * are listed here one by one; nothing is taken for granted about types that are
 * not, not even when they have the same representation as one that is.
 *
 * Why of some: inet and cidr compare family, netmask and all address bits, which
 * is what they store.  timetz compares the moment first but then the zone too, so
 * equal values have equal bytes (unlike interval).  An enum's value is an OID,
 * which a new name does not change.  char(n) ignores blanks at its end: they are
 * not stored, and a key that comes out is padded again.
 */
#include "nr_internal.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define KEY_TYPES_HINT \
	"A key can be of type boolean, smallint, integer, bigint, oid, text, character varying, character, name, \"char\", bytea, uuid, " \
	"date, time or timestamp with or without time zone, inet, cidr, macaddr, macaddr8, an enum, or a domain over one of these."

/* False: not a type that is known to be fit for a key. */
static bool
kind_of_type(Oid basetypid, NrKeyKind *kind)
{
	switch (basetypid)
	{
		case BOOLOID:
		case CHAROID:
			*kind = NR_KEY_INT1;
			return true;
		case INT2OID:
			*kind = NR_KEY_INT2;
			return true;
		case INT4OID:
		case OIDOID:
		case DATEOID:
			*kind = NR_KEY_INT4;
			return true;
		case INT8OID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*kind = NR_KEY_INT8;
			return true;
		case UUIDOID:
		case MACADDROID:
		case MACADDR8OID:
		case TIMETZOID:
			*kind = NR_KEY_FIXED;
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BYTEAOID:
		case INETOID:
		case CIDROID:
			*kind = NR_KEY_VARLENA;
			return true;
		case BPCHAROID:
			*kind = NR_KEY_BPCHAR;
			return true;
		case NAMEOID:
			*kind = NR_KEY_NAME;
			return true;
		default:
			*kind = NR_KEY_INT4;
			return get_typtype(basetypid) == TYPTYPE_ENUM;
	}
}

static void
refuse_type(Oid basetypid, Form_pg_attribute att)
{
	const char *type = format_type_be(basetypid);
	const char *why;

	switch (basetypid)
	{
		case FLOAT4OID:
		case FLOAT8OID:
			why = "and 0 and -0 are equal but have different bytes";
			break;
		case NUMERICOID:
			why = "and equal numbers of different scales, such as 1.0 and 1.00, have different bytes";
			break;
		case INTERVALOID:
			why = "and equal intervals, such as '1 day' and '24 hours', have different bytes";
			break;
		case JSONBOID:
			why = "and equal documents, such as 1.0 and 1.00, have different bytes";
			break;
		default:
			if (!OidIsValid(lookup_type_cache(basetypid, TYPECACHE_EQ_OPR)->eq_opr))
				why = psprintf("and type %s has no equality that bytes could stand for", type);
			else if (OidIsValid(get_element_type(basetypid)) || type_is_rowtype(basetypid) ||
					 type_is_range(basetypid) || type_is_multirange(basetypid))
				why = psprintf("but equality of type %s is that of the values inside", type);
			else
				why = psprintf("but equality of type %s need not be equality of bytes", type);
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of type %s cannot be the key of a cache",
					NameStr(att->attname), format_type_be(att->atttypid)),
			 errdetail("A cache compares keys byte by byte, %s.", why),
			 errhint("%s", KEY_TYPES_HINT)));
}

void
nr_key_type(NrCacheDef *def, Form_pg_attribute att)
{
	int32		typmod = att->atttypmod;
	Oid			basetypid = getBaseTypeAndTypmod(att->atttypid, &typmod);

	if (!kind_of_type(basetypid, &def->key_kind))
		refuse_type(basetypid, att);
	if (OidIsValid(att->attcollation) && !get_collation_isdeterministic(att->attcollation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" with a nondeterministic collation cannot be the key of a cache",
						NameStr(att->attname)),
				 errdetail("A cache compares keys byte by byte, and such a collation may call texts equal that have different bytes."),
				 errhint("Give the column a deterministic collation, such as \"C\".")));
	if (def->key_kind == NR_KEY_BPCHAR && typmod >= (int32) VARHDRSZ)
		def->key_chars = typmod - VARHDRSZ;
}
