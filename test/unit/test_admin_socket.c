/* plugin/admin/socket.h */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/admin/socket.h"

enum {
	RACERS = 8
};

struct fixture {
	char dir[64], path[96];
	char err[512];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(f->dir, sizeof(f->dir), "/tmp/admin_socket.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int open_socket(struct fixture *f, struct admin_socket *s)
{
	f->err[0] = '\0';
	return admin_socket_open(s, f->path, f->err, sizeof(f->err));
}

/* 0 when somebody listens. */
static int try_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	assert_true(fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;
	close(fd);
	return err;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A socket file whose maker died. */
static void leave_stale(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
	assert_int_equal(try_connect(path), ECONNREFUSED);
}

static void opens_and_listens(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;

	assert_int_equal(open_socket(f, &s), 0);
	assert_int_equal(try_connect(f->path), 0);
	assert_true(fcntl(s.fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(s.fd, F_GETFD) & FD_CLOEXEC);
	admin_socket_close(&s);
	assert_false(exists(f->path));
}

static void mode_is_0660_whatever_the_umask(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		mode_t before = umask(masks[i]);
		struct admin_socket s;
		struct stat st;
		int err = open_socket(f, &s);

		umask(before);
		assert_int_equal(err, 0);
		assert_int_equal(lstat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
		admin_socket_close(&s);
	}
}

static void live_socket_is_refused_and_kept(void **state)
{
	struct fixture *f = *state;
	struct admin_socket first, second;

	assert_int_equal(open_socket(f, &first), 0);
	assert_int_equal(open_socket(f, &second), -EADDRINUSE);
	assert_non_null(strstr(f->err, f->path));
	assert_non_null(strstr(f->err, "vmq_webhooks.admin_socket"));
	assert_int_equal(try_connect(f->path), 0);
	admin_socket_close(&first);
}

/* A broker that is held up does not accept; it lives all the same. */
static void live_socket_with_full_queue_is_kept(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct admin_socket first, second;
	int fds[64];
	size_t n = 0;

	assert_int_equal(open_socket(f, &first), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	for (; n < 64; n++) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fds[n], (struct sockaddr *)&addr, sizeof(addr)))
			break;
	}
	assert_true(n < 64);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(open_socket(f, &second), -EADDRINUSE);
	assert_true(exists(f->path));
	for (size_t i = 0; i <= n; i++)
		close(fds[i]);
	admin_socket_close(&first);
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;

	leave_stale(f->path);
	assert_int_equal(open_socket(f, &s), 0);
	assert_int_equal(try_connect(f->path), 0);
	admin_socket_close(&s);
}

static void other_files_are_kept(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;
	int fd = open(f->path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	assert_int_equal(open_socket(f, &s), -EEXIST);
	assert_non_null(strstr(f->err, "no socket"));
	assert_true(exists(f->path));
	unlink(f->path);

	/* a link to a socket, too: who knows whose */
	assert_int_equal(symlink("/nowhere", f->path), 0);
	assert_int_equal(open_socket(f, &s), -EEXIST);
	assert_true(exists(f->path));
}

static void missing_directory_is_named(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;
	char path[128];

	snprintf(path, sizeof(path), "%s/none/sock", f->dir);
	assert_int_equal(admin_socket_open(&s, path, f->err, sizeof(f->err)),
			 -ENOENT);
	assert_non_null(strstr(f->err, "/none"));
}

static void bad_paths_are_refused(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(admin_socket_open(&s, path, f->err, sizeof(f->err)),
			 -ENAMETOOLONG);
	path[108] = '\0';
	assert_int_equal(admin_socket_open(&s, path, f->err, sizeof(f->err)),
			 -ENAMETOOLONG);
	assert_int_equal(admin_socket_open(&s, "", f->err, sizeof(f->err)),
			 -EINVAL);
}

static void close_leaves_anothers_socket(void **state)
{
	struct fixture *f = *state;
	struct admin_socket first, second;

	assert_int_equal(open_socket(f, &first), 0);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(open_socket(f, &second), 0);
	admin_socket_close(&first);
	assert_int_equal(try_connect(f->path), 0);
	admin_socket_close(&second);
}

static void held_lock_is_refused_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct admin_socket s;
	int dir = open(f->dir, O_RDONLY | O_DIRECTORY);

	assert_int_equal(flock(dir, LOCK_EX), 0);
	assert_int_equal(open_socket(f, &s), -EADDRINUSE);
	assert_non_null(strstr(f->err, "lock"));
	assert_false(exists(f->path));
	close(dir);
	assert_int_equal(open_socket(f, &s), 0);
	admin_socket_close(&s);
}

/* In a process of its own: 0 when it got the socket, 1 when not. Keeps it
 * until `done` is closed. */
static void race(struct fixture *f, int go, int result, int done)
{
	struct admin_socket s;
	char byte = 0;
	int err;

	if (read(go, &byte, 1) != 0)
		_exit(2);
	err = open_socket(f, &s);
	byte = err == 0 ? 'w' : err == -EADDRINUSE ? 'l' : '?';
	if (write(result, &byte, 1) != 1 || read(done, &byte, 1) != 0)
		_exit(2);
	_exit(0);
}

static void one_of_many_wins_a_stale_socket(void **state)
{
	struct fixture *f = *state;
	int go[2], result[2], done[2], winners = 0, status;
	char byte;

	leave_stale(f->path);
	assert_int_equal(pipe(go) | pipe(result) | pipe(done), 0);
	for (int i = 0; i < RACERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			close(go[1]);
			close(done[1]);
			race(f, go[0], result[1], done[0]);
		}
	}
	close(go[1]);
	for (int i = 0; i < RACERS; i++) {
		assert_int_equal(read(result[0], &byte, 1), 1);
		assert_true(byte == 'w' || byte == 'l');
		winners += byte == 'w';
	}
	assert_int_equal(winners, 1);
	assert_int_equal(try_connect(f->path), 0);
	close(done[1]);
	for (int i = 0; i < RACERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	close(go[0]);
	close(done[0]);
	close(result[0]);
	close(result[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_and_listens),
		TEST(mode_is_0660_whatever_the_umask),
		TEST(live_socket_is_refused_and_kept),
		TEST(live_socket_with_full_queue_is_kept),
		TEST(stale_socket_is_replaced),
		TEST(other_files_are_kept),
		TEST(missing_directory_is_named),
		TEST(bad_paths_are_refused),
		TEST(close_leaves_anothers_socket),
		TEST(held_lock_is_refused_not_waited_for),
		TEST(one_of_many_wins_a_stale_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
