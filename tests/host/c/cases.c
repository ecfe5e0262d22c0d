/* `cases NAME` runs one case of the driver against the model; without a name it lists them. */
#include <stdio.h>
#include <string.h>

#include "model.h"

#define FRAMES 9u
#define IN (MODEL_BASE + 0x100)
#define OUT (MODEL_BASE + 0x4000)

static const struct hwc_bundle BUNDLE = {0x1234abcd, 40, 48, 32, 98, 39, 100000};
static struct model model;
static struct hwc_platform platform;
static struct hwc device;
static struct hwc_measured found;
static int failures;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%d: %s\n", __LINE__, #condition); \
            failures++; \
        } \
    } while (0)

static enum hwc_error run_for(uint64_t timeout)
{
    return hwc_run(&device, FRAMES, IN, OUT, timeout, &found);
}

static void fresh(void)
{
    unsigned i;

    model_init(&model, &BUNDLE, &platform);
    for (i = 0; i < MODEL_SIZE; i++)
        model.memory[i] = (uint8_t)(i * 7 + i / 256);
    CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_OK);
}

/* The outputs of so many frames are right, and what follows was not written. */
static void right(uint32_t frames)
{
    const uint8_t *in = model.memory + 0x100, *out = model.memory + 0x4000;
    uint32_t i, wrong = 0;

    for (i = 0; i < frames * 48; i++)
        wrong += out[i] != model_output(&model, in + i / 48 * 40, i % 48);
    CHECK(wrong == 0);
}

/* After any error a good batch runs. */
static void again(void)
{
    model.frame_us = 7;
    model.fail_error = 0;
    model.foreign_abort = NEVER;
    memset(model.memory + 0x4000, 0, FRAMES * 48);
    CHECK(run_for(1000000) == HWC_OK);
    CHECK(device.fault.error == HWC_OK && device.fault.frames_done == FRAMES);
    right(FRAMES);
}

static void good(void)
{
    again();
    CHECK(model.starts == 1 && model.aborts == 0 && model.resets == 0);
    CHECK(model.frames == FRAMES && model.input == IN && model.output == OUT);
    CHECK(model.status == 0); /* cleared */
    again();
}

static void measured(void)
{
    again();
    CHECK(found.cycles == UINT64_C(0x2211111111) && found.first == UINT64_C(0x433333333));
    CHECK(found.latency == 0x55 && found.span == 0x66 * (FRAMES - 1));
    CHECK(hwc_run(&device, FRAMES, IN, OUT, 1000, NULL) == HWC_OK);
}

static void caches(void)
{
    again();
    CHECK(model.flushes_at_start == 2 && model.flushes == 2);
    CHECK(model.flushed[0] == IN && model.flushed_bytes[0] == FRAMES * 40);
    CHECK(model.flushed[1] == OUT && model.flushed_bytes[1] == FRAMES * 48);
    CHECK(model.invalidations == 1 && !model.busy_at_invalidate);
    CHECK(model.invalidated == OUT && model.invalidated_bytes == FRAMES * 48);
}

static void interrupts(void)
{
    CHECK(hwc_start(&device, FRAMES, IN, OUT) == HWC_OK);
    CHECK(model.irq_enable == 256);
    CHECK(hwc_wait(&device, 1000, NULL) == HWC_OK);
    CHECK(model.waits > 0);
    CHECK(model.irq_enable == 0);
}

static void polling(void)
{
    platform.wait = NULL;
    platform.flush = platform.invalidate = NULL;
    CHECK(hwc_start(&device, FRAMES, IN, OUT) == HWC_OK);
    CHECK(model.irq_enable == 0);
    CHECK(hwc_wait(&device, 1000, NULL) == HWC_OK);
    right(FRAMES);
}

static void wrong_device(void)
{
    static const uint32_t where[] = {HWC_ID,   HWC_VERSION, HWC_HASH, HWC_INPUT_STRIDE,
                                     HWC_OUTPUT_STRIDE, HWC_SCRATCH};
    unsigned i;

    for (i = 0; i < sizeof where / sizeof *where; i++) {
        model.odd_register = where[i];
        model.odd_value = 0x77;
        CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_WRONG_DEVICE);
        CHECK(device.fault.error == HWC_WRONG_DEVICE);
        CHECK(device.fault.where == where[i] && device.fault.got == 0x77);
        CHECK(device.fault.want != 0x77);
    }
    model.odd_register = HWC_SCRATCH; /* one of both patterns is not enough */
    model.odd_value = 0xa5a55a5a;
    CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_WRONG_DEVICE);
    model.odd_value = ~0xa5a55a5au;
    CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_WRONG_DEVICE);
}

static void no_clock(void)
{
    struct hwc_platform bad = platform;

    bad.microseconds = NULL;
    CHECK(hwc_open(&device, &bad, &BUNDLE) == HWC_NO_CLOCK);
    bad = platform;
    bad.read32 = NULL;
    CHECK(hwc_open(&device, &bad, &BUNDLE) == HWC_NO_CLOCK);
}

static void ranges(void)
{
    static struct hwc_bundle wide;
    uint64_t last = UINT64_C(0x100000000) - FRAMES * 40;

    CHECK(hwc_run(&device, FRAMES, last + 8, OUT, 1000, NULL) == HWC_OUT_OF_RANGE);
    CHECK(device.fault.address == last + 8);
    CHECK(hwc_run(&device, FRAMES, IN, UINT64_C(1) << 32, 1000, NULL) == HWC_OUT_OF_RANGE);
    CHECK(device.fault.address == UINT64_C(1) << 32);
    CHECK(hwc_run(&device, FRAMES, IN, UINT64_MAX - 7, 1000, NULL) == HWC_OUT_OF_RANGE);
    CHECK(model.starts == 0);
    model.frame_us = NEVER;
    CHECK(hwc_start(&device, FRAMES, last, OUT) == HWC_OK); /* the last address is fine */
    CHECK(model.input == last);
    CHECK(hwc_abort(&device, 1000) == HWC_OK);
    wide = BUNDLE;
    wide.address_bits = 64;
    device.bundle = &wide;
    CHECK(hwc_start(&device, FRAMES, UINT64_C(0x123456789abcdef8), OUT) == HWC_OK);
    CHECK(model.input == UINT64_C(0x123456789abcdef8));
}

static void rejected(void)
{
    CHECK(hwc_run(&device, 0, IN, OUT, 1000, NULL) == HWC_REJECTED);
    CHECK(model.status == 0 && model.flushes == 0 && model.invalidations == 0);
    CHECK(hwc_run(&device, FRAMES, IN + 4, OUT, 1000, NULL) == HWC_REJECTED);
    CHECK(hwc_run(&device, FRAMES, IN, OUT + 1, 1000, NULL) == HWC_REJECTED);
    CHECK(device.fault.status & HWC_REFUSED);
    again();
}

static void busy_with_another(void)
{
    model.frame_us = NEVER;
    CHECK(hwc_start(&device, FRAMES, IN, OUT) == HWC_OK);
    CHECK(hwc_run(&device, FRAMES, IN, OUT, 1000, NULL) == HWC_REJECTED);
    CHECK(model.status & HWC_BUSY); /* it is left alone */
    CHECK(model.aborts == 0);
    CHECK(hwc_abort(&device, 1000) == HWC_OK);
    CHECK(model.status == 0 && model.resets == 0);
    again();
}

static void bus_error(uint32_t error, uint32_t response, int write, uint32_t stream)
{
    model.fail_frame = 5;
    model.fail_error = error;
    CHECK(run_for(1000000) == HWC_BUS_ERROR);
    CHECK(device.fault.response == response && device.fault.write == write);
    CHECK(device.fault.stream == stream && device.fault.frames_done == 5);
    CHECK(model.invalidated == OUT); /* those five frames may be used */
    CHECK(model.status == 0);
    right(5);
    again();
}

static void bus_errors(void)
{
    bus_error(0x0102, HWC_SLVERR, 0, 1);
    bus_error(0x0003, HWC_DECERR, 0, 0);
    bus_error(0xff06, HWC_SLVERR, 1, 255);
    bus_error(0x0301, HWC_LENGTH, 0, 3);
}

static void time_out(void)
{
    uint64_t before;

    model.frame_us = 20000;
    before = model.now;
    CHECK(run_for(100000) == HWC_TIMEOUT);
    CHECK(model.now - before >= 100000 && model.now - before < 103000);
    CHECK(device.fault.frames_done == 5 || device.fault.frames_done == 4);
    CHECK(model.aborts == 1 && model.resets == 0 && model.status == 0);
    CHECK(model.starts == 1);
    again();
    CHECK(run_for(0) == HWC_TIMEOUT);
    again();
}

static void late_but_done(void)
{
    model.read_us = 5000; /* the look that finds it done comes after the time */
    model.frame_us = 100;
    CHECK(run_for(1000) == HWC_OK);
}

static void reset_after_abort(void)
{
    model.frame_us = NEVER;
    model.deaf = 1;
    CHECK(run_for(50000) == HWC_TIMEOUT);
    CHECK(model.aborts == 1 && model.resets == 1);
    model.deaf = 0;
    again();
}

static void hung(void)
{
    uint64_t before;

    model.frame_us = NEVER;
    model.deaf = 1;
    model.reset_helps = 0;
    before = model.now;
    CHECK(run_for(50000) == HWC_HUNG);
    CHECK(device.fault.error == HWC_HUNG && model.resets == 1);
    CHECK(model.now - before < 50000 + 2 * HWC_PATIENCE_US + 10000);
    platform.reset = NULL;
    CHECK(hwc_abort(&device, 1000) == HWC_HUNG);
    CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_HUNG);
    CHECK(model.resets == 1);
}

static void foreign_abort(void)
{
    model.foreign_abort = model.now + 30;
    CHECK(run_for(1000000) == HWC_ABORTED);
    CHECK(device.fault.status == HWC_STOPPED);
    again();
}

static void found_running(void)
{
    model.frame_us = NEVER;
    CHECK(hwc_start(&device, FRAMES, IN, OUT) == HWC_OK);
    CHECK(hwc_open(&device, &platform, &BUNDLE) == HWC_OK);
    CHECK(model.aborts == 1 && model.status == 0);
    again();
}

static void time_outs(void)
{
    struct hwc_bundle slow = BUNDLE;

    CHECK(hwc_timeout_us(&BUNDLE, 0) == HWC_PATIENCE_US + 9); /* 98 cycles at 100 MHz, tenfold */
    CHECK(hwc_timeout_us(&BUNDLE, 1000000) == HWC_PATIENCE_US + 3900009);
    slow.interval = 1000000;
    CHECK(hwc_timeout_us(&slow, UINT32_MAX) == HWC_PATIENCE_US + UINT64_C(429496729500009));
}

static void texts(void)
{
    int a, b;

    for (a = HWC_OK; a <= HWC_HUNG; a++)
        for (b = HWC_OK; b < a; b++)
            CHECK(strcmp(hwc_error_text((enum hwc_error)a), hwc_error_text((enum hwc_error)b)));
    CHECK(strcmp(hwc_error_text(HWC_HUNG), "unknown error"));
    CHECK(!strcmp(hwc_response_text(2), "SLVERR") && !strcmp(hwc_response_text(3), "DECERR"));
    CHECK(strstr(hwc_response_text(1), "length") != NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} CASES[] = {
    {"good", good},
    {"measured", measured},
    {"caches", caches},
    {"interrupts", interrupts},
    {"polling", polling},
    {"wrong_device", wrong_device},
    {"no_clock", no_clock},
    {"ranges", ranges},
    {"rejected", rejected},
    {"busy_with_another", busy_with_another},
    {"bus_errors", bus_errors},
    {"time_out", time_out},
    {"late_but_done", late_but_done},
    {"reset_after_abort", reset_after_abort},
    {"hung", hung},
    {"foreign_abort", foreign_abort},
    {"found_running", found_running},
    {"time_outs", time_outs},
    {"texts", texts},
};

int main(int count, char **arguments)
{
    unsigned i;

    for (i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        if (count < 2) {
            puts(CASES[i].name);
        } else if (strcmp(CASES[i].name, arguments[1]) == 0) {
            fresh();
            CASES[i].run();
            return failures != 0;
        }
    }
    return count < 2 ? 0 : 3;
}
