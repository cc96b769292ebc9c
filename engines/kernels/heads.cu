// The last steps of CTC and detection networks on the device, so that results cross the bus and not logits;
// and the de-quantising row norm that eight-bit and half-precision encoders need before them.
#include "portable.cuh"

namespace {

constexpr int THREADS = 128;
constexpr int WARP = 32;
constexpr int CELLS = 1024;  // looked at together by the one block that picks candidates
constexpr float LOWEST = -3.402823e38f;

// Of two entries the better: the larger value, of equal ones the first. NaN never wins.
__device__ bool beats(float value, int index, float other_value, int other_index) {
  return value > other_value || (value == other_value && index < other_index);
}

struct Shared {
  float value[THREADS];
  int index[THREADS];
};

// The best entry of a row after (`bound_value`, `bound_index`) in that order; all threads get it.
template <typename T>
__device__ void best_of(const T *row, int columns, float bound_value, int bound_index, Shared &shared) {
  int self = threadIdx.x;
  float value = LOWEST;
  int index = columns;
  for (int i = self; i < columns; i += THREADS) {
    float here = as_float(row[i]);
    if (beats(here, i, value, index) && beats(bound_value, bound_index, here, i)) {
      value = here;
      index = i;
    }
  }
  shared.value[self] = value;
  shared.index[self] = index;
  __syncthreads();
  for (int half = THREADS / 2; half; half >>= 1) {
    if (self < half &&
        beats(shared.value[self + half], shared.index[self + half], shared.value[self], shared.index[self])) {
      shared.value[self] = shared.value[self + half];
      shared.index[self] = shared.index[self + half];
    }
    __syncthreads();
  }
}

// Per row the `count` largest values in falling order and where they are.
template <typename T>
__device__ void top_k(const T *scores, float *values, int *indices, int rows, int columns, int count) {
  __shared__ Shared shared;
  int row = blockIdx.x;
  if (row >= rows) return;  // the whole block
  float value = 3.402823e38f;
  int index = -1;
  for (int rank = 0; rank < count; ++rank) {
    best_of(scores + size_t(row) * columns, columns, value, index, shared);
    value = shared.value[0];
    index = shared.index[0];
    __syncthreads();
    if (threadIdx.x == 0) {
      values[size_t(row) * count + rank] = value;
      indices[size_t(row) * count + rank] = index;
    }
  }
}

// Per row the best class and the logarithm of its probability after softmax.
template <typename T>
__device__ void best_class(const T *logits, int *classes, float *log_probabilities, int rows, int columns) {
  __shared__ Shared shared;
  int row = blockIdx.x, self = threadIdx.x;
  if (row >= rows) return;  // the whole block
  const T *own = logits + size_t(row) * columns;
  best_of(own, columns, 3.402823e38f, -1, shared);
  float best = shared.value[0];
  int index = shared.index[0];
  __syncthreads();
  float sum = 0.f;
  for (int i = self; i < columns; i += THREADS) sum += expf(as_float(own[i]) - best);
  shared.value[self] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half; half >>= 1) {
    if (self < half) shared.value[self] += shared.value[self + half];
    __syncthreads();
  }
  if (self == 0) {
    classes[row] = index;
    log_probabilities[row] = -logf(shared.value[0]);
  }
}

// Rows times `scale`, less their mean, over their standard deviation. One warp makes one row.
template <typename T>
__device__ void normalise(const T *values, float scale, float epsilon, float *normal, int rows, int columns) {
  int row = blockIdx.x, lane = threadIdx.x;
  if (row >= rows) return;  // the whole warp
  const T *own = values + size_t(row) * columns;
  float sum = 0.f;
  for (int i = lane; i < columns; i += WARP) sum += as_float(own[i]) * scale;
  for (int step = WARP / 2; step; step >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  float mean = sum / columns, squares = 0.f;
  for (int i = lane; i < columns; i += WARP) {
    float off = as_float(own[i]) * scale - mean;
    squares = fmaf(off, off, squares);
  }
  for (int step = WARP / 2; step; step >>= 1) squares += __shfl_xor_sync(0xffffffffu, squares, step);
  float unit = 1.f / sqrtf(squares / columns + epsilon);
  for (int i = lane; i < columns; i += WARP) normal[size_t(row) * columns + i] = (as_float(own[i]) * scale - mean) * unit;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(THREADS)
    top_k_f32(const float *scores, float *values, int *indices, int rows, int columns, int count) {
  top_k(scores, values, indices, rows, columns, count);
}
extern "C" __global__ void __launch_bounds__(THREADS)
    top_k_f16(const __half *scores, float *values, int *indices, int rows, int columns, int count) {
  top_k(scores, values, indices, rows, columns, count);
}
extern "C" __global__ void __launch_bounds__(THREADS)
    best_class_f32(const float *logits, int *classes, float *log_probabilities, int rows, int columns) {
  best_class(logits, classes, log_probabilities, rows, columns);
}
extern "C" __global__ void __launch_bounds__(THREADS)
    best_class_f16(const __half *logits, int *classes, float *log_probabilities, int rows, int columns) {
  best_class(logits, classes, log_probabilities, rows, columns);
}
extern "C" __global__ void __launch_bounds__(THREADS)
    column_f32(const float *scores, int index, float *values, int rows, int columns) {
  int row = blockIdx.x * THREADS + threadIdx.x;
  if (row < rows) values[row] = scores[size_t(row) * columns + index];
}
// Behind the `count` candidates that there are: the cells whose best of the first `classes` scores is at least
// `threshold`, in order, by number from `first_cell` on, with their scores and edges. One block, so that the order
// holds; what is beyond `room` is left out.
extern "C" __global__ void __launch_bounds__(CELLS)
    candidates_f32(const float *scores, const float *edges, int classes, float threshold, int first_cell, int *cells,
                   float *chosen_scores, float *chosen_edges, int *count, int rows, int columns, int sides, int room) {
  __shared__ int so_far[CELLS];
  int self = threadIdx.x, taken = count[0];
  for (int first = 0; first < rows; first += CELLS) {
    int row = first + self;
    float best = LOWEST;
    for (int i = 0; row < rows && i < classes; ++i) best = fmaxf(best, scores[size_t(row) * columns + i]);
    bool is_one = row < rows && best >= threshold;
    so_far[self] = is_one;
    __syncthreads();
    for (int step = 1; step < CELLS; step *= 2) {
      int sum = so_far[self] + (self >= step ? so_far[self - step] : 0);
      __syncthreads();
      so_far[self] = sum;
      __syncthreads();
    }
    int place = taken + so_far[self] - 1;
    if (is_one && place < room) {
      cells[place] = first_cell + row;
      for (int i = 0; i < columns; ++i)
        chosen_scores[size_t(place) * columns + i] = scores[size_t(row) * columns + i];
      for (int i = 0; i < sides; ++i) chosen_edges[size_t(place) * sides + i] = edges[size_t(row) * sides + i];
    }
    taken = min(room, taken + so_far[CELLS - 1]);
    __syncthreads();
  }
  if (self == 0) count[0] = taken;
}
extern "C" __global__ void normalise_rows_i8(const int8_t *values, float scale, float epsilon, float *normal, int rows,
                                             int columns) {
  normalise(values, scale, epsilon, normal, rows, columns);
}
extern "C" __global__ void normalise_rows_f16(const __half *values, float scale, float epsilon, float *normal, int rows,
                                              int columns) {
  normalise(values, scale, epsilon, normal, rows, columns);
}
REGISTER_KERNEL(top_k_f32)
REGISTER_KERNEL(top_k_f16)
REGISTER_KERNEL(best_class_f32)
REGISTER_KERNEL(best_class_f16)
REGISTER_KERNEL(column_f32)
REGISTER_KERNEL(candidates_f32)
REGISTER_KERNEL(normalise_rows_i8)
REGISTER_KERNEL(normalise_rows_f16)
