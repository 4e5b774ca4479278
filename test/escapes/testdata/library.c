/* A library that is pushed into another program: it copies ESCAPES_FROM to
 * ESCAPES_TO, or writes "!" and the errno there. What the program is linked
 * with has the same name and does nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef STEALS
__attribute__((constructor)) static void steal(void)
{
	char text[4096];
	const char *from = getenv("ESCAPES_FROM"), *to = getenv("ESCAPES_TO");
	int in, out;
	ssize_t n;

	if (!from || !to)
		return;
	in = open(from, O_RDONLY);
	n = in < 0 ? snprintf(text, sizeof(text), "!%d", errno) : read(in, text, sizeof(text));
	out = open(to, O_WRONLY | O_CREAT, 0644);
	if (out >= 0 && write(out, text, n) != n)
		_exit(1);
}
#endif

unsigned int la_version(unsigned int version) { return version; }

int answer(void) { return 0; }
