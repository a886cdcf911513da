#ifndef CSHARDTOPCURL_H
#define CSHARDTOPCURL_H

// Swift cannot call variadic C functions. Here is one wrapper for each shape of argument that libcurl's
// curl_easy_setopt, curl_easy_getinfo and curl_multi_setopt take; everything else of libcurl Swift calls itself.
// Which option takes which shape is the caller's business, as it is with libcurl.

// The typecheck macros of gcc refuse an option that is not a constant.
#ifndef CURL_DISABLE_TYPECHECK
#define CURL_DISABLE_TYPECHECK
#endif
#include <curl/curl.h>

#include "Spawn.h"

/// Called on the thread that drives the transfer, for the body (to take), a header line (to take) or the request's
/// body (to fill). `context` is what CURLOPT_WRITEDATA, CURLOPT_HEADERDATA or CURLOPT_READDATA was set to.
typedef size_t (*shardtop_curl_data_callback)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode shardtop_curl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

/// libcurl copies the string; NULL puts the option back to its default.
static inline CURLcode shardtop_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

/// The pointer must stay valid as long as the handle uses it.
static inline CURLcode shardtop_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode shardtop_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode shardtop_curl_set_callback(
    CURL *easy, CURLoption option, shardtop_curl_data_callback callback __attribute__((swift_attr("@Sendable")))) {
    return curl_easy_setopt(easy, option, callback);
}

/// The list must stay valid until the transfer is over.
static inline CURLcode shardtop_curl_set_list(CURL *easy, CURLoption option, struct curl_slist *list) {
    return curl_easy_setopt(easy, option, list);
}

static inline CURLcode shardtop_curl_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

/// Times in microseconds and sizes in bytes.
static inline CURLcode shardtop_curl_get_size(CURL *easy, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode shardtop_curl_get_double(CURL *easy, CURLINFO info, double *value) {
    return curl_easy_getinfo(easy, info, value);
}

/// The string belongs to the handle.
static inline CURLcode shardtop_curl_get_string(CURL *easy, CURLINFO info, const char **value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLMcode shardtop_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

/// Bounds what the system holds of a connection that nobody reads, which else grows with the speed it had.
CURLcode shardtop_curl_bound_receive_buffer(CURL *easy, int bytes);

/// The transfer that `message` is about, and how it ended; call only for CURLMSG_DONE.
static inline CURLcode shardtop_curl_result(const CURLMsg *message) { return message->data.result; }

/// Prepares libcurl for the process; once, before any other call.
CURLcode shardtop_curl_prepare(void);

#endif
