#include "test/bench/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "test/bench/load.h"

enum {
	SOURCES = 200, /* loopback addresses to connect from */
};

/* Connections from one address to one port are as many as there are ports,
 * and closed ones count for a minute. */
static int bind_source(int fd, uint64_t number)
{
	uint32_t host = INADDR_LOOPBACK + 256 + (uint32_t)(number % SOURCES);
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(host),
	};
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr));
}

static int connect_to(const struct load *load, uint64_t number, int *ret_fd)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)load->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, err = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind_source(fd, number) != 0 ||
	    (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 &&
	     errno != EINPROGRESS))
		err = -errno;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

int client_open(struct load *load, struct client *c, const char *client_id)
{
	uint8_t packet[MQTT_PACKET_MAX];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int err = connect_to(load, load->opened++, &c->fd);

	if (err)
		return err;
	c->in_len = c->out_len = 0;
	c->online = c->blocked = false;
	c->inflight = 0;
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
		err = -errno;
		client_close(c);
		return err;
	}
	c->sent = bench_now_ns();
	client_send(load, c, packet, mqtt_connect(packet, client_id));
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->online = false;
}

/* Ask to be told when the socket takes more, or no longer. */
static void watch(struct load *load, struct client *c, bool blocked)
{
	struct epoll_event ev = {
		.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
		.data.ptr = c,
	};

	if (c->blocked == blocked)
		return;
	c->blocked = blocked;
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* Returns how much went. */
static size_t push(struct client *c, const uint8_t *data, size_t len)
{
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

	return n < 0 ? 0 : (size_t)n;
}

static bool keep(struct client *c, const uint8_t *data, size_t len)
{
	if (c->out_len + len > c->out_room) {
		size_t room = 2 * (c->out_len + len);
		uint8_t *out = realloc(c->out, room);

		if (!out)
			return false;
		c->out = out;
		c->out_room = room;
	}
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
	return true;
}

bool client_send(struct load *load, struct client *c, const void *data,
		 size_t len)
{
	size_t n = 0;

	if (c->out_len == 0)
		n = push(c, data, len);
	if (n == len)
		return true;
	watch(load, c, true);
	return keep(c, (const uint8_t *)data + n, len - n);
}

/* ---- the loop's part ---- */

static void flush(struct load *load, struct client *c)
{
	size_t n = push(c, c->out, c->out_len);

	c->out_len -= n;
	memmove(c->out, c->out + n, c->out_len);
	if (c->out_len == 0)
		watch(load, c, false);
}

static void end(struct load *load, struct client *c)
{
	if (c->online)
		load->online--;
	client_close(c);
	load->mode->closed(load, c);
}

static void take(struct load *load, struct client *c,
		 const struct mqtt_packet *p)
{
	if (p->type == MQTT_CONNACK) {
		c->online = p->len == 2 && p->body[1] == 0;
		if (c->online)
			load->online++;
	}
	load->mode->packet(load, c, p);
}

/* What a mode does with a packet may close the client, and open it anew. */
static int take_all(struct load *load, struct client *c)
{
	int fd = c->fd, err = 0;
	struct mqtt_packet p;
	size_t used = 0;

	while (!err && used < c->in_len) {
		err = mqtt_parse(c->in + used, c->in_len - used, &p);
		if (err)
			break;
		used += p.whole;
		take(load, c, &p);
		if (c->fd != fd || c->in_len < used)
			return 0;
	}
	c->in_len -= used;
	memmove(c->in, c->in + used, c->in_len);
	return err == -EAGAIN ? 0 : err;
}

void client_event(struct load *load, struct client *c, unsigned events)
{
	ssize_t n;

	if (c->fd < 0)
		return;
	if (events & EPOLLOUT)
		flush(load, c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end(load, c);
		return;
	}
	c->in_len += (size_t)n;
	if (take_all(load, c) != 0)
		end(load, c);
}
