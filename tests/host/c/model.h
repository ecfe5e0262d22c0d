/* A model of the accelerator's registers and memory, as docs/shell.md describes them. */
#ifndef MODEL_H
#define MODEL_H

#include "hwc.h"

#define MODEL_BASE UINT64_C(0x10000000) /* device address of the first byte of memory */
#define MODEL_SIZE 65536
#define NEVER UINT64_MAX

struct model {
    /* What it is, and what goes wrong. */
    struct hwc_bundle bundle;
    uint32_t odd_register, odd_value; /* this register reads so; odd_register 0xffff: none */
    uint64_t frame_us;                /* time of a frame, NEVER: no frame ends */
    uint32_t fail_frame, fail_error;  /* ERROR (0: none) that this frame meets */
    uint64_t foreign_abort;           /* somebody else aborts at this time, NEVER: nobody */
    int deaf;                         /* an abort never ends */
    int reset_helps;
    uint64_t read_us;                 /* how long a look at a register takes */
    /* What computes frame `frame` in memory; by default model_output of every byte. */
    void (*answer)(struct model *model, uint32_t frame);

    /* What it does. */
    uint64_t now, began;
    uint32_t status, error, scratch, frames, done, irq_enable;
    uint64_t input, output;
    int aborting;
    uint8_t memory[MODEL_SIZE];

    /* What it saw. */
    int starts, aborts, resets, waits;
    uint64_t flushed[2], flushed_bytes[2], invalidated, invalidated_bytes;
    int flushes, invalidations, flushes_at_start, busy_at_invalidate;
};

/* A well-behaved accelerator of `bundle`, and the platform that drives it. */
void model_init(struct model *model, const struct hwc_bundle *bundle,
                struct hwc_platform *platform);

/* The byte at `index` of the output record of a frame with this input record. */
uint8_t model_output(const struct model *model, const uint8_t *record, uint32_t index);

#endif
