/* The clients of the pipeline: they decode every v2 PRICE frame and say how old its values were by then.
 *
 *     0  u32 crc32   4  u16 count   6  u8 version = 2   7  u8 kind = 1   8  u64 time_us   16  count records
 *     record: u16 symbol_id, u16 flags, i32 delay_us, f64 price, f64 volume
 *
 * The age of a record is the clock at the end of the decode of its frame, the CRC checked and all records
 * read, minus time_us, plus delay_us. Numbers lie here as on the wire: little-endian. */

#include "connections.h"

#define HEADER 16
#define VERSION 2
#define PRICE 1
#define SYMBOLS 65536
#define EXACT_BITS 11 /* up to 2,047 us each value counts for itself, above that by its first eleven bits */
#define BUCKETS ((32 - EXACT_BITS + 2) << (EXACT_BITS - 1))

struct record {
    uint16_t symbol_id, flags;
    int32_t delay_us;
    double price, volume;
};

struct histogram {
    uint64_t count, in_bucket[BUCKETS];
};

struct record newest[SYMBOLS]; /* what a client has them for; not static, so that it is really written */
static int32_t delays_us[SYMBOLS];
static struct histogram age, last_hop;
static uint32_t crc_table[8][256];

/* CRC-32, eight bytes at a time */

static void fill_crc_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
        crc_table[0][byte] = crc;
    }
    for (int place = 1; place < 8; place++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[place - 1][byte];
            crc_table[place][byte] = before >> 8 ^ crc_table[0][before & 0xFF];
        }
}

static uint32_t crc32_of(const unsigned char *data, size_t size) {
    uint32_t crc = 0xFFFFFFFF, low, high;
    for (; size >= 8; data += 8, size -= 8) {
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = crc_table[7][low & 0xFF] ^ crc_table[6][low >> 8 & 0xFF] ^ crc_table[5][low >> 16 & 0xFF]
            ^ crc_table[4][low >> 24] ^ crc_table[3][high & 0xFF] ^ crc_table[2][high >> 8 & 0xFF]
            ^ crc_table[1][high >> 16 & 0xFF] ^ crc_table[0][high >> 24];
    }
    for (; size; data++, size--) crc = crc >> 8 ^ crc_table[0][(crc ^ *data) & 0xFF];
    return ~crc;
}

/* Microseconds, right to a thousandth */

static size_t bucket_of(uint64_t value_us) {
    int shift = 0;
    while (value_us >> (EXACT_BITS + shift)) shift++;
    return ((size_t)shift << (EXACT_BITS - 1)) + (value_us >> shift);
}

static uint32_t first_of(size_t bucket) {
    size_t shift = bucket >> (EXACT_BITS - 1);
    if (shift > 0) shift--;
    return (uint32_t)((bucket - (shift << (EXACT_BITS - 1))) << shift);
}

static void add(struct histogram *histogram, int64_t value_us) {
    if (value_us < 0) value_us = 0;
    if (value_us > UINT32_MAX) value_us = UINT32_MAX;
    histogram->in_bucket[bucket_of((uint64_t)value_us)]++;
    histogram->count++;
}

static uint32_t quantile(const struct histogram *histogram, double share) {
    uint64_t before = 0;
    if (!histogram->count) return 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        before += histogram->in_bucket[bucket];
        if ((double)before > share * (double)(histogram->count - 1)) return first_of(bucket);
    }
    return UINT32_MAX;
}

static void write_quantiles(const char *name, const struct histogram *histogram) {
    printf(", \"%s\": {\"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u}", name, quantile(histogram, 0.5),
           quantile(histogram, 0.99), quantile(histogram, 0.999));
}

/* What connections.h asks for */

static void on_message(const unsigned char *payload, size_t size) {
    uint32_t crc;
    uint16_t count;
    uint64_t time_us;
    if (!crc_table[0][1]) fill_crc_table();
    if (size < HEADER || payload[6] != VERSION || payload[7] != PRICE) fail("no PRICE frame: %zu bytes", size);
    memcpy(&crc, payload, 4);
    memcpy(&count, payload + 4, 2);
    memcpy(&time_us, payload + 8, 8);
    if (size != HEADER + count * sizeof(struct record)) fail("%u records in %zu bytes", count, size);
    if (crc != crc32_of(payload + 4, size - 4)) fail("a wrong CRC in a frame of %zu bytes", size);
    for (size_t one = 0; one < count; one++) {
        struct record record;
        memcpy(&record, payload + HEADER + one * sizeof record, sizeof record);
        newest[record.symbol_id] = record;
        delays_us[one] = record.delay_us;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t hop_us = now.tv_sec * 1000000 + now.tv_nsec / 1000 - (int64_t)time_us;
    add(&last_hop, hop_us);
    for (size_t one = 0; one < count; one++) add(&age, hop_us + delays_us[one]);
}

static void begin_figures(void) {
    memset(&age, 0, sizeof age);
    memset(&last_hop, 0, sizeof last_hop);
}

static void write_figures(void) {
    printf(", \"records\": %llu", (unsigned long long)age.count);
    write_quantiles("age", &age);
    write_quantiles("last_hop", &last_hop);
}
