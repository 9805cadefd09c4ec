/*
 * nr_row.h
 *		Rows of the set-returning functions behind the views, put together column by column.
 */
#ifndef NR_ROW_H
#define NR_ROW_H

#include "nr_internal.h"

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "utils/builtins.h"

typedef struct Row
{
	ReturnSetInfo *rsinfo;
	int			n;
	Datum		values[32];
	bool		nulls[32];
} Row;

static inline void
row_begin(Row *row, FunctionCallInfo fcinfo)
{
	nr_require_shmem();
	InitMaterializedSRF(fcinfo, 0);
	row->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	row->n = 0;
}

static inline void
put_datum(Row *row, Datum value)
{
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

static inline void
put_null(Row *row)
{
	row->nulls[row->n] = true;
	row->values[row->n++] = (Datum) 0;
}

static inline void
put_int8(Row *row, uint64 value)
{
	put_datum(row, Int64GetDatum((int64) value));
}

static inline void
put_int4(Row *row, uint32 value)
{
	put_datum(row, Int32GetDatum((int32) value));
}

static inline void
put_text(Row *row, const char *value)
{
	if (value == NULL)
		put_null(row);
	else
		put_datum(row, CStringGetTextDatum(value));
}

/* The process behind a session, NULL if there is none. */
static inline void
put_pid(Row *row, uint32 session_idx)
{
	NrSessionInfo info;

	if (session_idx >= nr_engine.geo.sessions)
	{
		put_null(row);
		return;
	}
	nr_session_info(&nr_engine, session_idx, &info);
	if (info.used && info.owner_pid != 0)
		put_int4(row, info.owner_pid);
	else
		put_null(row);
}

/* database, cache, relid */
static inline void
put_cache(Row *row, const NrRegEntry *entry)
{
	char	   *database = get_database_name(entry->dboid);

	if (database == NULL)
		put_null(row);
	else
		put_datum(row, DirectFunctionCall1(namein, CStringGetDatum(database)));
	if (entry->dboid == MyDatabaseId)
		put_datum(row, ObjectIdGetDatum(entry->relid));
	else
		put_null(row);
	put_datum(row, ObjectIdGetDatum(entry->relid));
}

static inline void
row_end(Row *row)
{
	tuplestore_putvalues(row->rsinfo->setResult, row->rsinfo->setDesc, row->values, row->nulls);
	row->n = 0;
	CHECK_FOR_INTERRUPTS();
}

#endif							/* NR_ROW_H */
