// What every kernel includes: CUDA under nvcc, the simulator's CUDA under any C++ compiler.
#pragma once
#include <stdint.h>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#define REGISTER_KERNEL(name)
#else
#include "simulator/cuda_on_cpu.h"
#endif

__device__ inline float as_float(float value) { return value; }
__device__ inline float as_float(__half value) { return __half2float(value); }
__device__ inline float as_float(int8_t value) { return float(value); }

template <typename T> __device__ inline T from_float(float value);
template <> __device__ inline float from_float<float>(float value) { return value; }
template <> __device__ inline __half from_float<__half>(float value) { return __float2half_rn(value); }
