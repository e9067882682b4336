/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * churn DIR SEED ROUNDS: makes, links, renames, reads and unlinks a few names of DIR, which
 * other processes do at the same time, and holds some of the files open.  Each file's
 * content is a number that is found again through every fd that was opened on it, for as
 * long as it is open; its inode never changes either.  Status 1 when that does not hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES 6
#define HELD 8

struct held {
	int fd; /* 0: free */
	ino_t ino;
	char content[32];
};

static struct held held[HELD];
static uint32_t state;
static const char *dir;

static unsigned pick(unsigned below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 16) % below;
}

static const char *name(char *path, size_t size)
{
	snprintf(path, size, "%s/n%u", dir, pick(NAMES));
	return path;
}

static void wrong(const char *what, const struct held *h, const char *seen)
{
	fprintf(stderr, "churn: %s: '%s', not '%s' (%s)\n", what, seen, h->content,
		errno ? strerror(errno) : "no error");
	exit(1);
}

static void check(const struct held *h)
{
	char seen[sizeof(h->content)] = "";
	struct stat st;

	errno = 0;
	if (pread(h->fd, seen, sizeof(seen) - 1, 0) < 0 || strcmp(seen, h->content) != 0)
		wrong("content", h, seen);
	if (fstat(h->fd, &st) || st.st_ino != h->ino)
		wrong("inode", h, seen);
}

static struct held *slot(void)
{
	struct held *h = &held[pick(HELD)];

	if (h->fd) {
		check(h);
		close(h->fd);
		h->fd = 0;
	}
	return h;
}

static void hold(int fd, const char *content)
{
	struct held *h = slot();
	struct stat st;

	if (fstat(fd, &st)) {
		perror("churn: fstat");
		exit(1);
	}
	h->fd = fd;
	h->ino = st.st_ino;
	snprintf(h->content, sizeof(h->content), "%s", content);
}

/* A new file under a name that only it has, then moved to where the others look. */
static void make(unsigned seed, unsigned round)
{
	char own[512], path[512], content[32];

	snprintf(own, sizeof(own), "%s/own-%u-%u", dir, seed, round);
	snprintf(content, sizeof(content), "%u/%u", seed, round);
	int fd = open(own, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, content, strlen(content)) < 0) {
		perror(own);
		exit(1);
	}
	if (rename(own, name(path, sizeof(path)))) {
		perror(path);
		exit(1);
	}
	hold(fd, content);
}

static void take(void)
{
	char path[512], content[32] = "";
	int fd = open(name(path, sizeof(path)), O_RDWR);

	if (fd < 0) {
		if (errno != ENOENT) {
			perror(path);
			exit(1);
		}
		return;
	}
	if (read(fd, content, sizeof(content) - 1) <= 0) {
		fprintf(stderr, "churn: %s is empty: %s\n", path, strerror(errno));
		exit(1);
	}
	hold(fd, content);
}

static void step(unsigned seed, unsigned round)
{
	char one[512], other[512];

	switch (pick(8)) {
	case 0:
	case 1:
		make(seed, round);
		break;
	case 2:
	case 3:
		take();
		break;
	case 4:
		if (unlink(name(one, sizeof(one))) && errno != ENOENT) {
			perror(one);
			exit(1);
		}
		break;
	case 5:
		if (rename(name(one, sizeof(one)), name(other, sizeof(other))) && errno != ENOENT) {
			perror(one);
			exit(1);
		}
		break;
	case 6:
		if (link(name(one, sizeof(one)), name(other, sizeof(other))) && errno != ENOENT &&
			errno != EEXIST) {
			perror(one);
			exit(1);
		}
		break;
	default:
		slot();
	}
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	dir = argv[1];
	unsigned seed = (unsigned)atoi(argv[2]), rounds = (unsigned)atoi(argv[3]);
	state = seed * 2654435761u;
	for (unsigned round = 0; round < rounds; round++)
		step(seed, round);
	for (size_t i = 0; i < HELD; i++) {
		if (held[i].fd)
			check(&held[i]);
	}
	return 0;
}
