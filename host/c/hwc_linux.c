/* See hwc_linux.h. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* /dev/mem beyond 2 GiB, also where addresses have 32 bits */

#include "hwc_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define NAP_US 20

static uint64_t microseconds(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wait_a_little(void *context, uint32_t limit)
{
    struct timespec nap = {0, (long)(limit < NAP_US ? limit : NAP_US) * 1000L};

    (void)context;
    nanosleep(&nap, NULL);
}

/* UIO: writing 1 enables the interrupt, reading takes its count. */
static void wait_for_interrupt(void *context, uint32_t limit)
{
    struct hwc_linux *self = context;
    struct pollfd file = {self->registers_file, POLLIN, 0};
    uint32_t word = 1;

    if (write(self->registers_file, &word, sizeof word) != (ssize_t)sizeof word) {
        wait_a_little(context, limit); /* a device without an interrupt */
        return;
    }
    if (poll(&file, 1, (int)(limit / 1000 + 1)) > 0 &&
        read(self->registers_file, &word, sizeof word) < 0)
        wait_a_little(context, limit);
}

static void *map(const char *path, uint64_t offset, size_t size, int *file)
{
    *file = open(path, O_RDWR | O_SYNC);
    if (*file < 0)
        return MAP_FAILED;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *file, (off_t)offset);
}

int hwc_linux_open(struct hwc_linux *linux_platform, const struct hwc_linux_setup *setup)
{
    struct hwc_linux empty = {.registers_file = -1, .memory_file = -1};
    void *place;
    int error;

    *linux_platform = empty;
    place = map(setup->registers, setup->offset, PAGE, &linux_platform->registers_file);
    if (place != MAP_FAILED) {
        linux_platform->platform.base = place;
        place = map(setup->memory, 0, setup->size, &linux_platform->memory_file);
    }
    if (place == MAP_FAILED) {
        error = errno;
        hwc_linux_close(linux_platform);
        errno = error;
        return -1;
    }
    linux_platform->memory = place;
    linux_platform->address = setup->address;
    linux_platform->size = setup->size;
    linux_platform->platform.context = linux_platform;
    linux_platform->platform.microseconds = microseconds;
    linux_platform->platform.wait = setup->interrupt ? wait_for_interrupt : wait_a_little;
    return 0;
}

void hwc_linux_close(struct hwc_linux *linux_platform)
{
    if (linux_platform->platform.base)
        munmap((void *)(uintptr_t)linux_platform->platform.base, PAGE);
    if (linux_platform->memory)
        munmap((void *)(uintptr_t)linux_platform->memory, linux_platform->size);
    if (linux_platform->registers_file >= 0)
        close(linux_platform->registers_file);
    if (linux_platform->memory_file >= 0)
        close(linux_platform->memory_file);
    linux_platform->platform.base = NULL;
    linux_platform->memory = NULL;
    linux_platform->registers_file = linux_platform->memory_file = -1;
}

static int read_number(const char *folder, const char *name, int hexadecimal, uint64_t *value)
{
    char path[512];
    FILE *file;
    int found;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return -1;
    file = fopen(path, "r");
    if (!file)
        return -1;
    found = hexadecimal ? fscanf(file, "%" SCNx64, value) : fscanf(file, "%" SCNu64, value);
    fclose(file);
    return found == 1 ? 0 : -1;
}

int hwc_linux_find(const char *folder, uint64_t *address, size_t *size)
{
    uint64_t bytes;

    if (read_number(folder, "phys_addr", 1, address) || read_number(folder, "size", 0, &bytes))
        return -1;
    *size = (size_t)bytes;
    return 0;
}
