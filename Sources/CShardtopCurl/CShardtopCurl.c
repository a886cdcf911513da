#include "CShardtopCurl.h"

#include <stdint.h>
#include <sys/socket.h>

CURLcode shardtop_curl_prepare(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

static int bound_receive_buffer(void *bytes, curl_socket_t socket, curlsocktype purpose) {
    int count = (int)(intptr_t)bytes;
    (void)purpose;
    // A system that refuses keeps its own bound.
    (void)setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &count, sizeof count);
    return CURL_SOCKOPT_OK;
}

CURLcode shardtop_curl_bound_receive_buffer(CURL *easy, int bytes) {
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, bound_receive_buffer);
    return curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, (void *)(intptr_t)bytes);
}
