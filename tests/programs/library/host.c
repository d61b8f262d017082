/* A program of C that calls a function of a Go library so many times once a line has come, and again after another one. */
#include <stdio.h>
#include <stdlib.h>

extern int fromC(int);

int main(int count, char **arguments)
{
	long sum = fromC(0); /* the Go runtime is up */

	for (int round = 0; round < 2; round++) {
		puts(round ? "done" : "ready");
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
		while (getchar() != '\n')
			;
		if (!round)
			for (int i = 0; i < atoi(arguments[1]); i++)
				sum += fromC(i);
	}
	return count < 2 || sum < 0;
}
