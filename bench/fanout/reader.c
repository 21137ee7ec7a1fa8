/* The clients of the fan-out: they count and time what they get and do nothing else with it.
 *
 * The price of a frame's first record is the microsecond at which it was sent (v1: at byte 8). */

#include "../connections.h"

#define PRICE_AT 8
#define OLDEST_US 600e6
#define CLOCKS_US 1000 /* a runtime's clock of microseconds may be so far from the system's */
#define MOST_SAMPLES (1 << 20) /* of a window; beyond that new ones take the places of the oldest */

static uint64_t strange, sample_count;
static uint32_t sample_us[MOST_SAMPLES];

static void on_message(const unsigned char *payload, size_t size) {
    double sent_us = 0, now_s = clock_s(CLOCK_REALTIME);
    if (size >= PRICE_AT + sizeof sent_us) memcpy(&sent_us, payload + PRICE_AT, sizeof sent_us);
    double delay_us = now_s * 1e6 - sent_us;
    if (delay_us < -CLOCKS_US || delay_us > OLDEST_US)
        strange++;
    else
        sample_us[sample_count++ % MOST_SAMPLES] = delay_us < 0 ? 0 : (uint32_t)delay_us;
}

static void begin_figures(void) {
    strange = sample_count = 0;
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static void write_figures(void) {
    size_t samples = sample_count < MOST_SAMPLES ? sample_count : MOST_SAMPLES;
    qsort(sample_us, samples, sizeof *sample_us, by_size);
    printf(", \"strange\": %llu, \"p50_us\": %u, \"p99_us\": %u", (unsigned long long)strange,
           samples ? sample_us[samples / 2] : 0, samples ? sample_us[samples * 99 / 100] : 0);
}
