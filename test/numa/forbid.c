/*
 * forbid.c
 *		forbid SYSTEM-CALL... COMMAND ARGUMENT...: run a command whose NUMA system
 *		calls fail with EPERM, as in containers.  Names that are not known end the
 *		list, so the command must not be called like one.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct
{
	const char *name;
	int			number;
}			calls[] = {
	{"mbind", SYS_mbind},
	{"move_pages", SYS_move_pages},
	{"get_mempolicy", SYS_get_mempolicy},
	{"set_mempolicy", SYS_set_mempolicy},
};

static int
number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	return -1;
}

/* This system call, which is in the accumulator, fails; all others go on with the next rule. */
static void
forbid(struct sock_filter *rule, int number)
{
	rule[0] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned) number, 0, 1);
	rule[1] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
}

int
main(int argc, char **argv)
{
	struct sock_filter rules[32];
	struct sock_fprog program = {.filter = rules};
	int			n = 0;
	int			i = 1;

	rules[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; i < argc && number_of(argv[i]) >= 0 && n < 28; i++, n += 2)
		forbid(&rules[n], number_of(argv[i]));
	rules[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short) n;
	if (i == argc)
	{
		fprintf(stderr, "forbid: no command\n");
		return 1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
	{
		perror("forbid: seccomp");
		return 1;
	}
	execvp(argv[i], argv + i);
	perror(argv[i]);
	return 1;
}
