/*
 * socket.h - make and remove a listening Unix socket.
 *
 * A crashed broker leaves its socket file behind; a running one must keep
 * its own. Whoever makes a socket holds a lock (flock) on the directory while
 * it looks whether the file is live and puts its own in place, so that two
 * brokers that start at once cannot replace each other's. The lock is on the
 * directory because a lock file of its own would have to stay for ever:
 * removing one is a race again. It is held for microseconds, not while the
 * broker runs: from then on the socket itself answers who asks.
 *
 * One thread at a time. Never logs.
 */
#ifndef PLUGIN_ADMIN_SOCKET_H
#define PLUGIN_ADMIN_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

struct admin_socket {
	int fd;    /* listening, non-blocking, close-on-exec */
	dev_t dev; /* of the file, to know it again */
	ino_t ino;
	struct sockaddr_un addr;
};

/*
 * Listen on `path` with mode 0660 whatever the umask; the mode is right
 * before the first connection can come. Returns 0; or -EADDRINUSE (somebody
 * answers there, or another broker is starting there), -EEXIST (it is no
 * socket), -ENAMETOOLONG, -EINVAL (an empty path), or -errno; then `reterr`
 * says what is wrong and what to do about it, and nothing has changed but
 * that a stale file may be gone.
 */
int admin_socket_open(struct admin_socket *ret, const char *path, char *reterr,
		      size_t reterr_len);

/* Remove the file if it is still the one that was made, then close. */
void admin_socket_close(struct admin_socket *s);

#endif /* PLUGIN_ADMIN_SOCKET_H */
