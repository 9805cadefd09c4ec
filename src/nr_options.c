/*
 * nr_options.c
 *		Options of servers, foreign tables and columns: the FDW's validator, and
 *		reading them.
 *
 * The validator sees the options of one table as they will be, and only those;
 * what depends on the columns is checked in nr_def.c.  It must work without
 * shared memory, for pg_upgrade.
 */
#include "nr_internal.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define SIZE_KB_MIN		64

typedef struct NrOption
{
	const char *name;
	Oid			catalog;
	void		(*check) (DefElem *def);
} NrOption;

static void check_scheme(DefElem *def);
static void check_copies(DefElem *def);
static void check_aliasing(DefElem *def);
static void check_visibility(DefElem *def);
static void check_size(DefElem *def);
static void check_reserved(DefElem *def);
static void check_key(DefElem *def);

static const NrOption nr_options[] = {
	{"scheme", ForeignTableRelationId, check_scheme},
	{"copies", ForeignTableRelationId, check_copies},
	{"aliasing", ForeignTableRelationId, check_aliasing},
	{"visibility", ForeignTableRelationId, check_visibility},
	{"memory", ForeignTableRelationId, check_size},
	{"log_size", ForeignTableRelationId, check_size},
	/* named in the design, so that nobody uses the names for something else */
	{"structure", ForeignTableRelationId, check_reserved},
	{"on_full", ForeignTableRelationId, check_reserved},
	{"ttl", ForeignTableRelationId, check_reserved},
	{"read", ForeignTableRelationId, check_reserved},
	{"logs", ForeignTableRelationId, check_reserved},
	{"key", AttributeRelationId, check_key},
};

/* By NrScheme and NrVisibility. */
static const char *const scheme_names[] = {"nr", "left_right"};
static const char *const visibility_names[] = {"commit", "immediate", "manual"};

/* Those that can be given, for hints. */
static const char *
option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(nr_options); i++)
		if (nr_options[i].catalog == catalog && nr_options[i].check != check_reserved)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", nr_options[i].name);
	return names.data;
}

/* ---- values ---- */

static void
value_invalid(DefElem *def, const char *valid)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, defGetString(def)),
			 errhint("Valid values are: %s.", valid)));
}

/* Index of the option's value among n names, -1 when it is none of them. */
static int
value_index(DefElem *def, const char *const *names, int n)
{
	const char *value = defGetString(def);

	for (int i = 0; i < n; i++)
		if (strcmp(value, names[i]) == 0)
			return i;
	return -1;
}

static void
check_scheme(DefElem *def)
{
	if (value_index(def, scheme_names, lengthof(scheme_names)) < 0)
		value_invalid(def, "nr, left_right");
}

static void
check_copies(DefElem *def)
{
	const char *value = defGetString(def);

	if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0)
		value_invalid(def, "1, 2");
}

static void
check_aliasing(DefElem *def)
{
	bool		value;

	if (!parse_bool(defGetString(def), &value))
		value_invalid(def, "on, off");
}

static void
check_visibility(DefElem *def)
{
	if (value_index(def, visibility_names, lengthof(visibility_names)) < 0)
		value_invalid(def, "commit, immediate, manual");
}

static void
check_size(DefElem *def)
{
	const char *hint = NULL;
	int			kb;

	if (!parse_int(defGetString(def), &kb, GUC_UNIT_KB, &hint))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, defGetString(def)),
				 hint ? errhint("%s", hint) : errhint("Give a size such as '64MB'.")));
	if (kb < SIZE_KB_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, defGetString(def)),
				 errhint("Give at least '%dkB'.", SIZE_KB_MIN)));
}

static void
check_reserved(DefElem *def)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("option \"%s\" is not supported yet", def->defname),
			 errhint("Leave it out. Options of a cache are: %s.", option_names(ForeignTableRelationId))));
}

static void
check_key(DefElem *def)
{
	bool		value;

	if (!parse_bool(defGetString(def), &value))
		value_invalid(def, "true, false");
}

/*
 * What the options of a table say together; each by itself is right.  Who writes
 * "aliasing 'on'" believes in two copies; "off" is true of one copy, too.
 */
static void
check_together(List *options)
{
	const char *scheme = scheme_names[NR_SCHEME_NR];
	const char *copies = NULL;
	bool		aliasing = false;
	bool		left_right;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "scheme") == 0)
			scheme = defGetString(def);
		else if (strcmp(def->defname, "copies") == 0)
			copies = defGetString(def);
		else if (strcmp(def->defname, "aliasing") == 0)
			(void) parse_bool(defGetString(def), &aliasing);
	}
	left_right = strcmp(scheme, scheme_names[NR_SCHEME_LEFT_RIGHT]) == 0;
	if (left_right && copies != NULL && strcmp(copies, "1") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a cache of scheme 'left_right' cannot have copies '1'"),
				 errdetail("Of its two copies, one is read while the other is written."),
				 errhint("Leave out the option \"copies\", or use scheme 'nr'.")));
	if (aliasing && !left_right && (copies == NULL || strcmp(copies, "1") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a cache of one copy cannot have aliasing 'on'"),
				 errdetail("Aliasing is what two copies share, instead of each having its own."),
				 errhint("Leave out the option \"aliasing\", or use copies '2' or scheme 'left_right'.")));
}

/* ---- validator ---- */

static void
unknown_option(const char *name, Oid catalog)
{
	const char *valid = option_names(catalog);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid[0] != '\0'
			 ? errhint("Valid options in this context are: %s.", valid)
			 : errhint("There are no valid options in this context. Options of a cache are: %s; of its key column: %s.",
					   option_names(ForeignTableRelationId), option_names(AttributeRelationId))));
}

PG_FUNCTION_INFO_V1(nr_cache_fdw_validator);

Datum
nr_cache_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const NrOption *option = NULL;

		for (int i = 0; i < lengthof(nr_options) && option == NULL; i++)
			if (nr_options[i].catalog == catalog && strcmp(nr_options[i].name, def->defname) == 0)
				option = &nr_options[i];
		if (option == NULL)
			unknown_option(def->defname, catalog);
		option->check(def);
	}
	if (catalog == ForeignTableRelationId)
		check_together(options);
	PG_RETURN_VOID();
}

/* ---- reading ---- */

void
nr_table_options(List *options, NrTableOptions *out)
{
	bool		aliasing = true;
	ListCell   *lc;

	memset(out, 0, sizeof(*out));
	out->scheme = NR_SCHEME_NR;
	out->visibility = NR_VISIBLE_COMMIT;
	out->copies = 1;
	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "scheme") == 0)
			out->scheme = value_index(def, scheme_names, lengthof(scheme_names));
		else if (strcmp(def->defname, "visibility") == 0)
			out->visibility = value_index(def, visibility_names, lengthof(visibility_names));
		else if (strcmp(def->defname, "copies") == 0)
			out->copies = pg_strtoint32(defGetString(def));
		else if (strcmp(def->defname, "aliasing") == 0)
			(void) parse_bool(defGetString(def), &aliasing);
		else if (strcmp(def->defname, "memory") == 0)
			(void) parse_int(defGetString(def), &out->memory_kb, GUC_UNIT_KB, NULL);
		else if (strcmp(def->defname, "log_size") == 0)
			(void) parse_int(defGetString(def), &out->log_size_kb, GUC_UNIT_KB, NULL);
	}
	if (out->scheme == NR_SCHEME_LEFT_RIGHT)
		out->copies = 2;
	out->aliased = aliasing && out->copies == 2;
	if (out->log_size_kb == 0)
		out->log_size_kb = nr_guc_log_size_kb;
}

const char *
nr_scheme_name(NrScheme scheme)
{
	return scheme_names[scheme];
}

const char *
nr_visibility_name(NrVisibility visibility)
{
	return visibility_names[visibility];
}

bool
nr_column_is_key(List *options)
{
	bool		is_key = false;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "key") == 0)
			(void) parse_bool(defGetString(def), &is_key);
	}
	return is_key;
}
