#include "pool/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "pool/pool.h"
#include "pool/url.h"

/* TCP's probes of a connection with nothing under way, in seconds: a peer
 * that vanished is found out, and a firewall between keeps its entry. */
enum {
	PROBE_IDLE_S = 30,
	PROBE_EVERY_S = 10,
};

struct transport {
	_Atomic unsigned refs;
	struct url url;
	char *server_name;
	struct pool_transport opts; /* all pointers to our own copies */
	/* libcurl takes revocations only by file name: a file in memory, which
	 * nobody can change, and its name. */
	int crl_fd;
	char crl_path[32];
	struct curl_slist connect_to; /* one, if any; libcurl copies neither */
};

static int copy_file(struct pool_file *file)
{
	const void *data = file->data;
	char *copy;

	file->data = NULL;
	if (!data)
		return 0;
	copy = malloc(file->len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, file->len);
	copy[file->len] = '\0';
	file->data = copy;
	return 0;
}

static int copy_text(const char **text)
{
	const char *given = *text;

	*text = given ? strdup(given) : NULL;
	return given && !*text ? -ENOMEM : 0;
}

/* Copies all, even after a failure: nothing given is left in `o`. */
static int copy_opts(struct pool_transport *o)
{
	int r = copy_file(&o->ca);

	r = copy_file(&o->cert) | r;
	r = copy_file(&o->key) | r;
	r = copy_file(&o->crl) | r;
	r = copy_text(&o->key_password) | r;
	r = copy_text(&o->pinned_key) | r;
	r = copy_text(&o->server_name) | r;
	r = copy_text(&o->proxy) | r;
	r = copy_text(&o->no_proxy) | r;
	return r ? -ENOMEM : 0;
}

static void free_file(const struct pool_file *file)
{
	if (file->data)
		explicit_bzero((void *)(uintptr_t)file->data, file->len);
	free((void *)(uintptr_t)file->data);
}

static void free_text(const char *text)
{
	if (text)
		explicit_bzero((void *)(uintptr_t)text, strlen(text));
	free((void *)(uintptr_t)text);
}

static void transport_destroy(struct transport *t)
{
	free_file(&t->opts.ca);
	free_file(&t->opts.cert);
	free_file(&t->opts.key);
	free_file(&t->opts.crl);
	free_text(t->opts.key_password);
	free_text(t->opts.pinned_key);
	free_text(t->opts.server_name);
	free_text(t->opts.proxy);
	free_text(t->opts.no_proxy);
	if (t->crl_fd >= 0)
		close(t->crl_fd);
	url_clear(&t->url);
	free(t->server_name);
	free(t);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int make_crl_file(struct transport *t)
{
	int r;

	if (!t->opts.crl.data)
		return 0;
	t->crl_fd = memfd_create("crl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (t->crl_fd < 0)
		return -errno;
	r = write_all(t->crl_fd, t->opts.crl.data, t->opts.crl.len);
	if (r)
		return r;
	if (fcntl(t->crl_fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return -errno;
	snprintf(t->crl_path, sizeof(t->crl_path), "/proc/self/fd/%d",
		 t->crl_fd);
	return 0;
}

/* The host of the URL, for people. */
static int find_server_name(struct transport *t)
{
	CURLU *u = curl_url();
	char *host = NULL;
	int r = -ENOMEM;

	if (u && !curl_url_set(u, CURLUPART_URL, t->url.text, 0) &&
	    !curl_url_get(u, CURLUPART_HOST, &host, 0)) {
		t->server_name = strdup(host);
		r = t->server_name ? 0 : -ENOMEM;
	}
	curl_free(host);
	curl_url_cleanup(u);
	return r;
}

/* Without TLS it does not matter, also when it changes. */
static void forget_tls(struct pool_transport *o)
{
	o->ca = o->cert = o->key = o->crl = (struct pool_file){ NULL, 0 };
	o->key_password = NULL;
}

int transport_create(struct transport **ret, const char *url,
		     const struct pool_transport *opts)
{
	struct transport *t;
	char why[128];
	int r, copied;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	atomic_init(&t->refs, 1);
	t->crl_fd = -1;
	r = url_parse(url, opts->server_name, &t->url, why);
	t->opts = *opts;
	if (!t->url.tls)
		forget_tls(&t->opts);
	copied = copy_opts(&t->opts);
	if (!r)
		r = copied;
	t->connect_to.data = t->url.connect_to;
	if (!r)
		r = find_server_name(t);
	if (!r && t->url.tls)
		r = make_crl_file(t);
	if (r) {
		transport_destroy(t);
		return r;
	}
	*ret = t;
	return 0;
}

struct transport *transport_ref(struct transport *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void transport_unref(struct transport *t)
{
	if (t && atomic_fetch_sub(&t->refs, 1) == 1)
		transport_destroy(t);
}

static bool file_equals(const struct pool_file *a, const struct pool_file *b)
{
	if (!a->data || !b->data)
		return a->data == b->data;
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

static bool text_equals(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool transport_equals(const struct transport *a, const struct transport *b)
{
	const struct pool_transport *x = &a->opts, *y = &b->opts;

	if (a == b)
		return true;
	return text_equals(a->url.text, b->url.text) &&
	       text_equals(a->url.socket, b->url.socket) &&
	       text_equals(a->url.connect_to, b->url.connect_to) &&
	       file_equals(&x->ca, &y->ca) && file_equals(&x->cert, &y->cert) &&
	       file_equals(&x->key, &y->key) && file_equals(&x->crl, &y->crl) &&
	       text_equals(x->key_password, y->key_password) &&
	       text_equals(x->pinned_key, y->pinned_key) &&
	       text_equals(x->proxy, y->proxy) &&
	       text_equals(x->no_proxy, y->no_proxy) &&
	       x->no_verify == y->no_verify && x->tls == y->tls &&
	       x->http == y->http && x->connect_ms == y->connect_ms &&
	       x->dns_ms == y->dns_ms && x->lifetime_ms == y->lifetime_ms;
}

/*
 * What libcurl is told
 */

static int from_code(CURLcode code)
{
	if (code == CURLE_OK)
		return 0;
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

#define SET(option, value)                                                     \
	do {                                                                   \
		if (!code)                                                     \
			code = curl_easy_setopt(easy, option, value);          \
	} while (0)

/* libcurl copies none of it. */
static CURLcode set_file(CURL *easy, CURLoption option,
			 const struct pool_file *file)
{
	struct curl_blob blob = {
		.data = (void *)(uintptr_t)file->data,
		.len = file->len,
		.flags = CURL_BLOB_NOCOPY,
	};

	return file->data ? curl_easy_setopt(easy, option, &blob) : CURLE_OK;
}

static CURLcode set_client(const struct transport *t, CURL *easy)
{
	CURLcode code = CURLE_OK;

	if (!t->opts.cert.data)
		return CURLE_OK;
	code = set_file(easy, CURLOPT_SSLCERT_BLOB, &t->opts.cert);
	if (!code)
		code = set_file(easy, CURLOPT_SSLKEY_BLOB, &t->opts.key);
	SET(CURLOPT_SSLCERTTYPE, "PEM");
	SET(CURLOPT_SSLKEYTYPE, "PEM");
	/* never none: OpenSSL would ask on the terminal */
	SET(CURLOPT_KEYPASSWD,
	    t->opts.key_password ? t->opts.key_password : "");
	return code;
}

/* The system's authorities are libcurl's default, a file and a folder: those
 * of a blob come before the file, but beside the folder. Every connection
 * shows its certificate: a session taken up again would not. */
static int set_tls(const struct transport *t, CURL *easy)
{
	static const long versions[] = {
		[POOL_TLS_1_0] = CURL_SSLVERSION_TLSv1_0,
		[POOL_TLS_1_1] = CURL_SSLVERSION_TLSv1_1,
		[POOL_TLS_1_2] = CURL_SSLVERSION_TLSv1_2,
		[POOL_TLS_1_3] = CURL_SSLVERSION_TLSv1_3,
	};
	CURLcode code = CURLE_OK;

	SET(CURLOPT_SSLVERSION, versions[t->opts.tls]);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, t->opts.no_verify ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, t->opts.no_verify ? 0L : 2L);
	if (t->opts.ca.data)
		SET(CURLOPT_CAPATH, (char *)NULL);
	if (!code)
		code = set_file(easy, CURLOPT_CAINFO_BLOB, &t->opts.ca);
	if (!code)
		code = set_client(t, easy);
	if (t->crl_fd >= 0)
		SET(CURLOPT_CRLFILE, t->crl_path);
	if (t->opts.pinned_key)
		SET(CURLOPT_PINNEDPUBLICKEY, t->opts.pinned_key);
	return from_code(code);
}

static long seconds_up(uint32_t ms)
{
	return ((long)ms + 999) / 1000;
}

static long http_version(const struct transport *t)
{
	if (t->url.socket)
		return CURL_HTTP_VERSION_1_1;
	switch (t->opts.http) {
	case POOL_HTTP_2:
		return t->url.tls ? CURL_HTTP_VERSION_2TLS
				  : CURL_HTTP_VERSION_1_1;
	case POOL_HTTP_2_PRIOR:
		return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	default:
		return CURL_HTTP_VERSION_1_1;
	}
}

/* Before version 8 libcurl cannot use a connection again on which HTTP/2 was
 * spoken unasked. */
static bool is_once_only(const struct transport *t)
{
	return !t->url.tls &&
	       http_version(t) == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE &&
	       curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

/* None of the environment in any case. */
static CURLcode set_proxy(const struct transport *t, CURL *easy)
{
	const char *proxy = t->url.socket ? NULL : t->opts.proxy;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_PROXY, proxy ? proxy : "");
	if (!proxy)
		SET(CURLOPT_NOPROXY, "*");
	else
		SET(CURLOPT_NOPROXY, t->opts.no_proxy ? t->opts.no_proxy : "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	return code;
}

static int set_way(const struct transport *t, CURL *easy)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, t->url.text);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, http_version(t));
	SET(CURLOPT_FORBID_REUSE, is_once_only(t) ? 1L : 0L);
	SET(CURLOPT_UNIX_SOCKET_PATH, t->url.socket);
	if (t->url.connect_to)
		SET(CURLOPT_CONNECT_TO, &t->connect_to);
	if (!code)
		code = set_proxy(t, easy);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->opts.connect_ms);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, seconds_up(t->opts.dns_ms));
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, (long)PROBE_IDLE_S);
	SET(CURLOPT_TCP_KEEPINTVL, (long)PROBE_EVERY_S);
	return from_code(code);
}

int transport_apply(const struct transport *t, CURL *easy)
{
	int r = set_way(t, easy);

	return r || !t->url.tls ? r : set_tls(t, easy);
}

const char *transport_host_header(const struct transport *t)
{
	return t->url.host_header;
}

bool transport_is_tls(const struct transport *t)
{
	return t->url.tls;
}

const char *transport_server_name(const struct transport *t)
{
	return t->server_name;
}

bool transport_may_multiplex(const struct transport *t)
{
	return http_version(t) != CURL_HTTP_VERSION_1_1 && !is_once_only(t);
}

uint32_t transport_connect_ms(const struct transport *t)
{
	return t->opts.connect_ms;
}

uint32_t transport_lifetime_ms(const struct transport *t)
{
	return t->opts.lifetime_ms;
}
