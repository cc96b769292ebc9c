// The little of CUDA that our kernels use, on the CPU, one block after the other: to check what a kernel computes,
// not how fast. The threads of a block are fibers run in a chosen order (SIMULATOR_ORDER: 0 forward, 1 reverse,
// more: shuffled with that seed), or with -DSIMULATOR_THREADS the system's threads, for ThreadSanitizer.
// Not simulated: rounding of fused operations on the device, order of blocks, speed.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#ifdef SIMULATOR_THREADS
#include <condition_variable>
#include <mutex>
#include <thread>
#define PER_THREAD thread_local
#else
#include <ucontext.h>
#define PER_THREAD
#endif

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static
using std::max;
using std::min;
typedef _Float16 __half;
inline __half __float2half_rn(float value) { return __half(value); }
inline float __half2float(__half value) { return float(value); }

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

namespace simulator {

inline PER_THREAD dim3 thread_index, block_index;
inline dim3 block_size, grid_size;
inline PER_THREAD int self = 0;
inline int threads = 0;
inline uint32_t exchanged[1024];  // one slot a thread, for shuffles

[[noreturn]] inline void fail(const char *what) {
  fprintf(stderr, "simulator: %s\n", what);
  abort();
}

inline dim3 position(int thread) {
  return {thread % block_size.x, thread / block_size.x % block_size.y, thread / (block_size.x * block_size.y)};
}

#ifdef SIMULATOR_THREADS
class Barrier {
 public:
  void reset(int count) { needed_ = count, arrived_ = 0; }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    int turn = turn_;
    if (++arrived_ >= needed_) return open();
    changed_.wait(lock, [&] { return turn != turn_; });
  }
  void leave() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (--needed_ > 0 && arrived_ >= needed_) open();
  }

 private:
  void open() { arrived_ = 0, ++turn_, changed_.notify_all(); }
  std::mutex mutex_;
  std::condition_variable changed_;
  int needed_ = 0, arrived_ = 0, turn_ = 0;
};
inline Barrier block_barrier, warp_barriers[32];
inline void block_wait() { block_barrier.wait(); }
inline void warp_wait() { warp_barriers[self / 32].wait(); }

inline void run_block(const std::function<void()> &kernel) {
  block_barrier.reset(threads);
  for (int warp = 0; warp * 32 < threads; ++warp) warp_barriers[warp].reset(std::min(32, threads - warp * 32));
  dim3 block = block_index;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i)
    running.emplace_back([=, &kernel] {
      self = i, block_index = block, thread_index = position(i);
      kernel();
      block_barrier.leave();
      warp_barriers[i / 32].leave();
    });
  for (auto &thread : running) thread.join();
}
#else
enum State : char { READY, AT_BLOCK, AT_WARP, DONE };
constexpr size_t STACK = 64 * 1024;
inline ucontext_t scheduler;
inline std::vector<ucontext_t> fibers;
inline std::vector<std::vector<char>> stacks;
inline std::vector<State> states;
inline const std::function<void()> *body;

inline void pause(State state) {
  int me = self;
  states[me] = state;
  swapcontext(&fibers[me], &scheduler);
}
inline void block_wait() { pause(AT_BLOCK); }
inline void warp_wait() { pause(AT_WARP); }
inline void begin() {
  (*body)();
  pause(DONE);
}

inline int counted(int from, int to, State state) { return int(std::count(&states[from], &states[0] + to, state)); }

inline void run_block(const std::function<void()> &kernel) {
  body = &kernel;
  if (int(fibers.size()) < threads) fibers.resize(threads), stacks.resize(threads, std::vector<char>(STACK));
  states.assign(threads, READY);
  std::vector<int> order(threads);
  for (int i = 0; i < threads; ++i) {
    getcontext(&fibers[i]);
    fibers[i].uc_stack.ss_sp = stacks[i].data();
    fibers[i].uc_stack.ss_size = STACK;
    fibers[i].uc_link = &scheduler;
    makecontext(&fibers[i], begin, 0);
    order[i] = i;
  }
  const char *chosen = getenv("SIMULATOR_ORDER");
  unsigned seed = chosen ? unsigned(atoi(chosen)) : 0;
  std::mt19937 random(seed);
  if (seed == 1) std::reverse(order.begin(), order.end());
  while (true) {
    if (seed > 1) std::shuffle(order.begin(), order.end(), random);
    for (int i : order)
      if (states[i] == READY) {
        self = i, thread_index = position(i);
        swapcontext(&scheduler, &fibers[i]);
      }
    int done = counted(0, threads, DONE);
    if (done == threads) return;
    bool moved = false;
    for (int from = 0; from < threads; from += 32) {
      int to = std::min(threads, from + 32), waiting = counted(from, to, AT_WARP);
      if (!waiting) continue;
      if (counted(from, to, DONE)) fail("a shuffle names threads of the warp that have returned");
      if (waiting != to - from) fail("a part of a warp waits for the warp, another for the block");
      for (int i = from; i < to; ++i)
        if (states[i] == AT_WARP) states[i] = READY;
      moved = true;
    }
    if (moved) continue;
    if (done) fail("__syncthreads after some threads of the block have returned");
    std::fill(states.begin(), states.end(), READY);
  }
}
#endif

// -- launching by name, as the driver does ------------------------------------------------------------

struct Entry {
  std::function<void(void **, const char *)> call;  // pointers to arguments, or one packed buffer
  size_t argument_bytes;
};
inline std::map<std::string, Entry> &entries() {
  static std::map<std::string, Entry> found;
  return found;
}

template <typename T> T unpack(const char *buffer, size_t &offset) {
  offset = (offset + alignof(T) - 1) / alignof(T) * alignof(T);
  T value;
  memcpy(&value, buffer + offset, sizeof(T));
  offset += sizeof(T);
  return value;
}

template <typename... A, size_t... I>
Entry entry_of(void (*kernel)(A...), std::index_sequence<I...>) {
  size_t bytes = 0;
  ((bytes = (bytes + alignof(A) - 1) / alignof(A) * alignof(A) + sizeof(A)), ...);
  auto call = [kernel](void **pointers, const char *buffer) {
    size_t offset = 0;
    (void)offset;
    std::tuple<A...> given;
    if (pointers)
      ((std::get<I>(given) = *static_cast<A *>(pointers[I])), ...);
    else
      ((std::get<I>(given) = unpack<A>(buffer, offset)), ...);
    run_block([=] { std::apply(kernel, given); });
  };
  return {call, bytes};
}

template <typename... A> int add(const char *name, void (*kernel)(A...)) {
  entries()[name] = entry_of(kernel, std::index_sequence_for<A...>{});
  return 0;
}

}  // namespace simulator

#define threadIdx simulator::thread_index
#define blockIdx simulator::block_index
#define blockDim simulator::block_size
#define gridDim simulator::grid_size
#define REGISTER_KERNEL(name) static int registered_##name = simulator::add(#name, &name);

inline void __syncthreads() { simulator::block_wait(); }

// `from` is a lane of the own warp; one outside of it gives the own value, as on the device.
template <typename T> T shuffled(T value, int from) {
  static_assert(sizeof(T) == 4, "shuffles of four bytes only");
  int warp = simulator::self / 32 * 32;
  memcpy(&simulator::exchanged[simulator::self], &value, 4);
  simulator::warp_wait();
  T other = value;
  if (from < 32) memcpy(&other, &simulator::exchanged[warp + from], 4);
  simulator::warp_wait();
  return other;
}
template <typename T> T __shfl_down_sync(unsigned, T value, int step) {
  return shuffled(value, simulator::self % 32 + step);
}
template <typename T> T __shfl_xor_sync(unsigned, T value, int mask) {
  return shuffled(value, simulator::self % 32 ^ mask);
}

extern "C" {
// 0: done; 1: no such kernel.
__attribute__((used, visibility("default"))) inline int simulator_launch(const char *name, unsigned gx, unsigned gy,
                                                                         unsigned gz, unsigned bx, unsigned by,
                                                                         unsigned bz, void **pointers,
                                                                         const char *buffer) {
  auto found = simulator::entries().find(name);
  if (found == simulator::entries().end()) return 1;
  simulator::grid_size = {gx, gy, gz};
  simulator::block_size = {bx, by, bz};
  simulator::threads = int(bx * by * bz);
  for (unsigned z = 0; z < gz; ++z)
    for (unsigned y = 0; y < gy; ++y)
      for (unsigned x = 0; x < gx; ++x) {
        simulator::block_index = {x, y, z};
        found->second.call(pointers, buffer);
      }
  return 0;
}
// Bytes of the packed arguments; -1: no such kernel.
__attribute__((used, visibility("default"))) inline int simulator_argument_bytes(const char *name) {
  auto found = simulator::entries().find(name);
  return found == simulator::entries().end() ? -1 : int(found->second.argument_bytes);
}
}
