/*
 * test_leftright.c
 *		Two copies: who is waited for after a flip, how long, and what applying
 *		each batch twice does and does not.
 */
#include "engine/combine.h"
#include "engine/leftright.h"
#include "seats.h"
#include "tap.h"

#define G			0
#define PER_EXTENT	512			/* numbers of the stack in an extent of 4 kB */

static Seats b;
static struct NrReplica *rep;	/* of replica 0 */

static void
open_seats(uint32_t replicas, uint32_t n, uint32_t extents_max, const NrDispatch *d)
{
	NrGeometry	geo = th_geometry(replicas);
	NrGroupConfig config = toy_config(extents_max, 4096, 8192);

	config.copies = 2;
	geo.sessions = n < 16 ? 16 : n;
	seats_open(&b, geo, n, &config, d);
	rep = nr_replica(b.e, G, 0);
}

/* Session i enters its replica's current copy. */
static uint32_t
enter(uint32_t i)
{
	return nr_lr_enter(&b.h[i], nr_inside_word(++b.s[i].entries, G));
}

static void
leave(uint32_t i)
{
	nr_rw_reader_leave(b.h[i].reader);
}

/* Session 2 is the writer on replica 0. */
static bool
drained(NrPatience patience)
{
	return nr_lr_drain(&b.s[2], G, 0, patience);
}

static uint64_t
noted(uint32_t w)
{
	return nr_load64_rlx(&nr_flip_readers(b.e, rep)[w]);
}

static bool
in_the_way(uint32_t i)
{
	return nr_load32_rlx(&rep->blocking_reader) == i + 1;
}

static void
test_entries(void)
{
	open_seats(2, 130, 4, &toy_counter_dispatch);
	script_begin(b.th, NULL);
	tap_ok(drained(NR_IMPATIENT), "before the first flip there is nobody to wait for");
	tap_ok(enter(0) == 0, "a reader enters the current copy");
	tap_ok(drained(NR_IMPATIENT), "and is in nobody's way there");
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(noted(0) == NR_BIT(0) && enter(4) == 1, "after the flip it is noted, and the next one enters the other copy");
	tap_ok(!drained(NR_IMPATIENT) && in_the_way(0), "who was inside at the flip is waited for");
	tap_ok(script.waits == 0, "by who is impatient without a sleep");
	leave(0);
	tap_ok(drained(NR_IMPATIENT) && noted(0) == 0 && nr_load32_rlx(&rep->blocking_reader) == 0,
		   "when it has left nobody is, though another one reads");

	enter(0);
	nr_lr_flip(&b.s[2], G, 0);
	leave(0);
	tap_ok(enter(0) == 0 && noted(0) == (NR_BIT(0) | NR_BIT(4)),
		   "one that was inside leaves and comes back");
	leave(4);
	tap_ok(drained(NR_IMPATIENT), "it is not waited for: an entry is told from the next");
	leave(0);

	enter(128);
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(!drained(NR_IMPATIENT) && in_the_way(128), "the last word of the bitmap counts, too");
	leave(128);
	tap_ok(drained(NR_IMPATIENT), "until it has left");
	tap_ok(toy_replica_info(b.e, G, 0).flips == 3 && toy_replica_info(b.e, G, 1).flips == 0, "flips are counted");
	seats_close(&b);
}

static void
test_not_in_the_way(void)
{
	open_seats(2, 8, 4, &toy_counter_dispatch);
	script_begin(b.th, NULL);
	nr_xchg64_seq(&b.h[0].reader->inside, nr_inside_word(1, 5));
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(noted(0) == 0 && drained(NR_IMPATIENT), "a reader of another group is not noted");
	leave(0);
	enter(1);
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(noted(0) == 0, "nor one of another replica");
	nr_lr_flip(&b.s[2], G, 1);
	tap_ok(!nr_lr_drain(&b.s[2], G, 1, NR_IMPATIENT), "but a writer may come from another replica");
	leave(1);
	tap_ok(nr_lr_drain(&b.s[2], G, 1, NR_IMPATIENT), "and waits there");
	nr_group_detach(&b.h[0]);
	nr_xchg64_seq(&b.h[0].reader->inside, nr_inside_word(9, G));
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(noted(0) == 0, "who has detached is not looked at");
	leave(0);
	seats_close(&b);
}

/* A number that is given out again: its next owner's entries are others. */
static void
test_reused_number(void)
{
	uint32_t	idx;

	open_seats(1, 3, 4, &toy_counter_dispatch);
	script_begin(b.th, NULL);
	nr_enter(&b.h[0], false);
	nr_lr_flip(&b.s[2], G, 0);
	nr_leave(&b.h[0]);
	idx = b.s[0].idx;
	nr_group_detach(&b.h[0]);
	nr_session_unregister(&b.s[0]);
	th_register(b.th, 0, 0, &b.s[0]);
	th_attach(&b.s[0], G, &toy_counter_dispatch, &b.h[0]);
	nr_enter(&b.h[0], false);
	tap_ok(b.s[0].idx == idx && b.h[0].copy == &b.h[0].copies[1] && drained(NR_IMPATIENT),
		   "the next owner of a reader's number is not waited for in its place");
	nr_leave(&b.h[0]);
	seats_close(&b);
}

/* ---- patience ---- */

static NrSessionInfo shown;

/* The reader, session 0, leaves at the third sleep. */
static bool
leave_third(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) cancellable;
	nr_session_info(session->engine, session->idx, &shown);
	if (why == NR_WAIT_READERS && timeout_us > 0 && script.waits == 3)
		leave(0);
	return false;
}

static bool
leave_third_go_on(NrSession *session, NrWaitReason why, long timeout_us, bool cancellable)
{
	(void) leave_third(session, why, timeout_us, cancellable);
	return true;
}

static void
test_patience(void)
{
	open_seats(1, 4, 4, &toy_counter_dispatch);
	enter(0);
	nr_lr_flip(&b.s[2], G, 0);
	script_begin(b.th, leave_third);
	tap_ok(!drained(NR_CANCELLABLE) && script.waits == 1, "a cancellable writer is cancelled");
	tap_ok(noted(0) == NR_BIT(0), "and the reader stays noted");
	script_begin(b.th, leave_third_go_on);
	tap_ok(drained(NR_CANCELLABLE) && script.waits == 3, "one that is not cancelled waits until the reader leaves");
	enter(0);
	nr_lr_flip(&b.s[2], G, 0);
	script_begin(b.th, leave_third);
	tap_ok(drained(NR_PATIENT) && script.waits == 3, "a patient one does not hear that it is cancelled");
	tap_ok(shown.waiting_for == NR_WAIT_READERS && shown.waiting_on_session == 0 && shown.waiting_group == G,
		   "meanwhile all see on whom it waits");
	tap_ok(toy_replica_info(b.e, G, 0).writer_waits == 3 && toy_replica_info(b.e, G, 0).writer_sleeps == 7,
		   "waits and sleeps are counted");
	seats_close(&b);
}

static void
test_resume(void)
{
	open_seats(1, 130, 4, &toy_counter_dispatch);
	script_begin(b.th, NULL);
	enter(0);
	enter(5);
	enter(128);
	nr_lr_flip(&b.s[2], G, 0);
	tap_ok(!drained(NR_IMPATIENT) && in_the_way(0) && noted(0) == (NR_BIT(0) | NR_BIT(5)), "three are inside");
	leave(0);
	tap_ok(!drained(NR_IMPATIENT) && in_the_way(5) && noted(0) == NR_BIT(5) && noted(2) == NR_BIT(128),
		   "one left: who gave up goes on at the second");
	leave(5);
	tap_ok(!drained(NR_IMPATIENT) && in_the_way(128) && noted(0) == 0, "then at the third");
	leave(128);
	tap_ok(drained(NR_IMPATIENT) && noted(2) == 0 && drained(NR_IMPATIENT), "all left, and stay so");
	seats_close(&b);
}

/* ---- replaying ---- */

/* While a batch is applied, nobody can enter the copy that changes; what readers are sent to is complete. */
static uint32_t changed_under;
static uint32_t shown_early;
static uint32_t writes;

static void
look_at_write(const NrCopy *copy, const NrOpHeader *op)
{
	(void) op;
	for (uint32_t i = 0; i < b.n; i++)
		if (copy->root == b.h[i].copies[nr_load32_rlx(&b.h[i].replica->current)].root)
			changed_under++;
	writes++;
}

/* How many writes this copy of replica 0 has had. */
static uint64_t
first_word(uint32_t c)
{
	uint64_t	word;

	memcpy(&word, b.h[0].copies[c].root, sizeof(word));
	return word;
}

static void
look_at_flip(const char *point)
{
	if (strcmp(point, "flipped") == 0)
		shown_early += nr_position(rep) != nr_log_tail(&b.s[0], G) ||
			first_word(nr_load32_rlx(&rep->current)) < nr_log_tail(&b.s[0], G);
}

static void
test_publish(void)
{
	bool		ok = true;

	open_seats(1, 2, 4, &toy_counter_dispatch);
	script_begin(b.th, NULL);
	changed_under = shown_early = writes = 0;
	atomic_store(&toy_hook_write, look_at_write);
	nr_test_point_hook = look_at_flip;
	for (uint64_t i = 1; i <= 100; i++)
	{
		uint64_t	value = 0;

		ok &= toy_call_add(&b.h[i % 2], 0, 1, &value, NULL) == NR_OK && value == i && toy_call_get(&b.h[1], 0) == i;
		ok &= nr_position(rep) == i && nr_position_oldest(b.e, G, 0) == i - 1 && nr_log_head(&b.s[0], G) == i - 1;
	}
	nr_test_point_hook = NULL;
	tap_ok(ok, "a hundred writes are answered and seen; the log keeps what the older copy lacks");
	tap_ok(changed_under == 0, "never is the copy changed that readers enter");
	tap_ok(shown_early == 0, "nor do they enter one that lacks anything");
	tap_ok(toy_replica_info(b.e, G, 0).flips == 100 && writes == 199, "each write applies two batches, but the first");
	tap_ok(script.waits == 0, "and nobody waits");
	nr_group_sync_replica(&b.h[0], 0, false);
	tap_ok(nr_position_oldest(b.e, G, 0) == 100 && nr_log_head(&b.s[0], G) == 100 && writes == 200 &&
		   toy_replica_info(b.e, G, 0).flips == 100, "sync brings the older one up, and does not flip");
	atomic_store(&toy_hook_write, NULL);
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_reader_stays(void)
{
	NrReplicaInfo ri;

	open_seats(1, 4, 4, &toy_counter_dispatch);
	script_begin(b.th, leave_third);
	enter(0);
	tap_ok(toy_call_add(&b.h[1], 0, 1, NULL, NULL) == NR_OK && script.waits == 0,
		   "the first write after a reader entered does not wait for it");
	tap_ok(toy_call_get(&b.h[3], 0) == 1, "others see it");
	tap_ok(!nr_replay(&b.s[1], &toy_counter_dispatch, G, 0, NR_IMPATIENT, true), "the older copy cannot be changed now");
	ri = toy_replica_info(b.e, G, 0);
	tap_ok(ri.applied == 1 && ri.applied_idle == 0 && ri.flips == 1 && ri.blocking_reader == 0, "and was not");
	tap_ok(first_word(0) == 0, "the reader still sees what it saw");
	tap_ok(toy_call_add(&b.h[1], 0, 1, NULL, NULL) == NR_CANCELLED && script.waits == 1 &&
		   nr_log_tail(&b.s[0], G) == 1, "the second write waits for it, and can be cancelled: nothing has happened");
	script_begin(b.th, leave_third_go_on);
	tap_ok(toy_call_add(&b.h[1], 0, 1, NULL, NULL) == NR_OK && script.waits_for[NR_WAIT_READERS] == 3,
		   "or goes on when the reader has left");
	tap_ok(toy_call_get(&b.h[3], 0) == 2 && toy_check(&b.h[1]) && seats_close(&b), "all extents are back");
}

static void
test_nested(void)
{
	const NrCopy *copy;
	ToyRead		read = {.first = 0,.n = 1};

	open_seats(1, 4, 4, &toy_counter_dispatch);
	script_begin(b.th, script_give_up);
	nr_enter(&b.h[1], true);
	copy = b.h[1].copy;
	toy_call_add(&b.h[0], 0, 1, NULL, NULL);
	tap_ok(nr_enter(&b.h[1], true) == NR_OK && b.h[1].copy == copy && script.waits == 0,
		   "a nested read is in the outer one's copy, whatever is current");
	nr_execute(&b.h[1], &read, &read, true);
	tap_ok(read.value[0] == 0 && toy_call_get(&b.h[0], 0) == 1, "and sees what that one does");
	nr_leave(&b.h[1]);
	tap_ok(!drained(NR_IMPATIENT), "its leave does not leave");
	nr_leave(&b.h[1]);
	tap_ok(drained(NR_IMPATIENT) && toy_call_get(&b.h[1], 0) == 1, "the last one does");
	seats_close(&b);
}

/* ---- each batch twice, its consequences once ---- */

static void
test_once(void)
{
	NrResult	res = {.status = NR_OK};
	NrRequestSlot *slot;
	uint64_t	answer = 0;

	open_seats(2, 2, 4, &toy_counter_dispatch);
	tap_ok(toy_call_add_row(&b.h[0], 0, 4, 3, &res) == NR_OK && res.done == 4 && res.seq == 0, "a request is answered");
	slot = b.h[0].slot;
	slot->done = slot->flagged = 77;
	slot->seq = 88;
	memset(b.h[0].buffer, 0x55, 64);
	nr_group_sync_replica(&b.h[0], 0, false);
	memcpy(&answer, b.h[0].buffer, 8);
	tap_ok(nr_position_oldest(b.e, G, 0) == 1 && slot->done == 77 && slot->flagged == 77 && slot->seq == 88 &&
		   answer == 0x5555555555555555, "once: applied to the second copy, it touches neither slot nor buffer");
	tap_ok(toy_replica_info(b.e, G, 0).ops_applied == 4, "and counts once");
	nr_group_sync_replica(&b.h[0], 1, false);
	tap_ok(toy_replica_info(b.e, G, 1).ops_applied == 4 && toy_replica_info(b.e, G, 1).helped == 1,
		   "on the other replica, too");
	nr_store64_rlx(&slot->state, nr_req_word(nr_req_no(nr_load64_rlx(&slot->state)), 0, NR_REQ_FREE));
	tap_ok(toy_check(&b.h[1]) && seats_close(&b), "all extents are back");
}

/* With nothing on its way, is the account what each copy has? */
static bool
settled(void)
{
	struct NrGroup *group = nr_group(b.e, G);
	bool		ok = true;

	for (uint32_t r = 0; r < b.e->geo.replicas; r++)
	{
		nr_group_sync_replica(&b.h[0], r, false);
		for (uint32_t c = 0; c < 2; c++)
		{
			NrCopy		copy;

			nr_copy_view(b.e, G, r, c, &copy);
			ok &= nr_load64_rlx(&group->headroom) == copy.table->free_count &&
				nr_load32_rlx(&group->mapped) == copy.table->mapped_count;
		}
	}
	return ok && toy_pool_free(b.e) == b.e->geo.extents - group->log_extents - 2 * nr_load32_rlx(&group->mapped);
}

/* Are the two copies of each replica the same, byte by byte, but for where they lie? */
static bool
same_bytes(void)
{
	size_t		extent = (size_t) 1 << b.e->geo.extent_shift;

	for (uint32_t r = 0; r < b.e->geo.replicas; r++)
	{
		NrCopy		copy[2];
		NrExtentTable *t[2];

		for (uint32_t c = 0; c < 2; c++)
		{
			nr_copy_view(b.e, G, r, c, &copy[c]);
			t[c] = copy[c].table;
		}
		if (memcmp(copy[0].root, copy[1].root, t[0]->root_bytes) != 0 ||
			memcmp(t[0]->words + t[0]->capacity, t[1]->words + t[0]->capacity, t[0]->capacity * sizeof(uint32_t)) != 0)
			return false;
		for (uint32_t x = 1; x < t[0]->capacity; x++)
		{
			if ((t[0]->words[x] == 0) != (t[1]->words[x] == 0))
				return false;
			if (t[0]->words[x] != 0 && t[0]->words[x] == t[1]->words[x])
				return false;
		}
		for (uint32_t x = 1; x < t[0]->capacity; x++)
		{
			bool		is_free = t[0]->words[x] == 0;

			for (uint32_t f = t[0]->free_head; f != NR_NO_EXTENT && !is_free; f = t[0]->words[t[0]->capacity + f])
				is_free = f == x;
			if (!is_free && memcmp(nr_physical(b.e, r, t[0]->words[x]), nr_physical(b.e, r, t[1]->words[x]), extent) != 0)
				return false;
		}
	}
	return true;
}

static NrStatus
push(uint32_t n)
{
	NrResult	res = {.status = NR_OK};
	NrStatus	status = NR_OK;

	/* eight at a time fit the session's buffer: no extents but the stack's */
	for (; n > 0 && status == NR_OK; n -= n < 8 ? n : 8)
		status = toy_call_push(&b.h[n / 8 % b.n], n, n < 8 ? n : 8, &res);
	return status;
}

static void
test_account(uint32_t replicas)
{
	uint64_t	random = 3;
	uint64_t	value;
	bool		found;
	bool		ok = true;
	bool		same = true;

	open_seats(replicas, 2 * replicas, 40, &toy_stack_dispatch);
	tap_ok(settled() && same_bytes(), "%u replicas: a new group has two roots", replicas);
	for (int i = 0; i < 400; i++)
	{
		uint32_t	what = th_random(&random) % 64;

		if (what == 0)
			toy_call_clear(&b.h[i % b.n]);
		else if (what < 40)
			push(1 + th_random(&random) % 100);
		else
			for (uint32_t k = 0; k < what; k++)
				toy_call_pop(&b.h[k % b.n], &found, &value);
		ok &= settled();
		same &= same_bytes();
	}
	tap_ok(ok, "after anything, headroom is the number of free extents in each copy, and each has its own");
	tap_ok(same, "and the two copies are the same, byte by byte");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_release(void)
{
	struct NrGroup *group;
	uint32_t	before;
	uint32_t	released;

	open_seats(1, 1, 20, &toy_stack_dispatch);
	group = nr_group(b.e, G);
	push(8 * PER_EXTENT);
	tap_ok(settled(), "a stack of eight extents");
	before = toy_pool_free(b.e);
	toy_call_clear(&b.h[0]);
	nr_group_sync(&b.h[0], false);
	released = (uint32_t) nr_load64_rlx(&group->released);
	tap_ok(released >= 6 && toy_pool_free(b.e) < before + 2 * released, "cleared: the older copy holds on to what it has");
	tap_ok(settled() && toy_pool_free(b.e) == before + 2 * released, "until it is brought up, too");
	tap_ok(seats_close(&b), "all extents are back");
}

static void
test_payload(void)
{
	uint32_t	before;

	open_seats(2, 2, 4, &toy_counter_dispatch);
	before = toy_pool_free(b.e);
	toy_call_sum(&b.h[0], 3000, 1, NULL);
	tap_ok(toy_pool_free(b.e) == before - 1, "a payload stays while three of four copies lack it");
	nr_group_sync_replica(&b.h[0], 0, false);
	tap_ok(toy_pool_free(b.e) == before - 1, "while two do");
	nr_group_sync(&b.h[1], false);
	tap_ok(toy_replica_info(b.e, G, 1).applied == 1 && toy_replica_info(b.e, G, 1).applied_idle == 0 &&
		   toy_pool_free(b.e) == before - 1, "while one does");
	nr_group_sync_replica(&b.h[0], 1, false);
	tap_ok(toy_pool_free(b.e) == before, "and is free when the last one has it");
	tap_ok(toy_call_get(&b.h[1], 0) == 3000 && toy_check(&b.h[0]) && seats_close(&b), "all extents are back");
}

static void
test_check(void)
{
	bool		ok = true;

	open_seats(3, 3, 4, &toy_counter_dispatch);
	for (uint32_t i = 0; i < 5; i++)
		toy_call_add(&b.h[i % 3], 5, 10, NULL, NULL);
	tap_ok(toy_check(&b.h[1]) && same_bytes(), "six equal copies pass the check");
	for (uint32_t r = 0; r < 3; r++)
		for (uint32_t c = 0; c < 2; c++)
		{
			uint32_t	replica = 99;
			const char *why = NULL;

			b.h[r].copies[c].root[200] ^= 1;
			if (nr_group_check(&b.h[0], false, &replica, &why) != NR_DIVERGED ||
				(r + c > 0 && replica != r) || why == NULL)
			{
				tap_note("copy %u of replica %u: %s", c, r, why ? why : "passes");
				ok = false;
			}
			b.h[r].copies[c].root[200] ^= 1;
		}
	tap_ok(ok, "one changed bit is found in any of them, idle or not");
	tap_ok(toy_check(&b.h[2]) && toy_call_add(&b.h[1], 5, 1, NULL, NULL) == NR_OK && toy_call_get(&b.h[2], 5) == 51,
		   "changed back, the check passes, and work goes on");
	tap_ok(seats_close(&b), "all extents are back");
}

int
main(void)
{
	th_watchdog(60);
	test_entries();
	test_not_in_the_way();
	test_reused_number();
	test_patience();
	test_resume();
	test_publish();
	test_reader_stays();
	test_nested();
	test_once();
	test_account(1);
	test_account(2);
	test_release();
	test_payload();
	test_check();
	return tap_done();
}
