#include "plugin/admin/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	MODE = 0660,
	BACKLOG = 16,
	LOCK_TRIES = 100, /* of LOCK_PAUSE_MS: a second in all */
	LOCK_PAUSE_MS = 10,
};

static int fail(int err, char *reterr, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(int err, char *reterr, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reterr, len, fmt, ap);
	va_end(ap);
	return err;
}

static int fail_errno(int err, const char *path, const char *doing,
		      char *reterr, size_t len)
{
	return fail(-err, reterr, len, "cannot %s the admin socket %s: %s",
		    doing, path, strerror(err));
}

/* ---- the lock ---- */

static int open_directory(const char *path, int *ret, char *reterr, size_t len)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *dir;
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int err = errno;

		return fail(-err, reterr, len,
			    "cannot make the admin socket %s: directory %s: "
			    "%s; it must exist and belong to the user that "
			    "the broker runs as",
			    path, dir, strerror(err));
	}
	*ret = fd;
	return 0;
}

/* Never waits for long: whoever may read a directory may lock it. */
static int lock_directory(int dir, const char *path, char *reterr, size_t len)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail_errno(errno, path, "lock the directory of",
					  reterr, len);
		nanosleep(&pause, NULL);
	}
	return fail(-EADDRINUSE, reterr, len,
		    "cannot make the admin socket %s: another process holds a "
		    "lock on its directory; is another broker starting there?",
		    path);
}

/* ---- what is there already ---- */

static int refuse_live(const char *path, char *reterr, size_t len)
{
	return fail(-EADDRINUSE, reterr, len,
		    "the admin socket %s is in use by another broker; give "
		    "this one a path of its own (vmq_webhooks.admin_socket)",
		    path);
}

/* 0 when nobody listens there, so that the file may be replaced. */
static int check_stale(const struct sockaddr_un *addr, char *reterr, size_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return fail_errno(errno, addr->sun_path, "make", reterr, len);
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0
		      ? 0
		      : errno;
	close(fd);
	if (err == ECONNREFUSED || err == ENOENT)
		return 0;
	if (!err || err == EAGAIN || err == EPROTOTYPE)
		return refuse_live(addr->sun_path, reterr, len);
	return fail(-err, reterr, len,
		    "cannot tell whether a broker listens on the admin socket "
		    "%s that exists already: %s; remove it if none does",
		    addr->sun_path, strerror(err));
}

static int make_room(const struct sockaddr_un *addr, char *reterr, size_t len)
{
	const char *path = addr->sun_path;
	struct stat st;
	int err;

	if (lstat(path, &st) != 0)
		return errno == ENOENT
			       ? 0
			       : fail_errno(errno, path, "make", reterr, len);
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, reterr, len,
			    "cannot make the admin socket %s: a file that is "
			    "no socket is there, and stays; remove it or give "
			    "another path (vmq_webhooks.admin_socket)",
			    path);
	err = check_stale(addr, reterr, len);
	if (err)
		return err;
	if (unlink(path) != 0 && errno != ENOENT)
		return fail_errno(errno, path, "replace the stale file of",
				  reterr, len);
	return 0;
}

/* ---- our own ---- */

static int fail_to_bind(int err, const char *path, char *reterr, size_t len)
{
	if (err != EACCES && err != EROFS)
		return fail_errno(err, path, "make", reterr, len);
	return fail(-err, reterr, len,
		    "cannot make the admin socket %s: %s; its directory must "
		    "belong to the user that the broker runs as",
		    path, strerror(err));
}

/* Nobody can connect before listen(), and by then the mode is right. */
static int bind_and_listen(struct admin_socket *s, char *reterr, size_t len)
{
	const char *path = s->addr.sun_path;
	struct stat st;

	if (bind(s->fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) !=
	    0)
		return fail_to_bind(errno, path, reterr, len);
	if (chmod(path, MODE) != 0 || lstat(path, &st) != 0 ||
	    listen(s->fd, BACKLOG) != 0) {
		int err = errno;

		unlink(path);
		return fail_errno(err, path, "set up", reterr, len);
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

int admin_socket_open(struct admin_socket *ret, const char *path, char *reterr,
		      size_t reterr_len)
{
	struct admin_socket s = { .fd = -1, .addr.sun_family = AF_UNIX };
	int dir = -1, err;

	if (!*path)
		return fail(-EINVAL, reterr, reterr_len,
			    "the path of the admin socket is empty");
	if (strlen(path) >= sizeof(s.addr.sun_path))
		return fail(-ENAMETOOLONG, reterr, reterr_len,
			    "the path of the admin socket is longer than %zu "
			    "bytes: %s",
			    sizeof(s.addr.sun_path) - 1, path);
	snprintf(s.addr.sun_path, sizeof(s.addr.sun_path), "%s", path);
	err = open_directory(path, &dir, reterr, reterr_len);
	if (err)
		return err;
	err = lock_directory(dir, path, reterr, reterr_len);
	if (err)
		goto out;
	err = make_room(&s.addr, reterr, reterr_len);
	if (err)
		goto out;
	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s.fd < 0)
		err = fail_errno(errno, path, "make", reterr, reterr_len);
	else
		err = bind_and_listen(&s, reterr, reterr_len);
out:
	close(dir); /* and with it the lock */
	if (!err)
		*ret = s;
	else if (s.fd >= 0)
		close(s.fd);
	return err;
}

void admin_socket_close(struct admin_socket *s)
{
	struct stat st;

	/* Before close(): as long as we listen nobody else replaces it, and
	 * its inode number is not given away. */
	if (lstat(s->addr.sun_path, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		unlink(s->addr.sun_path);
	close(s->fd);
	s->fd = -1;
}
