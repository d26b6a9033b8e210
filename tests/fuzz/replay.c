/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replays seeds through a fuzz target where libFuzzer is not at hand: replay PATH..., files or folders of files. Each input
 * is also tried at every shorter length. Inputs lie in allocations of exactly their size, for the sanitizers. No input at
 * all is a failure: a test must not pass because its corpus got lost.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

#define TRUNCATED_MAX 4096 /* beyond it trying every length takes too long */

static unsigned long inputs;

static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size); /* always 0: a finding aborts */
	free(copy);
}

static void replay_file(const char *path)
{
	static uint8_t buf[FUZZ_INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t size;

	FUZZ_CHECK(f);
	size = fread(buf, 1, sizeof(buf), f);
	FUZZ_CHECK(!ferror(f) && feof(f));
	(void)fclose(f); /* only read */
	for (size_t n = 0; size <= TRUNCATED_MAX && n < size; n++)
		run(buf, n);
	run(buf, size);
	inputs++;
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void replay(const char *path)
{
	struct dirent **entries;
	char sub[4096];
	struct stat st;
	int n;

	FUZZ_CHECK(stat(path, &st) == 0);
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	n = scandir(path, &entries, visible, alphasort);
	FUZZ_CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		FUZZ_CHECK(snprintf(sub, sizeof(sub), "%s/%s", path, entries[i]->d_name) <
		           (int)sizeof(sub));
		replay(sub);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%lu inputs\n", inputs);
	return inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
