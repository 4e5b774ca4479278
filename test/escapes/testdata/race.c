/* race PROGRAM MARK N: executes PROGRAM N times as "ls", while another thread
 * makes "sh" of that name and back. As a shell it makes the file MARK. Prints how
 * often it was refused. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile char name[3] = "ls";

static void *flip(void *unused)
{
	for (;;) {
		name[0] = name[0] ^ 'l' ^ 's';
		name[1] = name[1] ^ 's' ^ 'h';
	}
}

int main(int argc, char **argv)
{
	char script[4200];
	char *arguments[] = { (char *)name, "-c", script, NULL };
	int refused = 0, i, n = atoi(argv[3]);
	volatile int code;
	pthread_t thread;

	snprintf(script, sizeof(script), ": >%s", argv[2]);
	if (!freopen("/dev/null", "w", stderr) || pthread_create(&thread, NULL, flip, NULL))
		return 1;
	for (i = 0; i < n; i++) {
		code = 0;
		/* vfork: the child's arguments are this memory, where flip goes on. */
		pid_t pid = vfork();
		if (pid == 0) {
			execv(argv[1], arguments);
			code = errno;
			_exit(1);
		}
		waitpid(pid, NULL, 0);
		refused += code == EACCES;
	}
	printf("%d\n", refused);
	return 0;
}
