/* Driver of one accelerator: C99, no heap, no floating point, no library.
 *
 *     struct hwc device;
 *     const struct hwc_bundle bundle = HWC_BUNDLE;             (from hwc_bundle.h)
 *     if (hwc_open(&device, &platform, &bundle) == HWC_OK)
 *         error = hwc_run(&device, frames, input, output, hwc_timeout_us(&bundle, frames), &found);
 *
 * Inputs are `frames` records of `input_stride` bytes from device address `input` on, outputs records
 * of `output_stride` bytes from `output` on; the stream NAME begins HWC_OFFSET_NAME bytes into its
 * record. Not for use from several threads or interrupt handlers at once.
 */
#ifndef HWC_H
#define HWC_H

#include <stdint.h>

/* Registers, by byte offset. */
enum hwc_register {
    HWC_ID = 0x00,
    HWC_VERSION = 0x04,
    HWC_HASH = 0x08,
    HWC_SCRATCH = 0x0c,
    HWC_CONTROL = 0x10,
    HWC_STATUS = 0x14,
    HWC_ERROR = 0x18,
    HWC_FRAMES = 0x1c,
    HWC_FRAMES_DONE = 0x20,
    HWC_INPUT_ADDR = 0x24,
    HWC_INPUT_ADDR_HIGH = 0x28,
    HWC_OUTPUT_ADDR = 0x2c,
    HWC_OUTPUT_ADDR_HIGH = 0x30,
    HWC_CYCLES = 0x34,
    HWC_CYCLES_HIGH = 0x38,
    HWC_FIRST = 0x3c,
    HWC_FIRST_HIGH = 0x40,
    HWC_NETWORK_LATENCY = 0x44,
    HWC_NETWORK_INTERVAL = 0x48,
    HWC_INPUT_STRIDE = 0x4c,
    HWC_OUTPUT_STRIDE = 0x50
};

#define HWC_IDENTITY UINT32_C(0x48574331)
#define HWC_CONTRACT UINT32_C(1)

/* Bits of CONTROL, bits of STATUS, responses in bits 1:0 of ERROR. */
enum hwc_control { HWC_START = 1, HWC_ABORT = 2, HWC_CLEAR = 4, HWC_IRQ_ENABLE = 256 };
enum hwc_status {
    HWC_BUSY = 1,
    HWC_DONE = 2,
    HWC_FAILED = 4,
    HWC_STOPPED = 8,
    HWC_REFUSED = 16
};
enum hwc_response { HWC_LENGTH = 1, HWC_SLVERR = 2, HWC_DECERR = 3 };

/* What a call ends with; the fields of struct hwc_fault that say more are in parentheses. */
enum hwc_error {
    HWC_OK = 0,
    HWC_NO_CLOCK,     /* the platform has no `microseconds`, or neither `base` nor accessors */
    HWC_WRONG_DEVICE, /* a register does not read as it should (where, got, want) */
    HWC_OUT_OF_RANGE, /* a buffer does not end within the port's addresses (address) */
    HWC_REJECTED,     /* no frame, an address not in multiples of 8, or a batch was running */
    HWC_BUS_ERROR,    /* memory refused (response, write, stream, frames_done) */
    HWC_TIMEOUT,      /* not finished in time and stopped (frames_done) */
    HWC_ABORTED,      /* somebody else stopped the batch (status, frames_done) */
    HWC_HUNG          /* still busy after abort and reset: reset it and the memory's port */
};

/* How the last call of hwc_open, hwc_start, hwc_wait, hwc_run or hwc_abort ended. */
struct hwc_fault {
    enum hwc_error error;
    uint32_t where, got, want; /* an offset of enum hwc_register, what it read, what it should */
    uint64_t address;          /* of the buffer that does not fit */
    uint32_t status;           /* STATUS at the end of the batch */
    uint32_t response;         /* of enum hwc_response */
    int write;                 /* 1: an output was written, 0: an input read */
    uint32_t stream;           /* in the manifest's order of outputs, or of inputs */
    uint32_t frames_done;      /* frames whose outputs are in memory, and right */
};

/* What the driver needs of its surroundings. */
struct hwc_platform {
    void *context; /* passed to every function */

    /* The registers, mapped as device memory; or NULL, and both functions below. */
    volatile uint32_t *base;
    uint32_t (*read32)(void *context, uint32_t offset);
    void (*write32)(void *context, uint32_t offset, uint32_t value);

    /* A clock that never goes back. Every wait ends by it: it must not stand still. */
    uint64_t (*microseconds)(void *context);
    /* Wait for the interrupt, at most so long; may return at any time. NULL: polling, and the
     * interrupt stays disabled. */
    void (*wait)(void *context, uint32_t microseconds);

    /* Cache maintenance by device address, NULL for memory that is not cached, or coherent.
     * flush: write back what the processor wrote. invalidate: forget what it may have read ahead.
     * Buffers must not share cache lines with anything else. */
    void (*flush)(void *context, uint64_t address, uint64_t bytes);
    void (*invalidate)(void *context, uint64_t address, uint64_t bytes);

    /* Reset the accelerator and its side of the bus, or NULL. */
    void (*reset)(void *context);
};

/* Constants of a bundle; its hwc_bundle.h defines HWC_BUNDLE, an initializer. */
struct hwc_bundle {
    uint32_t hash;
    uint32_t input_stride, output_stride; /* bytes of a record */
    uint32_t address_bits;                /* 1 to 64 */
    uint32_t latency, interval;           /* predicted cycles at the network; the most */
    uint32_t clock_khz;
};

struct hwc {
    const struct hwc_platform *platform;
    const struct hwc_bundle *bundle;
    struct hwc_fault fault;
    uint32_t frames; /* of the batch under way, with its output */
    uint64_t output;
};

/* Clock cycles of a batch. */
struct hwc_measured {
    uint64_t cycles;  /* from start to the last acknowledged write */
    uint64_t first;   /* from start to the acknowledged end of frame 0 */
    uint32_t latency; /* at the network, from the first beat in to the end of frame 0 */
    uint32_t span;    /* at the network, from the end of frame 0 to the end of the last frame:
                         divided by frames - 1 the interval */
};

#define HWC_PATIENCE_US UINT32_C(1000000) /* for an abort, and on top of a batch's own time */

/* Check that the accelerator of `bundle` is there and stop what it may be running. Both structures
 * must live as long as `device`. HWC_NO_CLOCK, HWC_WRONG_DEVICE, HWC_HUNG. */
enum hwc_error hwc_open(struct hwc *device, const struct hwc_platform *platform,
                        const struct hwc_bundle *bundle);

/* Flush both buffers and start a batch. HWC_OUT_OF_RANGE; other errors are found by hwc_wait. */
enum hwc_error hwc_start(struct hwc *device, uint32_t frames, uint64_t input, uint64_t output);

/* Wait for the batch and invalidate its output; `measured` is written on success and may be NULL.
 * After HWC_REJECTED, HWC_BUS_ERROR, HWC_TIMEOUT and HWC_ABORTED the device can be started again,
 * after HWC_HUNG it cannot. */
enum hwc_error hwc_wait(struct hwc *device, uint64_t timeout_us, struct hwc_measured *measured);

/* hwc_start and hwc_wait. */
enum hwc_error hwc_run(struct hwc *device, uint32_t frames, uint64_t input, uint64_t output,
                       uint64_t timeout_us, struct hwc_measured *measured);

/* Stop what is running, and reset if memory does not let it end in `patience_us`. HWC_HUNG. */
enum hwc_error hwc_abort(struct hwc *device, uint64_t patience_us);

/* Clear `done` and the errors in STATUS. */
void hwc_clear(struct hwc *device);

/* Ten times what the batch should take at the network, and HWC_PATIENCE_US. */
uint64_t hwc_timeout_us(const struct hwc_bundle *bundle, uint32_t frames);

/* What an error, and what a response of memory means, in English. */
const char *hwc_error_text(enum hwc_error error);
const char *hwc_response_text(uint32_t response);

#endif
