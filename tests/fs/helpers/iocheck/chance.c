/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fs/helpers/iocheck/iocheck.h"

static uint64_t state;

void chance_begin(void)
{
	state = (seed * 0x9e3779b97f4a7c15ull) ^ ((process + 1) * 0xd1b54a32d192ed03ull);
}

static uint64_t random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

unsigned pick(uint64_t below)
{
	return (unsigned)((random64() >> 16) % below);
}

off_t part(off_t limit, off_t *offset)
{
	off_t length;

	*offset = 0;
	if (!limit)
		return 0;
	*offset = pick((uint64_t)limit);
	if (!pick(4))
		*offset -= *offset % PAGE;
	length = 1 + pick(1ull << pick(18));
	if (!pick(4))
		length += PAGE - length % PAGE;
	return length < limit - *offset ? length : limit - *offset;
}

off_t aligned_part(off_t limit, off_t *offset)
{
	off_t length, blocks = limit / PAGE;

	*offset = 0;
	if (!blocks)
		return 0;
	*offset = (off_t)pick((uint64_t)blocks) * PAGE;
	length = (1 + (off_t)pick(16)) * PAGE;
	return length < blocks * PAGE - *offset ? length : blocks * PAGE - *offset;
}

void fill(char *data, off_t length)
{
	uint64_t word = 0;

	for (off_t i = 0; i < length; i++) {
		if (i % 8 == 0)
			word = random64();
		data[i] = (char)((word >> (i % 8 * 8)) | 1);
	}
}
