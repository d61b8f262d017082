/* Calls three functions N times, as the generated trace of the bench does: one that calls two. Built with -pg. */
#include <stdlib.h>

__attribute__((noinline)) static int leaf(int x)
{
	__asm__ volatile("");
	return x ^ 1;
}

__attribute__((noinline)) static int tree(int x)
{
	return leaf(x) + leaf(x + 1);
}

int main(int count, char **words)
{
	int sum = 0;

	for (int i = count > 1 ? atoi(words[1]) : 1; i; i--)
		sum += tree(i);
	return sum == 42;
}
