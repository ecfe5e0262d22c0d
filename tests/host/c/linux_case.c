/* hwc_linux.c on plain files: `linux_case REGISTERS MEMORY FOLDER` maps both, finds the folder's
 * numbers and prints what it read; the registers' second word and the memory's last byte change. */
#include <inttypes.h>
#include <stdio.h>

#include "hwc_linux.h"

int main(int count, char **arguments)
{
    struct hwc_linux_setup setup = {0};
    struct hwc_linux board;
    uint64_t before;

    if (count != 4 || hwc_linux_find(arguments[3], &setup.address, &setup.size))
        return 3;
    setup.registers = arguments[1];
    setup.memory = arguments[2];
    setup.offset = 4096;
    if (hwc_linux_open(&board, &setup))
        return 2;
    before = board.platform.microseconds(board.platform.context);
    board.platform.wait(board.platform.context, 1000);
    if (board.platform.microseconds(board.platform.context) <= before)
        return 1;
    printf("%08" PRIx32 " %" PRIx64 " %lu\n", board.platform.base[0], board.address,
           (unsigned long)board.size);
    board.platform.base[1] = UINT32_C(0x89abcdef);
    board.memory[board.size - 1] = 0x77;
    hwc_linux_close(&board);
    return 0;
}
