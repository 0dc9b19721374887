/*
 * conf.h - `key = value` settings into a caller's structs.
 *
 * The caller describes its settings as tables of directives; the reader
 * fills fields through their offsets and knows nothing of what they mean,
 * so this folder depends on libc alone. Keys are dot-separated segments as in
 * VerneMQ's files: a section matches the segments before the last one, `*`
 * standing for any one segment (`vmq_webhooks.*`).
 *
 * Never logs, keeps no state but what is in `struct conf`: safe from any
 * thread that has one of its own. There may be secrets among the values: its
 * own copies of them are wiped.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_REASON_LEN 128

enum conf_type {
	CONF_STR = 0, /* char *, malloc'd, owned by the filled struct */
	CONF_BOOL,    /* bool: on, off */
	CONF_UINT,    /* uint32_t: decimal, in min..max */
	CONF_CHOICE,  /* unsigned: an index into `choices` */
	CONF_NONE,    /* nothing is stored: what `check` accepts is without
			 * effect, and no error text recommends such a key */
	CONF_CALL,    /* `set` takes the value */
};

struct conf_directive {
	/* The key's last segment. `*` is any that no directive of its name
	 * claims, in no section of that path. */
	const char *name;
	enum conf_type type;
	size_t offset;              /* of the field in its struct */
	uint32_t min, max;          /* CONF_UINT */
	const char *const *choices; /* CONF_CHOICE; ends with NULL */
	const char *unit;           /* CONF_UINT: "ms", for messages */
	bool secret;                /* for who shows values; not read here */
	/* What a value must satisfy beyond its type: 0, -ENOMEM, or -EINVAL
	 * with what is wrong in `reterr`. NULL: nothing. CONF_STR and
	 * CONF_NONE. */
	int (*check)(const char *value, char reterr[static CONF_REASON_LEN]);
	/* CONF_CALL: put `value`, of a key whose last segment is `name`, into
	 * the struct. Returns as `check` does. */
	int (*set)(void *obj, const char *name, const char *value,
		   char reterr[static CONF_REASON_LEN]);
};

/* Several sections may have one path, and fill different structs. */
struct conf_section {
	const char *path; /* "vmq_webhooks.*"; "" is the top */
	const struct conf_directive *directives; /* ends with {0} */
	/* Find or make the struct to fill, for the segment that `*` stood for
	 * ("" without one), met at `place`. Called for known keys only.
	 * Returns 0, -ENOMEM, or -EINVAL with what is wrong in `reterr`.
	 * NULL: `root` itself is the struct. */
	int (*open)(void *root, const char *segment, const char *place,
		    void **ret, char reterr[static CONF_REASON_LEN]);
};

/* Where settings go. Set the first three, zero the rest; conf_clear() when
 * done, also after a failure. */
struct conf {
	const struct conf_section *sections; /* ends with {0} */
	/* Beginnings of the keys that are the caller's, in whole segments, ""
	 * of all there are; ends with NULL. Other keys are others' and
	 * ignored, unless they miss a claim by one letter. */
	const char *const *claims;
	void *root;
	struct conf_key *keys; /* private: those set so far, and where */
	unsigned files;        /* private: read so far */
};

/* Where a setting stands, and what is wrong with it. */
struct conf_error {
	char text[1024]; /* whole and for people: "FILE:LINE: key: ..." */
};

/* Set one `key` to `value`, blanks around it left out. `place` begins the
 * error's text: a name that tells people which setting is meant. Returns 0;
 * -EINVAL (unknown key, with the nearest known one; set before, with the
 * place; value out of range, with what is allowed) or -ENOMEM, with `reterr`
 * filled; -ENOENT when no claim covers `key`, `reterr` untouched. */
int conf_set(struct conf *conf, const char *place, const char *key,
	     const char *value, struct conf_error *reterr);

/*
 * Read `len` bytes of `text`, which need not end with a NUL, named `name`
 * in errors. The grammar is that of VerneMQ's files (cuttlefish): lines end
 * with LF or CRLF and are `key = value`, `key = 'value'`, `include FILES` or
 * empty; `#` outside quotes begins a comment, with or without a blank before
 * it. A byte order mark is skipped. Other than there, a key set twice is an
 * error, quotes end on their line, and so is a NUL.
 *
 * FILES, with shell wildcards, is relative to the folder of `name` and read
 * in place, sorted; a name without wildcards must exist. At most 100 files
 * go into one `conf`.
 *
 * Returns 0; or -EINVAL, -ENOMEM, or what conf_read_file() returns of an
 * included file, with `reterr` filled. On failure the fields set so far stay
 * set: free the struct the usual way.
 */
int conf_read_text(struct conf *conf, const char *name, const char *text,
		   size_t len, struct conf_error *reterr);

/* As conf_read_text(), from a regular file of at most 1 MiB (-EFBIG). Also
 * -errno of opening or reading it. */
int conf_read_file(struct conf *conf, const char *path,
		   struct conf_error *reterr);

/* What is left of an open file, at most `size` bytes of it. Returns 0 or
 * -errno. */
int conf_read_all(int fd, char *buf, size_t size, size_t *ret_len);

/* Forget which keys were set. What `root` holds is the caller's. */
void conf_clear(struct conf *conf);

/* Wipe and free every CONF_STR that `directives` describes in `obj`, and set
 * it to NULL. NULL `obj` is fine. */
void conf_release(const struct conf_directive *directives, void *obj);

/* The one of `names` (ends with NULL) nearest to `word` by edit distance,
 * case and neighbouring letters swapped counting little, or NULL when none
 * is near. */
const char *conf_nearest(const char *word, const char *const *names);

#endif /* CONF_CONF_H */
