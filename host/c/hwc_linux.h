/* The driver's platform on Linux: registers through UIO or /dev/mem, memory through u-dma-buf. */
#ifndef HWC_LINUX_H
#define HWC_LINUX_H

#include <stddef.h>

#include "hwc.h"

/* What to map. `registers` is the device file, mapped at `offset` (0 for UIO, the base address for
 * /dev/mem). `memory` is the device file of memory that the accelerator sees from `address` on,
 * `size` bytes, not cached because opened with O_SYNC. `interrupt`: wait through UIO, not by polling.
 */
struct hwc_linux_setup {
    const char *registers;
    uint64_t offset;
    const char *memory;
    uint64_t address;
    size_t size;
    int interrupt;
};

struct hwc_linux {
    struct hwc_platform platform;
    int registers_file, memory_file;
    volatile uint8_t *memory; /* device address `address` */
    uint64_t address;
    size_t size;
};

/* Map registers and memory and fill in the platform. 0, or -1 with errno set and nothing open. */
int hwc_linux_open(struct hwc_linux *linux_platform, const struct hwc_linux_setup *setup);

/* Let go of everything; the platform must not be used any more. */
void hwc_linux_close(struct hwc_linux *linux_platform);

/* Read address and size of a u-dma-buf from its folder in /sys/class/u-dma-buf/. 0, or -1. */
int hwc_linux_find(const char *folder, uint64_t *address, size_t *size);

#endif
