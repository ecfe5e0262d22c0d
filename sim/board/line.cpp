// The shipped serial shell and network, and the other end of its line.
//
// Arguments: cycles of a bit, level of a pressed button, cycles of a bit that is said to the board.
// Obeys lines on standard input and answers each with one line; see
// hwc.sim.board.serial. The clock runs only while a line is obeyed.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <sstream>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

struct Line {
    VerilatedContext context;
    Vtop top{&context, "top"};
    unsigned divisor = 0;
    double spoken = 0;  // cycles of a bit that is said, which need not be whole

    std::deque<uint8_t> to_say, heard;
    // What is on the wire: bits left of a byte with its start and stop bit, cycles left of a bit.
    unsigned bits = 0, shift = 1;
    double wait = 0;
    // What comes back: 0 while nothing does, else bits so far and one.
    unsigned got = 0, byte = 0, sample = 0;

    void speak() {
        if (wait >= 1) {
            wait -= 1;
        } else if (bits) {
            top.rx = shift & 1;
            shift >>= 1;
            bits--;
            wait += spoken - 1;
        } else if (!to_say.empty()) {
            shift = to_say.front() | 0x100u;  // and the stop bit
            to_say.pop_front();
            top.rx = 0;
            bits = 9;
            wait = spoken - 1;
        }
    }

    void listen() {
        if (!got) {
            if (!top.tx) got = 1, byte = 0, sample = divisor + divisor / 2 - 1;
        } else if (sample) {
            sample--;
        } else if (got <= 8) {
            byte |= unsigned(top.tx) << (got - 1);
            got++;
            sample = divisor - 1;
        } else {
            if (top.tx) heard.push_back(uint8_t(byte));
            got = 0;
        }
    }

    void cycle() {
        top.clk = 1;
        top.eval();
        listen();
        speak();
        top.clk = 0;
        top.eval();
    }
};

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) return 3;
    Line line;
    line.divisor = unsigned(std::atoi(arguments[1]));
    line.spoken = std::atof(arguments[3]);
    const int pressed = std::atoi(arguments[2]);
    line.context.randReset(2);
    line.top.eval();  // netlists set their ports themselves in the first one
    line.top.rx = 1;
    line.top.rst = !pressed;
    for (int k = 0; k < 100; k++) line.cycle();
    line.heard.clear();
    line.got = 0;
    std::string text;
    while (std::getline(std::cin, text)) {
        std::istringstream words(text);
        std::string word;
        words >> word;
        if (word == "send") {
            while (words >> word) line.to_say.push_back(uint8_t(std::stoul(word, nullptr, 16)));
            std::cout << "ok" << std::endl;
        } else if (word == "run") {  // cycles, and how many bytes are enough
            uint64_t cycles = 0;
            size_t enough = 0;
            words >> cycles >> enough;
            while (cycles-- && line.heard.size() < enough) line.cycle();
            std::cout << line.to_say.size();
            for (; !line.heard.empty() && enough; enough--) {
                char digits[4];
                std::snprintf(digits, sizeof digits, " %02x", line.heard.front());
                std::cout << digits;
                line.heard.pop_front();
            }
            std::cout << std::endl;
        } else if (word == "press") {
            uint64_t cycles = 0;
            words >> cycles;
            line.top.rst = pressed;
            while (cycles--) line.cycle();
            line.top.rst = !pressed;
            for (int k = 0; k < 100; k++) line.cycle();
            std::cout << "ok" << std::endl;
        } else {
            std::cout << "unknown" << std::endl;
        }
    }
    line.top.final();
    return 0;
}
