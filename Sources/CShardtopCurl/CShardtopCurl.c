#include "CShardtopCurl.h"

CURLcode shardtop_curl_prepare(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }
