// Drives a Verilated design from files, without a line of Python per cycle.
//
// Beats are packed little endian, ceil(width / 8) bytes each: in<i>.bin holds what input i sends;
// out<i>.bin and tap<i>.bin receive what output i or tap i carried. The cycle of every transfer goes
// to in<i>.cycles, out<i>.cycles and tap<i>.cycles as 64-bit integers. Cycle 0 is the first after
// reset.
//
// A cycle: clock low, inputs set, evaluated; everything observed; clock high, evaluated. What is
// driven never depends on what is observed in the same cycle, as behind the registers of a host.
//
// Exit codes: 1 usage or files, 3 not finished in time, 4 a rule of streams is broken.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "harness.h"

namespace {

[[noreturn]] void fail(int code, const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(code);
}

// The rule of hwc.sim.stalls.Gate.
struct Gate {
    uint64_t key, shift, single, threshold;

    bool low(uint64_t cycle) const {
        uint64_t z = key + (cycle >> shift) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        return (z >> 32) < threshold;
    }
    bool open(uint64_t cycle) const { return !low(cycle) || (single && low(cycle - 1)); }
};

struct Log {
    std::vector<uint8_t> beats;
    std::vector<uint64_t> cycles;

    void add(const uint8_t* beat, size_t size, uint64_t cycle) {
        beats.insert(beats.end(), beat, beat + size);
        cycles.push_back(cycle);
    }
    void write(const std::string& stem) const {
        save(stem + ".bin", beats.data(), beats.size());
        save(stem + ".cycles", cycles.data(), cycles.size() * sizeof(uint64_t));
    }
    static void save(const std::string& path, const void* data, size_t size) {
        FILE* file = std::fopen(path.c_str(), "wb");
        if (!file || (size && std::fwrite(data, 1, size, file) != size) || std::fclose(file))
            fail(1, "cannot write " + path);
    }
};

std::vector<uint8_t> load(const std::string& path) {
    FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) fail(1, "cannot read " + path);
    std::vector<uint8_t> bytes;
    static uint8_t buffer[1 << 16];
    while (size_t n = std::fread(buffer, 1, sizeof buffer, file))
        bytes.insert(bytes.end(), buffer, buffer + n);
    std::fclose(file);
    return bytes;
}

struct Stream {
    hwc::Port port;
    uint64_t total;  // beats to move
    Gate gate;
    std::vector<uint8_t> beats;  // what an input sends
    Log log;
    std::vector<uint8_t> offer;  // what an output showed and nobody took

    uint64_t moved() const { return log.cycles.size(); }
    bool done() const { return moved() >= total; }
    bool transfers() const { return *port.valid && *port.ready; }

    void rewind() {
        log = Log();
        offer.clear();
    }

    void send(uint64_t cycle) {
        *port.valid = !done() && gate.open(cycle);
        if (!done()) std::memcpy(port.data.data, &beats[moved() * port.size], port.size);
    }

    void receive(uint64_t cycle) {
        const uint8_t* data = port.data.data;
        if (!offer.empty() && (!*port.valid || std::memcmp(offer.data(), data, port.size)))
            complain(" took back a beat that it had offered, in cycle ", cycle);
        offer.clear();
        if (transfers()) {
            if (done()) complain(" gave one beat too many in cycle ", cycle);
            log.add(data, port.size, cycle);
        } else if (*port.valid) {
            offer.assign(data, data + port.size);
        }
    }

    void complain(const char* what, uint64_t cycle) const {
        fail(4, std::string("stream '") + port.name + "'" + what + std::to_string(cycle) + " (" +
                    std::to_string(moved()) + " of " + std::to_string(total) + " beats moved)");
    }
};

class Bench {
  public:
    Bench(hwc::Model& model, const std::string& folder) : model(model), folder(folder) {
        for (const hwc::Port& port : model.inputs) inputs.push_back({port, 0, {}, {}, {}, {}});
        for (const hwc::Port& port : model.outputs) outputs.push_back({port, 0, {}, {}, {}, {}});
        taps.resize(model.probes.size());
        configure();
    }

    // Simulates until every beat has moved and then `drain` cycles more, or for `limit` cycles.
    bool run(uint64_t limit, uint64_t drain) {
        for (uint64_t cycle = 0; cycle < limit; cycle++) {
            step(cycle);
            if (done() && drain-- == 0) return true;
        }
        return done();
    }

    // One cycle with reset high: what was in flight is lost, sources start again.
    void reset() {
        *model.rst = 1;
        *model.clk = 0;
        model.eval();
        *model.clk = 1;
        model.eval();
        *model.rst = 0;
        for (Stream& s : inputs) s.rewind();
        for (Stream& s : outputs) s.rewind();
        for (Log& log : taps) log = Log();
    }

    void write() const {
        for (size_t i = 0; i < inputs.size(); i++) inputs[i].log.write(path("in", i));
        for (size_t i = 0; i < outputs.size(); i++) outputs[i].log.write(path("out", i));
        for (size_t i = 0; i < taps.size(); i++) taps[i].write(path("tap", i));
    }

    std::string progress() const {
        std::string text;
        for (auto* group : {&inputs, &outputs})
            for (const Stream& s : *group)
                if (!s.done())
                    text += std::string(text.empty() ? "" : ", ") + "stream '" + s.port.name +
                            "' moved " + std::to_string(s.moved()) + " of " +
                            std::to_string(s.total) + " beats";
        return text;
    }

  private:
    hwc::Model& model;
    const std::string folder;
    std::vector<Stream> inputs, outputs;
    std::vector<Log> taps;

    std::string path(const char* kind, size_t i) const {
        return folder + "/" + kind + std::to_string(i);
    }

    // streams.txt: one line for each stream, inputs first: beats to move and the gate.
    void configure() {
        FILE* file = std::fopen((folder + "/streams.txt").c_str(), "r");
        if (!file) fail(1, "cannot read streams.txt");
        const char* line = "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64;
        for (auto* group : {&inputs, &outputs})
            for (Stream& s : *group)
                if (std::fscanf(file, line, &s.total, &s.gate.key, &s.gate.shift, &s.gate.single,
                                &s.gate.threshold) != 5)
                    fail(1, "streams.txt is too short");
        std::fclose(file);
        for (size_t i = 0; i < inputs.size(); i++) {
            inputs[i].beats = load(path("in", i) + ".bin");
            if (inputs[i].beats.size() != inputs[i].total * inputs[i].port.size)
                fail(1, path("in", i) + ".bin has the wrong size");
        }
    }

    bool done() const {
        for (const Stream& s : outputs)
            if (!s.done()) return false;
        for (const Stream& s : inputs)
            if (!s.done()) return false;
        return true;
    }

    void step(uint64_t cycle) {
        *model.clk = 0;
        for (Stream& s : inputs) s.send(cycle);
        for (Stream& s : outputs) *s.port.ready = s.gate.open(cycle);
        model.eval();
        // An input's data stays in its file: only the cycle is news.
        for (Stream& s : inputs)
            if (s.transfers()) s.log.cycles.push_back(cycle);
        for (Stream& s : outputs) s.receive(cycle);
        for (size_t i = 0; i < taps.size(); i++) {
            const hwc::Probe& probe = model.probes[i];
            if (*probe.pop) taps[i].add(probe.head.data, probe.size, cycle);
        }
        *model.clk = 1;
        model.eval();
    }
};

}  // namespace

// Arguments: folder, cycles at most, cycles after the last beat, cycle of a reset or -1, seed.
int main(int argc, char** argv) {
    if (argc != 6) fail(1, "usage: bench FOLDER LIMIT DRAIN RESET SEED");
    const auto context = std::make_unique<VerilatedContext>();
    context->randReset(2);
    context->randSeed(std::atoi(argv[5]));
    const auto model = hwc_open(context.get());
    Bench bench(*model, argv[1]);
    const long long reset = std::atoll(argv[4]);
    if (reset >= 0) {
        bench.run(reset, reset);
        bench.reset();
    }
    const bool complete =
        bench.run(std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10));
    bench.write();
    if (!complete) fail(3, bench.progress());
    return 0;
}
