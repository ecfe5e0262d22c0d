/* See hwc.h; behaves as the driver in Python does. */
#include "hwc.h"

#define STEP_US UINT32_C(10000) /* between two looks at the status, unless the interrupt comes */

/* What was written to memory before must be visible before the accelerator starts, and what it
 * wrote must not be read before its status: memory and registers are ordered by the full barrier of
 * the system, not by that of the processors among themselves. */
#if defined(__aarch64__) || (defined(__arm__) && defined(__ARM_ARCH) && __ARM_ARCH >= 7)
#define BARRIER() __asm__ volatile("dsb sy" ::: "memory")
#elif defined(__riscv)
#define BARRIER() __asm__ volatile("fence iorw, iorw" ::: "memory")
#else
#define BARRIER() __sync_synchronize()
#endif

static uint32_t get(const struct hwc *device, uint32_t offset)
{
    const struct hwc_platform *p = device->platform;

    return p->read32 ? p->read32(p->context, offset) : p->base[offset / 4];
}

static void set(const struct hwc *device, uint32_t offset, uint32_t value)
{
    const struct hwc_platform *p = device->platform;

    if (p->write32)
        p->write32(p->context, offset, value);
    else
        p->base[offset / 4] = value;
}

/* A number in two registers; counters only at rest. */
static uint64_t get_wide(const struct hwc *device, uint32_t offset)
{
    return get(device, offset) | (uint64_t)get(device, offset + 4) << 32;
}

static void set_wide(const struct hwc *device, uint32_t offset, uint64_t value)
{
    set(device, offset, (uint32_t)value);
    set(device, offset + 4, (uint32_t)(value >> 32));
}

static enum hwc_error end(struct hwc *device, enum hwc_error error)
{
    return device->fault.error = error;
}

static void forget(struct hwc *device)
{
    /* Not `= {0}`, of which a compiler may make a call of memset. */
    struct hwc_fault *f = &device->fault;

    f->error = HWC_OK;
    f->where = f->got = f->want = 0;
    f->address = 0;
    f->status = f->response = f->stream = f->frames_done = 0;
    f->write = 0;
}

static int expect(struct hwc *device, uint32_t where, uint32_t want)
{
    uint32_t got = get(device, where);

    if (got == want)
        return 1;
    device->fault.where = where;
    device->fault.got = got;
    device->fault.want = want;
    return 0;
}

static int same(struct hwc *device)
{
    const struct hwc_bundle *b = device->bundle;
    uint32_t pattern = UINT32_C(0xa5a55a5a);

    if (!expect(device, HWC_ID, HWC_IDENTITY) || !expect(device, HWC_VERSION, HWC_CONTRACT) ||
        !expect(device, HWC_HASH, b->hash) ||
        !expect(device, HWC_INPUT_STRIDE, b->input_stride) ||
        !expect(device, HWC_OUTPUT_STRIDE, b->output_stride))
        return 0;
    set(device, HWC_SCRATCH, pattern);
    if (!expect(device, HWC_SCRATCH, pattern))
        return 0;
    set(device, HWC_SCRATCH, ~pattern);
    return expect(device, HWC_SCRATCH, ~pattern);
}

/* Wait until the accelerator is idle or has refused; its status, still busy if it is too late. */
static uint32_t settle(const struct hwc *device, uint64_t timeout_us)
{
    const struct hwc_platform *p = device->platform;
    uint64_t since = p->microseconds(p->context), left;
    uint32_t status;

    for (;;) {
        /* The clock first: a program that was not running for long is not the device's fault. */
        uint64_t passed = p->microseconds(p->context) - since;

        status = get(device, HWC_STATUS);
        if (!(status & HWC_BUSY) || (status & HWC_REFUSED) || passed >= timeout_us)
            return status;
        left = timeout_us - passed;
        if (p->wait)
            p->wait(p->context, left < STEP_US ? (uint32_t)left : STEP_US);
    }
}

static int fits(struct hwc *device, uint64_t address, uint64_t bytes)
{
    uint64_t last = UINT64_MAX >> (64 - device->bundle->address_bits);

    if (address <= last && (bytes == 0 || bytes - 1 <= last - address))
        return 1;
    device->fault.address = address;
    return 0;
}

enum hwc_error hwc_open(struct hwc *device, const struct hwc_platform *platform,
                        const struct hwc_bundle *bundle)
{
    device->platform = platform;
    device->bundle = bundle;
    device->frames = 0;
    device->output = 0;
    forget(device);
    if (!platform->microseconds || (!platform->base && !(platform->read32 && platform->write32)))
        return end(device, HWC_NO_CLOCK);
    if (!same(device))
        return end(device, HWC_WRONG_DEVICE);
    if (get(device, HWC_STATUS) & HWC_BUSY)
        return hwc_abort(device, HWC_PATIENCE_US);
    return HWC_OK;
}

enum hwc_error hwc_start(struct hwc *device, uint32_t frames, uint64_t input, uint64_t output)
{
    const struct hwc_platform *p = device->platform;
    uint64_t reads = (uint64_t)frames * device->bundle->input_stride;
    uint64_t writes = (uint64_t)frames * device->bundle->output_stride;

    forget(device);
    if (!fits(device, input, reads) || !fits(device, output, writes))
        return end(device, HWC_OUT_OF_RANGE);
    if (p->flush && frames) {
        p->flush(p->context, input, reads);
        /* Also the output: a line of it that is evicted later would overwrite results. */
        p->flush(p->context, output, writes);
    }
    device->frames = frames;
    device->output = output;
    set_wide(device, HWC_INPUT_ADDR, input);
    set_wide(device, HWC_OUTPUT_ADDR, output);
    set(device, HWC_FRAMES, frames);
    BARRIER();
    set(device, HWC_CONTROL, HWC_START | (p->wait ? HWC_IRQ_ENABLE : 0u));
    return HWC_OK;
}

/* How a batch ended, from its status. */
static enum hwc_error judge(struct hwc *device, uint32_t status)
{
    struct hwc_fault *f = &device->fault;
    uint32_t error;

    f->status = status;
    if (status & HWC_REFUSED) {
        /* What may be running is somebody else's: it is left alone, and so are its bits. */
        if (!(status & HWC_BUSY))
            hwc_clear(device);
        return HWC_REJECTED;
    }
    f->frames_done = get(device, HWC_FRAMES_DONE);
    if (status & HWC_BUSY)
        return hwc_abort(device, HWC_PATIENCE_US) == HWC_OK ? HWC_TIMEOUT : HWC_HUNG;
    error = get(device, HWC_ERROR);
    hwc_clear(device);
    if (status & HWC_FAILED) {
        f->response = error & 3;
        f->write = (error >> 2) & 1;
        f->stream = (error >> 8) & 255;
        return HWC_BUS_ERROR;
    }
    return status & HWC_DONE ? HWC_OK : HWC_ABORTED;
}

enum hwc_error hwc_wait(struct hwc *device, uint64_t timeout_us, struct hwc_measured *measured)
{
    const struct hwc_platform *p = device->platform;
    enum hwc_error error = judge(device, settle(device, timeout_us));

    BARRIER();
    if (p->invalidate && device->frames && error != HWC_REJECTED)
        p->invalidate(p->context, device->output,
                      (uint64_t)device->frames * device->bundle->output_stride);
    if (error == HWC_OK && measured) {
        measured->cycles = get_wide(device, HWC_CYCLES);
        measured->first = get_wide(device, HWC_FIRST);
        measured->latency = get(device, HWC_NETWORK_LATENCY);
        measured->span = get(device, HWC_NETWORK_INTERVAL);
    }
    return end(device, error);
}

enum hwc_error hwc_run(struct hwc *device, uint32_t frames, uint64_t input, uint64_t output,
                       uint64_t timeout_us, struct hwc_measured *measured)
{
    enum hwc_error error = hwc_start(device, frames, input, output);

    return error == HWC_OK ? hwc_wait(device, timeout_us, measured) : error;
}

enum hwc_error hwc_abort(struct hwc *device, uint64_t patience_us)
{
    const struct hwc_platform *p = device->platform;
    uint32_t status;

    /* `rejected` would end the wait for the abort: it is cleared along. */
    set(device, HWC_CONTROL, HWC_ABORT | HWC_CLEAR | (p->wait ? HWC_IRQ_ENABLE : 0u));
    status = settle(device, patience_us);
    if ((status & HWC_BUSY) && p->reset) {
        p->reset(p->context);
        status = settle(device, patience_us);
    }
    hwc_clear(device);
    return end(device, status & HWC_BUSY ? HWC_HUNG : HWC_OK);
}

void hwc_clear(struct hwc *device)
{
    set(device, HWC_CONTROL, HWC_CLEAR);
}

uint64_t hwc_timeout_us(const struct hwc_bundle *bundle, uint32_t frames)
{
    uint64_t cycles = bundle->latency + (uint64_t)frames * bundle->interval;
    uint64_t khz = bundle->clock_khz;

    return HWC_PATIENCE_US + cycles / khz * 10000 + cycles % khz * 10000 / khz;
}

const char *hwc_error_text(enum hwc_error error)
{
    switch (error) {
    case HWC_OK:
        return "no error";
    case HWC_NO_CLOCK:
        return "the platform lacks a clock or access to the registers";
    case HWC_WRONG_DEVICE:
        return "no accelerator at this address, or that of another network";
    case HWC_OUT_OF_RANGE:
        return "a buffer reaches beyond the addresses of the accelerator's port";
    case HWC_REJECTED:
        return "refused: it wants a frame, addresses in multiples of 8, and nothing else running";
    case HWC_BUS_ERROR:
        return "memory refused an access";
    case HWC_TIMEOUT:
        return "not finished in time, and stopped; is the memory reachable, the clock running?";
    case HWC_ABORTED:
        return "somebody else stopped the batch";
    case HWC_HUNG:
        return "it hangs on its memory; load the bitstream again";
    }
    return "unknown error";
}

const char *hwc_response_text(uint32_t response)
{
    switch (response) {
    case HWC_LENGTH:
        return "a burst of another length than asked";
    case HWC_SLVERR:
        return "SLVERR";
    case HWC_DECERR:
        return "DECERR";
    default:
        return "OKAY";
    }
}
