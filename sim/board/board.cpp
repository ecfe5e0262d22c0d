// The shipped shell and network between an AXI4-Lite master and a memory that can misbehave.
//
// Obeys lines on standard input and answers each with one line: see hwc.sim.board.simulated. The
// memory is a file that the other side maps as well. The clock runs only while a line is obeyed,
// so a run depends on nothing but the lines.
//
// What memory and master drive never depends on what the shell drives in the same cycle, as behind
// registers. A rule of AXI that the shell breaks is answered with "violation ..." and ends the run.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint64_t BASE = 0x10000000;  // device address of the memory's first byte
constexpr unsigned OKAY = 0, DECERR = 3, GIVE_UP = 2000;

[[noreturn]] void violation(const std::string& what, uint64_t cycle) {
    std::cout << "violation " << what << ", in cycle " << cycle << std::endl;
    std::exit(4);
}

struct Random {
    uint64_t state = 1;
    uint64_t next() {
        uint64_t z = (state += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    bool chance(double p) { return double(next() >> 11) / double(1ull << 53) < p; }
    uint64_t between(uint64_t lo, uint64_t hi) { return lo + next() % (hi - lo + 1); }
};

struct Faults {
    uint64_t latency_lo = 1, latency_hi = 1;
    double stall = 0;                              // of every channel, independently
    uint64_t bad_lo[2] = {0, 0}, bad_hi[2] = {0, 0};  // addresses of reads, writes that fail
    unsigned bad_code[2] = {0, 0};
    int64_t odd_burst = -1, odd_by = 0;  // this read burst is longer by so many beats
    bool mute = false;                   // answers nothing
};

struct Burst {
    uint64_t addr, beats, from;  // `from`: first cycle of an answer
    unsigned code;
};

struct Held {  // a payload that may not change until it is taken
    bool valid = false;
    uint64_t a = 0, b = 0;
    void check(bool now, bool ready, uint64_t x, uint64_t y, const char* name, uint64_t cycle) {
        if (valid && (!now || a != x || b != y))
            violation(std::string(name) + " changed or fell before it was taken", cycle);
        valid = now && !ready;
        a = x, b = y;
    }
};

class Board {
  public:
    Board(VerilatedContext* context, uint8_t* memory, uint64_t size)
        : top(context), memory(memory), size(size) {
        top.aclk = 0;
        // What has no initial value starts with random bits, inputs too.
        top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_bready = 0;
        top.s_axi_arvalid = top.s_axi_rready = 0;
        reset(16);
    }

    void reset(unsigned cycles) {
        top.aresetn = 0;
        for (unsigned i = 0; i < cycles; i++) {
            reads.clear(), writes.clear(), answers.clear();
            offered = answering = false;
            held_ar = held_aw = held_w = Held();
            got = 0;
            tick();
        }
        top.aresetn = 1;
        tick();
    }

    uint32_t read(uint32_t addr) {
        top.s_axi_araddr = addr;
        top.s_axi_arvalid = 1;
        wait([&] { return bool(top.s_axi_arready); }, "s_axi_arready");
        top.s_axi_arvalid = 0;
        pause();
        top.s_axi_rready = 1;
        uint32_t value = 0;
        wait([&] { value = top.s_axi_rdata; return bool(top.s_axi_rvalid); }, "s_axi_rvalid");
        top.s_axi_rready = 0;
        return value;
    }

    void write(uint32_t addr, uint32_t value, unsigned strobes) {
        top.s_axi_awaddr = addr, top.s_axi_wdata = value, top.s_axi_wstrb = strobes;
        // Address first, data first or both at once: all are allowed.
        bool first = random.chance(0.5), both = random.chance(0.5);
        if (both) {
            top.s_axi_awvalid = top.s_axi_wvalid = 1;
            bool a = false, w = false;
            wait([&] {
                a |= top.s_axi_awready, w |= top.s_axi_wready;
                return a && w;
            }, "s_axi_awready and s_axi_wready", [&] {
                if (a) top.s_axi_awvalid = 0;
                if (w) top.s_axi_wvalid = 0;
            });
        } else {
            for (bool address : {first, !first}) {
                (address ? top.s_axi_awvalid : top.s_axi_wvalid) = 1;
                wait([&] { return bool(address ? top.s_axi_awready : top.s_axi_wready); },
                     "s_axi_awready or s_axi_wready");
                (address ? top.s_axi_awvalid : top.s_axi_wvalid) = 0;
                pause();
            }
        }
        top.s_axi_awvalid = top.s_axi_wvalid = 0;
        pause();
        top.s_axi_bready = 1;
        wait([&] { return bool(top.s_axi_bvalid); }, "s_axi_bvalid");
        top.s_axi_bready = 0;
    }

    bool run(uint64_t cycles) {  // until the interrupt, at most so many cycles
        for (uint64_t i = 0; i < cycles; i++) {
            if (top.irq) return true;
            tick();
        }
        return top.irq;
    }

    Faults faults;
    Random random;
    uint64_t cycle = 0, moved[2] = {0, 0};

  private:
    template <typename Done, typename After>
    void wait(Done done, const char* what, After after) {
        for (unsigned i = 0; i < GIVE_UP; i++) {
            bool now = false;
            tick([&] { now = done(); });
            after();
            if (now) return;
        }
        violation(std::string(what) + " did not come", cycle);
    }
    template <typename Done>
    void wait(Done done, const char* what) {
        wait(done, what, [] {});
    }
    void pause() {
        while (random.chance(faults.stall)) tick();
    }

    void tick() {
        tick([] {});
    }
    template <typename Observe>
    void tick(Observe observe) {
        drive();
        top.aclk = 0;
        top.eval();
        observe();
        if (top.aresetn) take();
        top.aclk = 1;
        top.eval();
        cycle++;
    }

    bool open() { return !faults.mute && !random.chance(faults.stall); }

    void drive() {
        top.m_axi_arready = open() && reads.size() < 8;
        top.m_axi_awready = open() && writes.size() < 8;
        top.m_axi_wready = open();
        if (!offered && !reads.empty() && reads.front().from <= cycle && open()) offer();
        top.m_axi_rvalid = offered;
        if (!answering && !answers.empty() && answers.front().from <= cycle && open())
            answering = true;
        top.m_axi_bvalid = answering;
        if (answering) top.m_axi_bresp = answers.front().code;
    }

    unsigned code(uint64_t addr, bool write) const {
        if (addr < BASE || addr + 8 > BASE + size) return DECERR;
        if (addr >= faults.bad_lo[write] && addr < faults.bad_hi[write])
            return faults.bad_code[write];
        return OKAY;
    }

    void offer() {
        Burst& burst = reads.front();
        uint64_t word = 0xDEADBEEFDEADBEEF;
        unsigned found = code(burst.addr, false);
        if (found == OKAY) std::memcpy(&word, memory + (burst.addr - BASE), 8);
        top.m_axi_rdata = word;
        top.m_axi_rresp = found;
        top.m_axi_rlast = burst.beats == 1;
        offered = true;
    }

    void legal(uint64_t addr, unsigned len, unsigned size_, unsigned kind, const char* name) const {
        if (addr % 8 || size_ != 3 || kind != 1 || len > 15 ||
            (addr & 4095) + 8 * (len + 1) > 4096)
            violation(std::string(name) + ": illegal burst of " + std::to_string(len + 1) +
                          " beats at " + std::to_string(addr),
                      cycle);
    }

    uint64_t later() { return cycle + random.between(faults.latency_lo, faults.latency_hi); }

    void take() {
        held_ar.check(top.m_axi_arvalid, top.m_axi_arready, top.m_axi_araddr, top.m_axi_arlen,
                      "m_axi_ar", cycle);
        held_aw.check(top.m_axi_awvalid, top.m_axi_awready, top.m_axi_awaddr, top.m_axi_awlen,
                      "m_axi_aw", cycle);
        held_w.check(top.m_axi_wvalid, top.m_axi_wready, top.m_axi_wdata, top.m_axi_wlast,
                     "m_axi_w", cycle);
        if (top.m_axi_arvalid && top.m_axi_arready) {
            legal(top.m_axi_araddr, top.m_axi_arlen, top.m_axi_arsize, top.m_axi_arburst, "read");
            int64_t beats = top.m_axi_arlen + 1;
            if (faults.odd_burst >= 0 && faults.odd_burst-- == 0) beats += faults.odd_by;
            reads.push_back({top.m_axi_araddr, uint64_t(beats > 0 ? beats : 1), later(), 0});
        }
        if (offered && top.m_axi_rready) {
            offered = false, moved[0]++;
            reads.front().addr += 8;
            if (--reads.front().beats == 0) reads.pop_front();
        }
        if (top.m_axi_awvalid && top.m_axi_awready) {
            legal(top.m_axi_awaddr, top.m_axi_awlen, top.m_axi_awsize, top.m_axi_awburst, "write");
            writes.push_back({top.m_axi_awaddr, uint64_t(top.m_axi_awlen) + 1, 0, OKAY});
        }
        if (top.m_axi_wvalid && top.m_axi_wready) {
            got++;  // data may come before its address
            data[(put++) % 64] = {top.m_axi_wdata, top.m_axi_wlast};
        }
        store();
        if (answering && top.m_axi_bready) {
            answering = false;
            answers.pop_front();
        }
    }

    void store() {
        if (writes.empty() || !got) return;
        Burst& burst = writes.front();
        Word& word = data[(put - got) % 64];
        unsigned found = code(burst.addr, true);
        if (found == OKAY) std::memcpy(memory + (burst.addr - BASE), &word.bits, 8);
        if (found > burst.code) burst.code = found;
        got--, moved[1]++;
        burst.addr += 8;
        if (bool(word.last) != (--burst.beats == 0)) violation("m_axi_wlast is wrong", cycle);
        if (burst.beats == 0) {
            answers.push_back({0, 0, later(), burst.code});
            writes.pop_front();
        }
    }

    struct Word {
        uint64_t bits;
        bool last;
    };
    Vtop top;
    uint8_t* memory;
    uint64_t size;
    std::deque<Burst> reads, writes, answers;
    Held held_ar, held_aw, held_w;
    Word data[64];
    uint64_t put = 0, got = 0;
    bool offered = false, answering = false;
};

void obey(Board& board, const std::string& line) {
    std::istringstream in(line);
    std::string word;
    in >> word >> std::setbase(0);
    uint64_t a = 0, b = 0, c = 0, d = 0;
    if (word == "read") {
        in >> a;
        std::cout << board.read(uint32_t(a)) << std::endl;
        return;
    }
    if (word == "write") {
        in >> a >> b >> c;
        board.write(uint32_t(a), uint32_t(b), unsigned(c));
    } else if (word == "run") {
        in >> a;
        std::cout << board.run(a) << std::endl;
        return;
    } else if (word == "reset") {
        in >> a;
        board.reset(unsigned(a));
    } else if (word == "seed") {
        in >> board.random.state;
    } else if (word == "latency") {
        in >> board.faults.latency_lo >> board.faults.latency_hi;
    } else if (word == "stall") {
        in >> board.faults.stall;
    } else if (word == "bad") {
        in >> a >> b >> c >> d;
        board.faults.bad_lo[a] = b, board.faults.bad_hi[a] = c, board.faults.bad_code[a] = d;
    } else if (word == "odd") {
        in >> board.faults.odd_burst >> board.faults.odd_by;
    } else if (word == "mute") {
        in >> board.faults.mute;
    } else if (word == "cycle") {
        std::cout << board.cycle << ' ' << board.moved[0] << ' ' << board.moved[1] << std::endl;
        return;
    } else {
        std::cout << "violation unknown line " << line << std::endl;
        return;
    }
    std::cout << "ok" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 1;
    uint64_t size = std::strtoull(argv[2], nullptr, 0);
    int file = open(argv[1], O_RDWR);
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || memory == MAP_FAILED) return 1;
    VerilatedContext context;
    context.randReset(2);
    Board board(&context, static_cast<uint8_t*>(memory), size);
    for (std::string line; std::getline(std::cin, line);) obey(board, line);
    return 0;
}
