#include "pool/explain.h"

#include <stdio.h>
#include <string.h>
#include "pool/transport.h"

/* Parts of OpenSSL's and libcurl's texts, the more particular first. */
struct meaning {
	const char *part, *means;
};

/* What we think of the server's certificate; `%s` is the name asked for. */
static const struct meaning of_verification[] = {
	{ "certificate has expired", "the certificate of %s has expired" },
	{ "certificate is not yet valid",
	  "the certificate of %s is not valid yet: is the clock right?" },
	{ "certificate revoked", "the certificate of %s has been revoked" },
	{ "unable to get certificate CRL",
	  "crlfile has no list of the authority that signed the certificate "
	  "of %s" },
	{ "CRL has expired",
	  "the revocation list for the certificate of %s has expired: renew "
	  "crlfile" },
	{ "CRL is not yet valid",
	  "the revocation list for the certificate of %s is not valid yet: is "
	  "the clock right?" },
	{ "does not match target host name",
	  "the certificate is for another name than %s (sni says which to "
	  "expect)" },
	{ "no alternative certificate subject name matches",
	  "the certificate is for another name than %s (sni says which to "
	  "expect)" },
	{ "public key does not match pinned",
	  "the key of %s is not one of pinned_public_key" },
	{ "self-signed certificate",
	  "the certificate of %s is from an authority that is not trusted "
	  "(cafile)" },
	{ "self signed certificate",
	  "the certificate of %s is from an authority that is not trusted "
	  "(cafile)" },
	{ "unable to get local issuer certificate",
	  "the certificate of %s is from an authority that is not trusted "
	  "(cafile), or the server leaves out the intermediate one" },
	{ "unable to get issuer certificate",
	  "the certificate of %s is from an authority that is not trusted "
	  "(cafile)" },
	{ "unable to verify the first certificate",
	  "the certificate of %s is from an authority that is not trusted "
	  "(cafile), or the server leaves out the intermediate one" },
	{ NULL, "the certificate of %s cannot be verified" },
};

/* What the server says of us. */
static const struct meaning of_alert[] = {
	{ "alert certificate required",
	  "%s requires a client certificate (certfile, keyfile)" },
	{ "alert unknown ca",
	  "%s refuses the client certificate: it does not know its authority" },
	{ "alert certificate expired",
	  "%s refuses the client certificate: it has expired" },
	{ "alert certificate revoked",
	  "%s refuses the client certificate: it has been revoked" },
	{ "alert certificate unknown", "%s refuses the client certificate" },
	{ "alert bad certificate", "%s refuses the client certificate" },
	{ "alert unsupported certificate",
	  "%s refuses the client certificate: it is of a kind that is not "
	  "accepted" },
	{ "alert access denied", "%s refuses the client certificate" },
	{ NULL, NULL },
};

static const struct meaning of_handshake[] = {
	{ "alert handshake failure",
	  "%s refuses the TLS handshake: it may require a client certificate "
	  "(certfile, keyfile), or have no cipher in common" },
	{ "alert protocol version",
	  "%s speaks no version of TLS that tls_version permits" },
	{ "unsupported protocol",
	  "%s speaks no version of TLS that tls_version permits" },
	{ "no protocols available",
	  "OpenSSL's configuration permits no version of TLS that tls_version "
	  "does" },
	{ "wrong version number", "%s does not speak TLS on this port" },
	{ "alert unrecognized name", "%s does not know that name (sni)" },
	{ NULL, NULL },
};

static const struct meaning of_client[] = {
	{ "private key",
	  "keyfile cannot be used: it is not the key of certfile, "
	  "keyfile_password is wrong, or the key is broken" },
	{ NULL, "certfile or keyfile cannot be used" },
};

static const char *find(const struct meaning *table, const char *text)
{
	while (table->part && !strstr(text, table->part))
		table++;
	return table->means;
}

static const char *find_meaning(CURLcode result, const char *text)
{
	const char *means;

	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		return find(of_verification, text);
	case CURLE_SSL_CERTPROBLEM:
		return find(of_client, text);
	case CURLE_SSL_CACERT_BADFILE:
		return "cafile cannot be used";
	case CURLE_SSL_CRL_BADFILE:
		return "crlfile cannot be used";
	default:
		means = find(of_alert, text);
		return means ? means : find(of_handshake, text);
	}
}

/* What stands before an @ in a URL, as redact_url() in plugin/ has it. */
static void hide_userinfo(char *text)
{
	char *at = text;

	while ((at = strstr(at, "://")) != NULL) {
		char *host = at + 3;
		char *end = host + strcspn(host, "/?# ");
		char *sign = memrchr(host, '@', (size_t)(end - host));

		if (sign) {
			memmove(host, sign, strlen(sign) + 1);
			end = host;
		}
		at = end;
	}
}

void explain(const struct transport *way, CURLcode result, const char *text,
	     bool sent, char ret[static EXPLAIN_LEN])
{
	const char *name = transport_server_name(way);
	const char *means, *place;
	size_t used;

	if (result == CURLE_OPERATION_TIMEDOUT && !sent) {
		snprintf(ret, EXPLAIN_LEN,
			 "no connection within %lu ms (connect_timeout)",
			 (unsigned long)transport_connect_ms(way));
		return;
	}
	means = transport_is_tls(way) ? find_meaning(result, text) : NULL;
	if (!means) {
		snprintf(ret, EXPLAIN_LEN, "%s", text);
		hide_userinfo(ret);
		return;
	}
	place = strstr(means, "%s");
	used = place ? (size_t)(place - means) : strlen(means);
	snprintf(ret, EXPLAIN_LEN, "TLS: %.*s%.128s%s (%.200s)", (int)used,
		 means, place ? name : "", place ? place + 2 : "", text);
	hide_userinfo(ret);
}

bool explain_is_refusal(CURLcode result, const char *text)
{
	return (result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR ||
		result == CURLE_SSL_CONNECT_ERROR) &&
	       find(of_alert, text);
}
