// What a decoder keeps of the tokens that it has read, on the device: some of them forgotten.
#include "portable.cuh"

namespace {

constexpr int THREADS = 64;

}  // namespace

// Of every layer the keys and values of the positions [first + count, length) move up to `first`. Keys were turned by
// their position (RoPE) and are turned back by `count`. A thread has two numbers of a row to itself, a pair that turns
// together, and goes from row to row: no other reads or writes them, so what moves may overlap what it moves over.
extern "C" __global__ void __launch_bounds__(THREADS)
    drop_past_f16(__half *past, float base, int first, int count, int length, int layers, int capacity, int kinds,
                  int heads, int channels) {
  int half = channels / 2, pair = blockIdx.x * THREADS + threadIdx.x;
  if (pair >= kinds * heads * half || int(blockIdx.y) >= layers) return;
  int channel = pair % half;
  bool is_key = pair < heads * half;
  // Double: a float of a large angle is off by more than the numbers are.
  double angle = is_key ? count * pow(double(base), -double(channel) / half) : 0.;
  float cosine = float(cos(angle)), sine = float(sin(angle));
  size_t row = size_t(kinds) * heads * channels;
  __half *own = past + blockIdx.y * size_t(capacity) * row + pair / half * channels + channel;
  for (int at = first; at < length - count; ++at) {
    __half *from = own + size_t(at + count) * row, *to = own + size_t(at) * row;
    float a = as_float(from[0]), b = as_float(from[half]);
    to[0] = __float2half_rn(a * cosine + b * sine);
    to[half] = __float2half_rn(b * cosine - a * sine);
  }
}
REGISTER_KERNEL(drop_past_f16)
