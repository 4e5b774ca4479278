/* A program that rules trust, and what others may make of it.
 *
 *   copy FILE TO        copies a file; the exit code is the errno
 *   hold FILE           reads a file and keeps it open; prints where its text is
 *   exec PROGRAM ARG..  becomes another program
 *   thread PROGRAM ARG..  the same, from a thread that is not the first
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char text[4096];
static char **command;

static int copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out;
	ssize_t n;

	if (in < 0)
		return errno;
	n = read(in, text, sizeof(text));
	if (n < 0)
		return errno;
	out = open(to, O_WRONLY | O_CREAT, 0644);
	if (out < 0 || write(out, text, n) != n)
		return errno;
	return 0;
}

static int hold(const char *file)
{
	int fd = open(file, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text)) < 0)
		return errno;
	printf("%d %lu\n", fd, (unsigned long)text);
	fflush(stdout);
	for (;;)
		pause();
}

static void *become(void *unused)
{
	execv(command[0], command + 1);
	_exit(errno);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc == 4 && !strcmp(argv[1], "copy"))
		return copy(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return hold(argv[2]);
	if (argc < 4)
		return 255;
	command = argv + 2;
	if (!strcmp(argv[1], "exec"))
		become(NULL);
	if (!strcmp(argv[1], "thread") && !pthread_create(&thread, NULL, become, NULL))
		for (;;)
			pause();
	return 255;
}
