/*
 * nr_acl.c
 *		May this user?  As the executor decides for a statement that names every
 *		column, since that is what the functions read and write.
 */
#include "nr_cache.h"

#include "nodes/parsenodes.h"

StaticAssertDecl(N_ACL_RIGHTS <= 15, "NR_ACL_ANY must not be one of PostgreSQL's privileges");

/* Privileges that can be granted on columns. */
#define COLUMN_ACL		(ACL_SELECT | ACL_INSERT | ACL_UPDATE)

/* On all of the table's columns / on at least one. */
static bool
on_columns(Oid relid, Oid userid, AclMode privilege, AclMaskHow how)
{
	return (privilege & COLUMN_ACL) != 0 &&
		pg_attribute_aclcheck_all(relid, userid, privilege, how) == ACLCHECK_OK;
}

bool
nr_acl_allows(Oid relid, Oid userid, AclMode need)
{
	bool		any = (need & NR_ACL_ANY) != 0;
	AclMode		wanted = need & ~NR_ACL_ANY;
	AclMode		has = pg_class_aclmask(relid, userid, wanted, ACLMASK_ALL);

	if (any && has != 0)
		return true;
	for (AclMode missing = wanted & ~has; missing != 0; missing &= missing - 1)
	{
		AclMode		privilege = missing & ~(missing - 1);

		if (on_columns(relid, userid, privilege, any ? ACLMASK_ANY : ACLMASK_ALL) == any)
			return any;
	}
	return !any;
}
