/* Run the golden vectors of the bundle on the board and compare every byte that means something.
 *
 *     cc -std=c99 -O2 -o selftest hwc.c hwc_linux.c selftest.c
 *     ./selftest /dev/uio0 /dev/udmabuf0 /sys/class/u-dma-buf/udmabuf0
 *     ./selftest /dev/mem /dev/udmabuf0 0x10000000 0x100000
 *
 * Ends with 0 if all is right, 2 if something differs or fails, 3 if there is no usable device.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hwc_bundle.h"
#include "hwc_golden.h"
#include "hwc_linux.h"

#define INPUT_BYTES ((size_t)HWC_GOLDEN_FRAMES * HWC_BUNDLE_INPUT_STRIDE)
#define OUTPUT_BYTES ((size_t)HWC_GOLDEN_FRAMES * HWC_BUNDLE_OUTPUT_STRIDE)
#define OUTPUT_AT ((INPUT_BYTES + 63) / 64 * 64)

static int usage(void)
{
    fprintf(stderr, "usage: selftest REGISTERS MEMORY (SYSFS_FOLDER | ADDRESS SIZE)\n");
    return 3;
}

static void explain(const struct hwc_fault *fault)
{
    fprintf(stderr, "error: %s\n", hwc_error_text(fault->error));
    if (fault->error == HWC_WRONG_DEVICE)
        fprintf(stderr, "register 0x%02lx reads 0x%08lx, expected 0x%08lx\n",
                (unsigned long)fault->where, (unsigned long)fault->got, (unsigned long)fault->want);
    if (fault->error == HWC_BUS_ERROR)
        fprintf(stderr, "%s stream %lu was answered with %s\n",
                fault->write ? "a write of output" : "a read of input",
                (unsigned long)fault->stream, hwc_response_text(fault->response));
    fprintf(stderr, "%lu frames were finished before\n", (unsigned long)fault->frames_done);
}

/* How many bytes differ; the first one is described. */
static size_t compare(const volatile uint8_t *found)
{
    size_t wrong = 0, i;

    for (i = 0; i < OUTPUT_BYTES; i++) {
        size_t at = i % HWC_BUNDLE_OUTPUT_STRIDE;

        if (!hwc_golden_mask[at] || found[i] == hwc_golden_output[i])
            continue;
        if (wrong++ == 0)
            fprintf(stderr, "frame %lu, byte %lu of the output record: expected 0x%02x, got 0x%02x\n",
                    (unsigned long)(i / HWC_BUNDLE_OUTPUT_STRIDE), (unsigned long)at,
                    (unsigned)hwc_golden_output[i], (unsigned)found[i]);
    }
    return wrong;
}

static int test(struct hwc_linux *board)
{
    const struct hwc_bundle bundle = HWC_BUNDLE;
    struct hwc_measured measured;
    struct hwc device;
    size_t i, wrong;

    for (i = 0; i < INPUT_BYTES; i++)
        board->memory[i] = hwc_golden_input[i];
    for (i = 0; i < OUTPUT_BYTES; i++) /* so that results of an earlier run cannot pass */
        board->memory[OUTPUT_AT + i] = (uint8_t)~hwc_golden_output[i];
    if (hwc_open(&device, &board->platform, &bundle) != HWC_OK) {
        explain(&device.fault);
        return 3;
    }
    if (hwc_run(&device, HWC_GOLDEN_FRAMES, board->address, board->address + OUTPUT_AT,
                hwc_timeout_us(&bundle, HWC_GOLDEN_FRAMES), &measured) != HWC_OK) {
        explain(&device.fault);
        return 2;
    }
    wrong = compare(board->memory + OUTPUT_AT);
    if (wrong) {
        fprintf(stderr, "error: %lu bytes differ\n", (unsigned long)wrong);
        return 2;
    }
    printf("%d golden frames: every integer as expected\n", HWC_GOLDEN_FRAMES);
    printf("latency %lu cycles, predicted %lu\n", (unsigned long)measured.latency,
           (unsigned long)bundle.latency);
    printf("span %lu cycles over %d intervals, predicted at most %lu each\n", (unsigned long)measured.span,
           HWC_GOLDEN_FRAMES - 1, (unsigned long)bundle.interval);
    return 0;
}

int main(int count, char **arguments)
{
    struct hwc_linux_setup setup = {0};
    struct hwc_linux board;
    int result;

    if (count < 4 || count > 5)
        return usage();
    setup.registers = arguments[1];
    setup.memory = arguments[2];
    setup.interrupt = strncmp(setup.registers, "/dev/uio", 8) == 0;
    setup.offset = strcmp(setup.registers, "/dev/mem") == 0 ? HWC_BUNDLE_BASE : 0;
    if (count == 5) {
        setup.address = strtoull(arguments[3], NULL, 0);
        setup.size = (size_t)strtoull(arguments[4], NULL, 0);
    } else if (hwc_linux_find(arguments[3], &setup.address, &setup.size)) {
        fprintf(stderr, "error: no phys_addr and size in %s\n", arguments[3]);
        return 3;
    }
    if (setup.size < OUTPUT_AT + OUTPUT_BYTES) {
        fprintf(stderr, "error: the golden vectors need %lu bytes of memory, %s has %lu\n",
                (unsigned long)(OUTPUT_AT + OUTPUT_BYTES), setup.memory, (unsigned long)setup.size);
        return 3;
    }
    if (hwc_linux_open(&board, &setup)) {
        fprintf(stderr, "error: cannot map %s and %s: %s\n", setup.registers, setup.memory,
                strerror(errno));
        return 3;
    }
    result = test(&board);
    hwc_linux_close(&board);
    return result;
}
