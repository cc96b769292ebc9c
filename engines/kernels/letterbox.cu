// A decoded picture, NV12 or BGRA, scaled into a square or other frame and normalised for a network.
// One thread makes one pixel of all three planes; half-pixel centres, as OpenCV's INTER_LINEAR or INTER_AREA.
#include "portable.cuh"

namespace {

struct Rgb {
  float r, g, b;
};

__device__ float clamp_byte(float value) { return fminf(fmaxf(value, 0.f), 255.f); }

// ITU-R BT.601, limited range, as video decoders give it and OpenCV's COLOR_YUV2RGB_NV12 takes it.
struct Nv12 {
  const uint8_t *luma, *chroma;
  int luma_pitch, chroma_pitch;
  __device__ Rgb at(int x, int y) const {
    const uint8_t *pair = chroma + size_t(y >> 1) * chroma_pitch + (x & ~1);
    float l = 1.164383f * (float(luma[size_t(y) * luma_pitch + x]) - 16.f);
    float u = float(pair[0]) - 128.f, v = float(pair[1]) - 128.f;
    return {clamp_byte(l + 1.596027f * v), clamp_byte(l - 0.391762f * u - 0.812968f * v), clamp_byte(l + 2.017232f * u)};
  }
};

// Three bytes a pixel; the planes come in the order of the bytes, not turned to red, green, blue.
struct InOrder {
  const uint8_t *pixels;
  int pitch;
  __device__ Rgb at(int x, int y) const {
    const uint8_t *p = pixels + size_t(y) * pitch + 3 * x;
    return {float(p[0]), float(p[1]), float(p[2])};
  }
};

struct Bgra {
  const uint8_t *pixels;
  int pitch;
  __device__ Rgb at(int x, int y) const {
    const uint8_t *p = pixels + size_t(y) * pitch + 4 * x;
    return {float(p[2]), float(p[1]), float(p[0])};
  }
};

__device__ float mix(float a, float b, float share) { return a + (b - a) * share; }

__device__ Rgb mix(Rgb a, Rgb b, float share) {
  return {mix(a.r, b.r, share), mix(a.g, b.g, share), mix(a.b, b.b, share)};
}

// Of the four pixels around the middle of (x, y) in a picture scaled to the inner size, in proportion.
template <typename Source>
__device__ Rgb between(Source source, int width, int height, int inner_width, int inner_height, int x, int y) {
  float sx = fminf(fmaxf((x + 0.5f) * width / inner_width - 0.5f, 0.f), width - 1.f);
  float sy = fminf(fmaxf((y + 0.5f) * height / inner_height - 0.5f, 0.f), height - 1.f);
  int x0 = int(sx), y0 = int(sy), x1 = min(x0 + 1, width - 1), y1 = min(y0 + 1, height - 1);
  return mix(mix(source.at(x0, y0), source.at(x1, y0), sx - x0), mix(source.at(x0, y1), source.at(x1, y1), sx - x0),
             sy - y0);
}

// Of all that (x, y) covers, by how much of each pixel it covers, as OpenCV's INTER_AREA; for making smaller.
template <typename Source>
__device__ Rgb mean_of(Source source, int width, int height, int inner_width, int inner_height, int x, int y) {
  float left = float(x) * width / inner_width, right = float(x + 1) * width / inner_width;
  float top = float(y) * height / inner_height, bottom = float(y + 1) * height / inner_height;
  int x1 = min(int(ceilf(right)), width), y1 = min(int(ceilf(bottom)), height);
  Rgb sum = {0.f, 0.f, 0.f};
  float total = 0.f;
  for (int row = int(top); row < y1; ++row)
    for (int column = int(left); column < x1; ++column) {
      float share = (fminf(column + 1, right) - fmaxf(column, left)) * (fminf(row + 1, bottom) - fmaxf(row, top));
      Rgb here = source.at(column, row);
      sum = {fmaf(share, here.r, sum.r), fmaf(share, here.g, sum.g), fmaf(share, here.b, sum.b)};
      total += share;
    }
  return {sum.r / total, sum.g / total, sum.b / total};
}

// `averages`: pixels are means of what they cover. `repeats_edge`: beyond the picture its edge goes on, not `fill`.
template <typename Source, typename T>
__device__ void letterbox(Source source, int width, int height, int inner_width, int inner_height, int left, int top,
                          int averages, int repeats_edge, float fill, float mean_r, float mean_g, float mean_b,
                          float scale_r, float scale_g, float scale_b, T *planes, int out_width, int out_height) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= out_width || y >= out_height) return;
  Rgb colour = {fill, fill, fill};
  int inner_x = x - left, inner_y = y - top;
  if (repeats_edge) {
    inner_x = min(max(inner_x, 0), inner_width - 1);
    inner_y = min(max(inner_y, 0), inner_height - 1);
  }
  if (inner_x >= 0 && inner_x < inner_width && inner_y >= 0 && inner_y < inner_height)
    colour = averages ? mean_of(source, width, height, inner_width, inner_height, inner_x, inner_y)
                      : between(source, width, height, inner_width, inner_height, inner_x, inner_y);
  size_t plane = size_t(out_width) * out_height, at = size_t(y) * out_width + x;
  planes[at] = from_float<T>((colour.r / 255.f - mean_r) * scale_r);
  planes[at + plane] = from_float<T>((colour.g / 255.f - mean_g) * scale_g);
  planes[at + 2 * plane] = from_float<T>((colour.b / 255.f - mean_b) * scale_b);
}

}  // namespace

#define GEOMETRY                                                                                                \
  int width, int height, int inner_width, int inner_height, int left, int top, int averages, int repeats_edge,  \
      float fill, float mean_r, float mean_g, float mean_b, float scale_r, float scale_g, float scale_b
#define GIVEN                                                                                                      \
  width, height, inner_width, inner_height, left, top, averages, repeats_edge, fill, mean_r, mean_g, mean_b, scale_r, \
      scale_g, scale_b, planes, out_width, out_height

extern "C" __global__ void letterbox_in_order_f32(const uint8_t *pixels, int pitch, GEOMETRY, float *planes,
                                                  int out_width, int out_height) {
  letterbox(InOrder{pixels, pitch}, GIVEN);
}
extern "C" __global__ void letterbox_bgra_f32(const uint8_t *pixels, int pitch, GEOMETRY, float *planes, int out_width,
                                              int out_height) {
  letterbox(Bgra{pixels, pitch}, GIVEN);
}
extern "C" __global__ void letterbox_bgra_f16(const uint8_t *pixels, int pitch, GEOMETRY, __half *planes, int out_width,
                                              int out_height) {
  letterbox(Bgra{pixels, pitch}, GIVEN);
}
extern "C" __global__ void letterbox_nv12_f32(const uint8_t *luma, const uint8_t *chroma, int pitch, GEOMETRY,
                                              float *planes, int out_width, int out_height) {
  letterbox(Nv12{luma, chroma, pitch, pitch}, GIVEN);
}
extern "C" __global__ void letterbox_nv12_f16(const uint8_t *luma, const uint8_t *chroma, int pitch, GEOMETRY,
                                              __half *planes, int out_width, int out_height) {
  letterbox(Nv12{luma, chroma, pitch, pitch}, GIVEN);
}
REGISTER_KERNEL(letterbox_in_order_f32)
REGISTER_KERNEL(letterbox_bgra_f32)
REGISTER_KERNEL(letterbox_bgra_f16)
REGISTER_KERNEL(letterbox_nv12_f32)
REGISTER_KERNEL(letterbox_nv12_f16)
