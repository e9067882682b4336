/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/util.h"
#include "store/varlink.h"

struct varlink_client {
	int fd;
	struct varlink_reader *reader;
};

char *varlink_socket_path(dev_t dev, bool root)
{
	const char *runtime = root ? "/run" : getenv("XDG_RUNTIME_DIR");

	if (!runtime || runtime[0] != '/')
		return root ? NULL
			    : util_printf("/run/user/%u/relinkfs/%u:%u.sock", geteuid(), major(dev),
				      minor(dev));
	return util_printf("%s/relinkfs/%u:%u.sock", runtime, major(dev), minor(dev));
}

/* What a path lies on, as the mount table has it. */
struct place {
	dev_t dev;
	uint64_t mount_id; /* 0: this kernel does not tell */
	char mount[256];
	char fstype[64];
};

static int place_find_device(const char *path, struct place *place)
{
	struct statx stx;

	/* Attributes do not matter, so do not ask the daemon for them. */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx) < 0)
		return -errno;
	place->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	place->mount_id = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
	return 0;
}

/*
 * Fills in mount and fstype from one line of mountinfo, if it is about @place:
 * "36 35 98:0 /root /mount options [tags] - fstype source super-options".
 */
static bool place_match_line(struct place *place, const char *line)
{
	const char *separator = strstr(line, " - ");
	unsigned long long id;

	if (!separator || sscanf(line, "%llu %*u %*u:%*u %*s %255s", &id, place->mount) != 2)
		return false;
	return id == place->mount_id && sscanf(separator, " - %63s", place->fstype) == 1;
}

static void place_describe(struct place *place)
{
	autofile FILE *file = fopen("/proc/self/mountinfo", "re");
	autofree char *line = NULL;
	size_t size = 0;

	while (file && place->mount_id && getline(&line, &size, file) > 0)
		if (place_match_line(place, line))
			return;
	place->mount[0] = place->fstype[0] = '\0';
}

/* 1: connected, *out is the fd; 0: nothing listens there; or -errno. */
static int try_connect(const char *socket_path, int *out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(socket_path) + 1;
	autofd int fd = -1;

	if (size > sizeof(address.sun_path))
		return 0;
	memcpy(address.sun_path, socket_path, size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? 0 : -errno;
	*out = steal_fd(&fd);
	return 1;
}

/* A socket that some other user put there must not answer in the daemon's name. */
/*
 * A user namespace of our own shows root, which is not mapped there, as this one.  The
 * folder of root's sockets vouches for it then.
 */
static bool is_unmapped(uid_t uid)
{
	enum { INITIAL_USER_NAMESPACE = 0xEFFFFFFDu };
	autofd int fd = open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	struct stat st;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || strtoul(text, NULL, 10) != uid)
		return false;
	return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != INITIAL_USER_NAMESPACE;
}

static int check_server(int fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	if (cred.uid == 0 || cred.uid == geteuid() || is_unmapped(cred.uid))
		return 0;
	return -EPERM;
}

static int explain_nobody(
	struct place *place, const char *path, const char *socket_path, char **why)
{
	place_describe(place);
	if (strcmp(place->fstype, "fuse.relinkfs") == 0)
		return util_why(why, -ECONNREFUSED,
			"%s: relinkfs is mounted at %s, but no daemon answers at %s; it was "
			"stopped "
			"or crashed: unmount and mount again",
			path, place->mount, socket_path);
	return util_why(why, -ENXIO, "%s: not on a relinkfs mount%s%s%s%s%s", path,
		place->fstype[0] ? " but on " : "", place->fstype,
		place->fstype[0] ? " (mounted at " : "", place->mount, place->fstype[0] ? ")" : "");
}

static int connect_place(struct place *place, const char *path, int *out, char **why)
{
	autofree char *of_root = varlink_socket_path(place->dev, true);
	autofree char *of_user = varlink_socket_path(place->dev, false);
	const char *socket_path = of_root;
	int ret;

	if (!of_root || !of_user)
		return util_why(why, -ENOMEM, "out of memory");
	ret = try_connect(socket_path, out);
	if (ret == 0) {
		socket_path = of_user;
		ret = try_connect(socket_path, out);
	}
	if (ret == 0)
		return explain_nobody(place, path, of_root, why);
	if (ret > 0)
		ret = check_server(*out);
	if (ret == -EPERM)
		return util_why(why, ret, "%s: the socket belongs to another user", socket_path);
	if (ret < 0)
		return util_why(why, ret, "%s: cannot connect: %s", socket_path, strerror(-ret));
	return 0;
}

int varlink_connect(const char *path, struct varlink_client **out, char **why)
{
	struct varlink_client *client;
	struct place place = { 0 };
	autofd int fd = -1;
	int ret;

	ret = place_find_device(path, &place);
	if (ret < 0)
		return util_why(why, ret, "%s: %s", path, strerror(-ret));
	ret = connect_place(&place, path, &fd, why);
	if (ret < 0)
		return ret;
	client = calloc(1, sizeof(*client));
	if (client)
		client->reader = varlink_reader_new(fd, VARLINK_MESSAGE_MAX);
	if (!client || !client->reader) {
		free(client);
		return util_why(why, -ENOMEM, "out of memory");
	}
	client->fd = steal_fd(&fd);
	*out = client;
	return 0;
}

void varlink_disconnect(struct varlink_client *client)
{
	if (!client)
		return;
	close(client->fd);
	varlink_reader_free(client->reader);
	free(client);
}

static int send_call(struct varlink_client *client, const char *method, json_t *parameters)
{
	autofree char *name = util_printf("%s.%s", VARLINK_INTERFACE, method);
	json_t *call;
	int ret;

	if (!parameters)
		parameters = json_object();
	call = name && parameters
		       ? json_pack("{s:s, s:O}", "method", name, "parameters", parameters)
		       : NULL;
	json_decref(parameters);
	if (!call)
		return -ENOMEM;
	ret = varlink_write(client->fd, call);
	json_decref(call);
	return ret;
}

/* The errno that an error reply stands for. */
static int error_reply(const char *error, const json_t *parameters, char **why)
{
	json_int_t number = json_integer_value(json_object_get(parameters, "errno"));
	const char *message = json_string_value(json_object_get(parameters, "message"));
	const char *parameter = json_string_value(json_object_get(parameters, "parameter"));
	int ret = number > 0 && number < 4096 ? -(int)number : -EREMOTEIO;

	if (message)
		return util_why(why, ret, "%s", message);
	if (parameter)
		return util_why(why, ret, "the daemon answered %s: %s", error, parameter);
	return util_why(why, ret, "the daemon answered %s", error);
}

static int receive_reply(struct varlink_client *client, json_t **out, char **why)
{
	json_t *reply = NULL, *parameters;
	const char *error;
	int ret;

	ret = varlink_read(client->reader, &reply);
	if (ret == 0 && !reply)
		ret = -ECONNRESET;
	if (ret < 0)
		return util_why(why, ret, "lost the connection to the daemon: %s", strerror(-ret));
	parameters = json_object_get(reply, "parameters");
	*out = parameters ? json_incref(parameters) : json_object();
	error = json_string_value(json_object_get(reply, "error"));
	if (error)
		ret = error_reply(error, *out, why);
	json_decref(reply);
	return ret;
}

int varlink_call(struct varlink_client *client, const char *method, json_t *parameters,
	json_t **out, char **why)
{
	int ret;

	*out = NULL;
	ret = send_call(client, method, parameters);
	/* A server that refuses us answers before it reads: its words count more than EPIPE. */
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		return util_why(why, ret, "cannot send the request: %s", strerror(-ret));
	return receive_reply(client, out, why);
}
