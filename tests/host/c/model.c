#include "model.h"

#include <string.h>

uint8_t model_output(const struct model *model, const uint8_t *record, uint32_t index)
{
    return (uint8_t)(record[index % model->bundle.input_stride] * 3 + index);
}

static void finish(struct model *m, uint32_t bit)
{
    m->status = (m->status & ~(uint32_t)HWC_BUSY) | bit;
    m->aborting = 0;
}

static void plain_answer(struct model *m, uint32_t frame)
{
    const uint8_t *from = m->memory + (m->input - MODEL_BASE) + frame * m->bundle.input_stride;
    uint8_t *to = m->memory + (m->output - MODEL_BASE) + frame * m->bundle.output_stride;
    uint32_t i;

    for (i = 0; i < m->bundle.output_stride; i++)
        to[i] = model_output(m, from, i);
}

/* Let the accelerator catch up with the clock. */
static void advance(struct model *m)
{
    if (!(m->status & HWC_BUSY))
        return;
    if (m->now >= m->foreign_abort)
        m->aborting = 1;
    if (m->aborting) {
        if (!m->deaf)
            finish(m, HWC_STOPPED);
        return;
    }
    while (m->frame_us != NEVER && m->now - m->began >= (m->done + 1) * m->frame_us) {
        if (m->fail_error && m->done == m->fail_frame) {
            m->error = m->fail_error;
            finish(m, HWC_FAILED);
            return;
        }
        m->answer(m, m->done++);
        if (m->done == m->frames) {
            finish(m, HWC_DONE);
            return;
        }
    }
}

static uint32_t value(const struct model *m, uint32_t offset)
{
    switch (offset) {
    case 0x00: return 0x48574331;
    case 0x04: return 1;
    case 0x08: return m->bundle.hash;
    case 0x0c: return m->scratch;
    case 0x10: return m->irq_enable;
    case 0x14: return m->status;
    case 0x18: return m->error;
    case 0x1c: return m->frames;
    case 0x20: return m->done;
    case 0x24: return (uint32_t)m->input;
    case 0x28: return (uint32_t)(m->input >> 32);
    case 0x2c: return (uint32_t)m->output;
    case 0x30: return (uint32_t)(m->output >> 32);
    case 0x34: return 0x11111111;
    case 0x38: return 0x22;
    case 0x3c: return 0x33333333;
    case 0x40: return 0x4;
    case 0x44: return 0x55;
    case 0x48: return 0x66 * (m->frames - 1);
    case 0x4c: return m->bundle.input_stride;
    case 0x50: return m->bundle.output_stride;
    default: return 0;
    }
}

static uint32_t model_read(void *context, uint32_t offset)
{
    struct model *m = context;

    m->now += m->read_us;
    advance(m);
    return offset == m->odd_register ? m->odd_value : value(m, offset);
}

static void control(struct model *m, uint32_t word)
{
    m->irq_enable = word & 256;
    if (word & 4)
        m->status &= 1;
    if ((word & 2) && (m->status & 1)) {
        m->aborts++;
        m->aborting = 1;
    }
    if (!(word & 1))
        return;
    m->starts++;
    m->flushes_at_start = m->flushes;
    if ((m->status & 1) || m->frames == 0 || m->input % 8 || m->output % 8) {
        m->status |= 16;
        return;
    }
    m->status = 1;
    m->error = m->done = 0;
    m->began = m->now;
}

static void half(uint64_t *address, uint32_t word, int high)
{
    *address = high ? (*address & 0xffffffffu) | (uint64_t)word << 32
                    : (*address & ~UINT64_C(0xffffffff)) | word;
}

static void model_write(void *context, uint32_t offset, uint32_t word)
{
    struct model *m = context;

    advance(m);
    if (offset == 0x10)
        control(m, word);
    if (offset == 0x0c)
        m->scratch = word;
    if (m->status & 1)
        return; /* locked */
    if (offset == 0x1c)
        m->frames = word;
    if (offset == 0x24 || offset == 0x28)
        half(&m->input, word, offset == 0x28);
    if (offset == 0x2c || offset == 0x30)
        half(&m->output, word, offset == 0x30);
}

static uint64_t model_clock(void *context)
{
    struct model *m = context;

    return m->now += 1;
}

static void model_wait(void *context, uint32_t microseconds)
{
    struct model *m = context;

    m->waits++;
    m->now += microseconds;
}

static void model_flush(void *context, uint64_t address, uint64_t bytes)
{
    struct model *m = context;

    m->flushed[m->flushes % 2] = address;
    m->flushed_bytes[m->flushes++ % 2] = bytes;
}

static void model_invalidate(void *context, uint64_t address, uint64_t bytes)
{
    struct model *m = context;

    advance(m);
    m->busy_at_invalidate = m->status & 1;
    m->invalidations++;
    m->invalidated = address;
    m->invalidated_bytes = bytes;
}

static void model_reset(void *context)
{
    struct model *m = context;

    m->resets++;
    if (m->reset_helps) {
        m->status = m->error = m->done = 0;
        m->aborting = 0;
    }
}

void model_init(struct model *model, const struct hwc_bundle *bundle,
                struct hwc_platform *platform)
{
    memset(model, 0, sizeof *model);
    model->bundle = *bundle;
    model->odd_register = 0xffff;
    model->frame_us = 7;
    model->foreign_abort = NEVER;
    model->reset_helps = 1;
    model->answer = plain_answer;
    memset(platform, 0, sizeof *platform);
    platform->context = model;
    platform->read32 = model_read;
    platform->write32 = model_write;
    platform->microseconds = model_clock;
    platform->wait = model_wait;
    platform->flush = model_flush;
    platform->invalidate = model_invalidate;
    platform->reset = model_reset;
}
