// What changed on the screen, found where the decoded frame lies: only a few numbers per tile and row cross the bus.
#include "portable.cuh"

namespace {

constexpr int TILE = 32;  // pixels; one block of 32 x 8 threads looks at one tile
constexpr int ROWS = 8;

}  // namespace

// Grey as OpenCV's COLOR_BGR2GRAY gives it, to the bit.
extern "C" __global__ void grey_bgra(const uint8_t *pixels, int pitch, uint8_t *grey, int width, int height) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  const uint8_t *p = pixels + size_t(y) * pitch + 4 * x;
  grey[size_t(y) * width + x] = uint8_t((p[0] * 3735 + p[1] * 19235 + p[2] * 9798 + (1 << 14)) >> 15);
}
REGISTER_KERNEL(grey_bgra)

// Per tile: the largest grey difference, and how many pixels differ by more than `threshold`.
extern "C" __global__ void tile_difference(const uint8_t *before, const uint8_t *after, int width, int height,
                                           int threshold, int *largest, int *changed, int columns, int rows) {
  __shared__ int most[TILE * ROWS];
  __shared__ int count[TILE * ROWS];
  int self = threadIdx.y * TILE + threadIdx.x, x = blockIdx.x * TILE + threadIdx.x;
  int top = 0, over = 0;
  for (int step = 0; step < TILE; step += ROWS) {
    int y = blockIdx.y * TILE + step + threadIdx.y;
    if (x < width && y < height) {
      size_t at = size_t(y) * width + x;
      int difference = abs(int(before[at]) - int(after[at]));
      top = max(top, difference);
      over += difference > threshold;
    }
  }
  most[self] = top;
  count[self] = over;
  __syncthreads();
  for (int half = TILE * ROWS / 2; half; half >>= 1) {
    if (self < half) {
      most[self] = max(most[self], most[self + half]);
      count[self] += count[self + half];
    }
    __syncthreads();
  }
  if (self == 0 && int(blockIdx.x) < columns && int(blockIdx.y) < rows) {
    largest[blockIdx.y * columns + blockIdx.x] = most[0];
    changed[blockIdx.y * columns + blockIdx.x] = count[0];
  }
}
REGISTER_KERNEL(tile_difference)

// Per row of pixels a number that equal rows share: a sum modulo 2^32, so that the order of addition is free.
extern "C" __global__ void row_signatures(const uint8_t *grey, uint32_t *signatures, int width, int height) {
  int y = blockIdx.x, lane = threadIdx.x;
  if (y >= height) return;  // the whole warp
  uint32_t sum = 0;
  for (int x = lane; x < width; x += 32) sum += (uint32_t(grey[size_t(y) * width + x]) + 1u) * (uint32_t(x) * 2654435761u | 1u);
  for (int step = 16; step; step >>= 1) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (lane == 0) signatures[y] = sum;
}
REGISTER_KERNEL(row_signatures)
