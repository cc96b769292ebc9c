// Log-mel features of 16-bit sound: Whisper's, NeMo's and, with Kaldi's corrections of each frame, fbank.
// One block makes one frame. The transform is the plain sum over a table of one period: any length (Whisper's
// 400 is no power of two), and still a few microseconds for a second of sound.
#include "portable.cuh"

namespace {

constexpr int MAX_SIZE = 512;
constexpr int THREADS = 128;

}  // namespace

// `first` is the position of frame 0 in `sound` (length `samples`); what lies outside is silence. A frame has
// `window_size` samples, scaled, less their mean if `removes_mean`, pre-emphasised, windowed, then transformed as
// `size` samples. `cosine` and `sine` hold one period of `size`. Filter m weighs `mel_count[m]` bins from
// `mel_first[m]` on with the weights from `mel_offset[m]` on.
extern "C" __global__ void __launch_bounds__(THREADS)
    log_mel_s16(const int16_t *sound, int samples, int first, int hop, float scale, int removes_mean, float preemphasis,
                const float *window, int window_size, const float *cosine, const float *sine, int size,
                const int *mel_first, const int *mel_count, const int *mel_offset, const float *mel_weights,
                float least, float *features, int frames, int mels) {
  __shared__ float frame[MAX_SIZE];
  __shared__ float part[THREADS];
  __shared__ float power[MAX_SIZE / 2 + 1];
  int self = threadIdx.x, index = blockIdx.x;
  if (index >= frames) return;  // the whole block
  int begin = first + index * hop;
  float sum = 0.f;
  for (int i = self; i < window_size; i += THREADS) {
    int at = begin + i;
    float value = at >= 0 && at < samples ? sound[at] * scale : 0.f;
    frame[i] = value;
    sum += value;
  }
  part[self] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half; half >>= 1) {
    if (self < half) part[self] += part[self + half];
    __syncthreads();
  }
  float mean = removes_mean ? part[0] / window_size : 0.f;
  float shaped[MAX_SIZE / THREADS];
  for (int i = self, k = 0; i < window_size; i += THREADS, ++k) {
    float here = frame[i] - mean, before = frame[i ? i - 1 : 0] - mean;
    shaped[k] = (here - preemphasis * before) * window[i];
  }
  __syncthreads();
  for (int i = self, k = 0; i < window_size; i += THREADS, ++k) frame[i] = shaped[k];
  __syncthreads();
  for (int bin = self; bin <= size / 2; bin += THREADS) {
    float real = 0.f, imaginary = 0.f;
    for (int i = 0, angle = 0; i < window_size; ++i) {
      real = fmaf(frame[i], cosine[angle], real);
      imaginary = fmaf(frame[i], sine[angle], imaginary);
      angle += bin;
      if (angle >= size) angle -= size;
    }
    power[bin] = real * real + imaginary * imaginary;
  }
  __syncthreads();
  for (int mel = self; mel < mels; mel += THREADS) {
    float energy = 0.f;
    for (int i = 0; i < mel_count[mel]; ++i)
      energy = fmaf(mel_weights[mel_offset[mel] + i], power[mel_first[mel] + i], energy);
    features[size_t(index) * mels + mel] = logf(fmaxf(energy, least));
  }
}

// The largest of `rows` times `columns` values, by one block.
extern "C" __global__ void __launch_bounds__(THREADS) largest_f32(const float *values, float *largest, int rows,
                                                                  int columns) {
  __shared__ float part[THREADS];
  int self = threadIdx.x;
  float most = values[0];
  for (int i = self; i < rows * columns; i += THREADS) most = fmaxf(most, values[i]);
  part[self] = most;
  __syncthreads();
  for (int half = THREADS / 2; half; half >>= 1) {
    if (self < half) part[self] = fmaxf(part[self], part[self + half]);
    __syncthreads();
  }
  if (self == 0) *largest = part[0];
}

// What Whisper's encoder takes, (mels, all_frames), of `log_mel_s16`'s (frames, mels): decimal logarithms, no less than
// 8 below the largest, brought to about -1 to 1; frames beyond are silence.
extern "C" __global__ void whisper_scale(const float *log_mel, const float *largest, float *features, int frames, int mels,
                                         int all_frames) {
  constexpr float TO_DECIMAL = 0.4342944819f, SILENCE = -10.f;
  int frame = blockIdx.x * blockDim.x + threadIdx.x, mel = blockIdx.y;
  if (frame >= all_frames) return;
  float value = frame < frames ? log_mel[size_t(frame) * mels + mel] * TO_DECIMAL : SILENCE;
  features[size_t(mel) * all_frames + frame] = (fmaxf(value, *largest * TO_DECIMAL - 8.f) + 4.f) / 4.f;
}

// The chosen rows of `features`, (frames, mels), less their mean. One block makes one column.
extern "C" __global__ void __launch_bounds__(THREADS) chosen_less_mean(const float *features, const int *rows,
                                                                       float *result, int mels, int chosen) {
  __shared__ float part[THREADS];
  int self = threadIdx.x, mel = blockIdx.x;
  if (mel >= mels) return;  // the whole block
  float sum = 0.f;
  for (int i = self; i < chosen; i += THREADS) sum += features[size_t(rows[i]) * mels + mel];
  part[self] = sum;
  __syncthreads();
  for (int half = THREADS / 2; half; half >>= 1) {
    if (self < half) part[self] += part[self + half];
    __syncthreads();
  }
  float mean = part[0] / chosen;
  for (int i = self; i < chosen; i += THREADS)
    result[size_t(i) * mels + mel] = features[size_t(rows[i]) * mels + mel] - mean;
}
REGISTER_KERNEL(log_mel_s16)
REGISTER_KERNEL(largest_f32)
REGISTER_KERNEL(whisper_scale)
REGISTER_KERNEL(chosen_less_mean)
