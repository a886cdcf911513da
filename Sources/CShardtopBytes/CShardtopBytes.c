#include "CShardtopBytes.h"

#if defined(__x86_64__)

#include <immintrin.h>

// V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009); the
// constants are those of its reflected polynomial 0xEDB88320: powers of x by which 512, 128 and 64 bits are folded,
// and what the reduction at the end multiplies with.
__attribute__((target("pclmul,sse4.1")))
static size_t crc32_folded(uint32_t *crc, const uint8_t *bytes, size_t count) {
    const size_t taken = count & ~(size_t)15;
    const __m128i by512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by64 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i reduction = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low = _mm_setr_epi32(-1, 0, -1, 0);
    const uint8_t *end = bytes + taken;
    __m128i sum[4];
    for (int lane = 0; lane < 4; lane++) sum[lane] = _mm_loadu_si128((const __m128i *)(bytes + 16 * lane));
    sum[0] = _mm_xor_si128(sum[0], _mm_cvtsi32_si128((int)*crc));
    for (bytes += 64; end - bytes >= 64; bytes += 64) {
        for (int lane = 0; lane < 4; lane++) {
            __m128i next = _mm_loadu_si128((const __m128i *)(bytes + 16 * lane));
            __m128i a = _mm_clmulepi64_si128(sum[lane], by512, 0x00);
            __m128i b = _mm_clmulepi64_si128(sum[lane], by512, 0x11);
            sum[lane] = _mm_xor_si128(_mm_xor_si128(a, b), next);
        }
    }
    __m128i all = sum[0];
    for (int lane = 1; lane < 4; lane++) {
        __m128i a = _mm_clmulepi64_si128(all, by128, 0x00);
        __m128i b = _mm_clmulepi64_si128(all, by128, 0x11);
        all = _mm_xor_si128(_mm_xor_si128(a, b), sum[lane]);
    }
    for (; bytes < end; bytes += 16) {
        __m128i next = _mm_loadu_si128((const __m128i *)bytes);
        __m128i a = _mm_clmulepi64_si128(all, by128, 0x00);
        __m128i b = _mm_clmulepi64_si128(all, by128, 0x11);
        all = _mm_xor_si128(_mm_xor_si128(a, b), next);
    }
    // 128 bits to 64.
    all = _mm_xor_si128(_mm_srli_si128(all, 8), _mm_clmulepi64_si128(all, by128, 0x10));
    all = _mm_xor_si128(_mm_srli_si128(all, 4), _mm_clmulepi64_si128(_mm_and_si128(all, low), by64, 0x00));
    // Barrett's reduction to 32.
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(all, low), reduction, 0x10);
    __m128i product = _mm_clmulepi64_si128(_mm_and_si128(quotient, low), reduction, 0x00);
    *crc = (uint32_t)_mm_extract_epi32(_mm_xor_si128(all, product), 1);
    return taken;
}

size_t shardtop_crc32(uint32_t *crc, const void *bytes, size_t count) {
    if (count < 64 || !__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("sse4.1")) return 0;
    return crc32_folded(crc, bytes, count);
}

// W. Muła, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (2018): the high and the low half
// of a byte each choose a set of reasons why it may be no digit, and the high half what to add to make it its value.
__attribute__((target("avx2")))
static size_t base64_decoded(uint8_t *bytes, size_t count) {
    const __m256i low_reasons = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A));
    const __m256i high_reasons = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
    const __m256i offsets = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i slash = _mm256_set1_epi8(0x2F);
    const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, -1, -1);
    size_t from = 0;
    uint8_t *to = bytes;
    // The last digits, with their padding, are the caller's.
    for (; count - from >= 64; from += 32, to += 24) {
        __m256i digits = _mm256_loadu_si256((const __m256i *)(bytes + from));
        // The high half of a byte above 127 chooses 0x10, a reason that every low half has.
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(digits, 4), slash);
        __m256i low = _mm256_and_si256(digits, slash);
        __m256i reasons = _mm256_and_si256(
            _mm256_shuffle_epi8(high_reasons, high), _mm256_shuffle_epi8(low_reasons, low));
        if (!_mm256_testz_si256(reasons, reasons)) break;
        __m256i isSlash = _mm256_cmpeq_epi8(digits, slash);
        __m256i values = _mm256_add_epi8(
            digits, _mm256_shuffle_epi8(offsets, _mm256_add_epi8(isSlash, high)));
        __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
        __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
        __m256i packed = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(groups, order), lanes);
        // 32 bytes are written for 24: the last eight lie within the digits that were just read.
        _mm256_storeu_si256((__m256i *)to, packed);
    }
    return from;
}

size_t shardtop_base64_decode(void *bytes, size_t count) {
    if (count < 64 || !__builtin_cpu_supports("avx2")) return 0;
    return base64_decoded(bytes, count);
}

#else

size_t shardtop_crc32(uint32_t *crc, const void *bytes, size_t count) { return 0; }

size_t shardtop_base64_decode(void *bytes, size_t count) { return 0; }

#endif
