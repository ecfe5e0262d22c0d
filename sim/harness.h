// What the harness, compiled once, knows of a Verilated model: its clock, streams and taps.
//
// A small generated file defines hwc_open() for one design; see hwc.sim.verilator.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "verilated.h"

namespace hwc {

// Storage of a signal of any width: little-endian bytes.
struct Bits {
    uint8_t* data;
    std::size_t bytes;
};

template <typename T>
Bits bits(T& value) {
    return {reinterpret_cast<uint8_t*>(&value), sizeof(T)};
}

template <std::size_t N>
Bits bits(VlWide<N>& value) {
    return {reinterpret_cast<uint8_t*>(value.m_storage), 4 * N};
}

struct Port {
    const char* name;
    CData *valid, *ready;
    Bits data;
    std::size_t size;  // bytes of a beat
};

// An internal queue: its head is a beat in every cycle in which pop is 1.
struct Probe {
    CData* pop;
    Bits head;
    std::size_t size;
};

class Model {
  public:
    virtual ~Model() = default;
    virtual void eval() = 0;
    CData *clk, *rst;
    std::vector<Port> inputs, outputs;
    std::vector<Probe> probes;
};

template <typename V>
class Verilated : public Model {
  public:
    explicit Verilated(VerilatedContext* context) : top(new V(context)) {
        clk = &top->clk;
        rst = &top->rst;
        // What has no initial value starts with random bits: ports are no exception.
        *clk = *rst = 0;
    }
    void eval() override { top->eval(); }

    template <typename T>
    void input(const char* name, CData& valid, CData& ready, T& data, int width) {
        inputs.push_back({name, &valid, &ready, bits(data), std::size_t(width + 7) / 8});
    }
    template <typename T>
    void output(const char* name, CData& valid, CData& ready, T& data, int width) {
        outputs.push_back({name, &valid, &ready, bits(data), std::size_t(width + 7) / 8});
    }
    template <typename T>
    void probe(CData& pop, T& head, int width) {
        probes.push_back({&pop, bits(head), std::size_t(width + 7) / 8});
    }
    const std::unique_ptr<V> top;
};

}  // namespace hwc

std::unique_ptr<hwc::Model> hwc_open(VerilatedContext* context);
