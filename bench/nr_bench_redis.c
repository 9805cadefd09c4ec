/*
 * nr_bench_redis.c
 *		Redis from SQL: a GET and a SET over one connection that the backend keeps, by
 *		hiredis.  Only in builds with NR_BENCH=1, where hiredis is installed.
 *
 * The server's Unix socket is the setting "bench.redis_socket".
 */
#include "nr_compat.h"

#include "utils/builtins.h"
#include "utils/guc.h"

#include <hiredis/hiredis.h>

PG_FUNCTION_INFO_V1(nr_bench_redis_get);
PG_FUNCTION_INFO_V1(nr_bench_redis_put);

static redisContext *redis = NULL;

/* A command and its answer, which the caller frees; an error of either kind ends the connection. */
static redisReply *
command(int argc, const char **argv, const size_t *bytes)
{
	const char *path = GetConfigOption("bench.redis_socket", true, false);
	redisReply *reply;
	char		problem[128];

	if (redis == NULL && path == NULL)
		elog(ERROR, "bench.redis_socket is not set");
	if (redis == NULL)
		redis = redisConnectUnix(path);
	if (redis == NULL)
		elog(ERROR, "no memory for a connection to Redis");
	reply = redis->err != 0 ? NULL : redisCommandArgv(redis, argc, argv, bytes);
	if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
		return reply;

	strlcpy(problem, reply != NULL ? reply->str : redis->errstr, sizeof(problem));
	if (reply != NULL)
		freeReplyObject(reply);
	redisFree(redis);
	redis = NULL;
	elog(ERROR, "Redis: %s", problem);
	return NULL;
}

/* get(key text) returns text; NULL when there is none */
Datum
nr_bench_redis_get(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	const char *argv[] = {"GET", VARDATA_ANY(key)};
	size_t		bytes[] = {3, VARSIZE_ANY_EXHDR(key)};
	redisReply *reply = command(2, argv, bytes);
	text	   *value = NULL;

	if (reply->type == REDIS_REPLY_STRING)
		value = cstring_to_text_with_len(reply->str, (int) reply->len);
	freeReplyObject(reply);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(value);
}

/* put(key text, value text) returns bool */
Datum
nr_bench_redis_put(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);
	text	   *value = PG_GETARG_TEXT_PP(1);
	const char *argv[] = {"SET", VARDATA_ANY(key), VARDATA_ANY(value)};
	size_t		bytes[] = {3, VARSIZE_ANY_EXHDR(key), VARSIZE_ANY_EXHDR(value)};
	redisReply *reply = command(3, argv, bytes);
	bool		ok = reply->type == REDIS_REPLY_STATUS;

	freeReplyObject(reply);
	PG_RETURN_BOOL(ok);
}
