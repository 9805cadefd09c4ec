/*
 * nr_writer.c
 *		The lock of a cache that has a single writer at a time.
 *
 * It is a heavyweight lock, because a writer may wait for long, for another
 * transaction: so waits show in pg_locks, can be cancelled, end with
 * lock_timeout, and deadlocks are found, also those over row and table locks.
 *
 * It is an advisory one, because a relation lock that conflicts with itself is
 * refused on a standby.  The SQL functions for advisory locks use 1 and 2 in the
 * tag's field4, and the sweep has a number of its own, so nobody else's lock can
 * be taken for this one.
 */
#include "nr_cache.h"

#include "storage/lock.h"
#include "utils/resowner.h"

static void
writer_tag(LOCKTAG *tag, Oid relid)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, relid, 0, NR_WRITER_LOCK);
}

/*
 * Under the transaction's resource owner the lock outlives a subtransaction that
 * rolls back; under the current one it does not, nor any other error.
 */
bool
nr_writer_lock(Oid relid, bool for_transaction, bool wait)
{
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result = LOCKACQUIRE_NOT_AVAIL;
	LOCKTAG		tag;

	writer_tag(&tag, relid);
	PG_TRY();
	{
		if (for_transaction)
			CurrentResourceOwner = TopTransactionResourceOwner;
		result = LockAcquire(&tag, ExclusiveLock, false, !wait);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	NR_POINT("writer_locked");
	return result != LOCKACQUIRE_NOT_AVAIL;
}

void
nr_writer_unlock(Oid relid)
{
	LOCKTAG		tag;

	writer_tag(&tag, relid);
	(void) LockRelease(&tag, ExclusiveLock, false);
}
