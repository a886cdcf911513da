#ifndef CSHARDTOPBYTES_H
#define CSHARDTOPBYTES_H

// The inner loops of the record path for which Swift has no words: instructions of today's processors that it cannot
// name. Each is one function over plain bytes, decides at run time whether the processor has what it needs, and says
// with its answer how much it did, so that the portable loop in Swift does the rest, or all of it.

#include <stddef.h>
#include <stdint.h>

/// Folds the first bytes of `bytes` into the running IEEE CRC-32 `*crc` (inverted, as between two bytes) and returns
/// how many those were: a multiple of 16, or none.
size_t shardtop_crc32(uint32_t *crc, const void *bytes, size_t count);

/// Decodes base64 digits onto their own start, 32 digits into 24 bytes at a time, and returns how many digits those
/// were: a multiple of 32, or none. It stops before the first byte that is no digit, and before the last 32 digits.
size_t shardtop_base64_decode(void *bytes, size_t count);

/// Asks for the memory at `address` ahead of its use; any address is allowed.
static inline void shardtop_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
