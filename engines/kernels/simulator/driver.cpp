// A libcuda.so.1 that runs our kernels on the CPU, so that the real PyCUDA can be driven on a machine without a
// card: argument packing, module loading, launch geometry, lifetimes. Every stream is executed at once.
// Device memory ends at a page without access, so that a copy beyond its end is a crash and not a quiet error.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <dlfcn.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

extern "C" int simulator_launch(const char *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void **,
                                const char *);
extern "C" int simulator_argument_bytes(const char *);

namespace {

constexpr size_t PAGE = 4096, ALIGNMENT = 256, MEMORY = size_t(8) << 30;
constexpr unsigned MOST_SHARED = 49152;

struct Allocation {
  char *base;
  size_t mapped, bytes;
};
std::map<CUdeviceptr, Allocation> allocations;
size_t used = 0;
thread_local std::vector<CUcontext> contexts;  // as in a driver, every thread has a stack of its own
const CUcontext PRIMARY = reinterpret_cast<CUcontext>(1);
size_t made = 1;

struct Module {
  std::string image;
};
struct Function {
  std::string name;
};

// What a stream is given between the begin and the end of a capture is not run but kept.
using Steps = std::vector<std::function<CUresult()>>;
std::map<CUstream, Steps> captures;

double now_ms() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

// True when [from, from + bytes) lies in one allocation.
bool is_ours(CUdeviceptr from, size_t bytes) {
  auto after = allocations.upper_bound(from);
  if (after == allocations.begin()) return false;
  auto &[start, allocation] = *--after;
  return from - start + bytes <= allocation.bytes;
}

CUresult allocate(CUdeviceptr *pointer, size_t bytes) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!bytes) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > MEMORY - used) return CUDA_ERROR_OUT_OF_MEMORY;
  size_t whole = (bytes + PAGE - 1) / PAGE * PAGE, mapped = whole + 2 * PAGE;
  void *base = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  char *first = static_cast<char *>(base) + PAGE;
  mprotect(first, whole, PROT_READ | PROT_WRITE);
  memset(first, 0xCD, whole);  // what was not written must not look like zero
  *pointer = CUdeviceptr(first + (whole - bytes) / ALIGNMENT * ALIGNMENT);
  allocations[*pointer] = {static_cast<char *>(base), mapped, bytes};
  used += bytes;
  return CUDA_SUCCESS;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) CUresult

API cuInit(unsigned) { return CUDA_SUCCESS; }
API cuDriverGetVersion(int *version) { return *version = 13000, CUDA_SUCCESS; }
API cuDeviceGetCount(int *count) { return *count = 1, CUDA_SUCCESS; }
API cuDeviceGet(CUdevice *device, int ordinal) {
  *device = 0;
  return ordinal ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}
API cuDeviceGetName(char *name, int length, CUdevice) {
  return snprintf(name, size_t(length), "simulated on the CPU"), CUDA_SUCCESS;
}
API cuDeviceTotalMem_v2(size_t *bytes, CUdevice) { return *bytes = MEMORY, CUDA_SUCCESS; }
API cuDeviceComputeCapability(int *major, int *minor, CUdevice) { return *major = 8, *minor = 9, CUDA_SUCCESS; }
API cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
  static const std::map<int, int> known = {
      {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024}, {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
      {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},       {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},  {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
      {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},       {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1},     {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 9}, {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, MOST_SHARED},
  };
  auto found = known.find(int(attribute));
  return *value = found == known.end() ? 0 : found->second, CUDA_SUCCESS;
}

// -- contexts ------------------------------------------------------------------------------------------

API cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) { return *context = PRIMARY, CUDA_SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
API cuDevicePrimaryCtxGetState(CUdevice, unsigned *flags, int *active) { return *flags = 0, *active = 1, CUDA_SUCCESS; }
API cuCtxPushCurrent_v2(CUcontext context) { return contexts.push_back(context), CUDA_SUCCESS; }
API cuCtxPopCurrent_v2(CUcontext *context) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  if (context) *context = contexts.back();
  return contexts.pop_back(), CUDA_SUCCESS;
}
API cuCtxSetCurrent(CUcontext context) {
  if (!contexts.empty()) contexts.pop_back();
  return contexts.push_back(context), CUDA_SUCCESS;
}
API cuCtxGetCurrent(CUcontext *context) {
  return *context = contexts.empty() ? nullptr : contexts.back(), CUDA_SUCCESS;
}
API cuCtxAttach(CUcontext *context, unsigned) {
  if (contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  return *context = contexts.back(), CUDA_SUCCESS;
}
API cuCtxDetach(CUcontext) { return CUDA_SUCCESS; }
API cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *, unsigned, CUdevice) {
  *context = reinterpret_cast<CUcontext>(++made);
  return contexts.push_back(*context), CUDA_SUCCESS;
}
API cuCtxDestroy_v2(CUcontext) { return CUDA_SUCCESS; }
API cuCtxGetDevice(CUdevice *device) {
  return *device = 0, contexts.empty() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}
API cuCtxGetApiVersion(CUcontext, unsigned *version) { return *version = 13000, CUDA_SUCCESS; }
API cuCtxSynchronize() { return CUDA_SUCCESS; }

// -- memory ---------------------------------------------------------------------------------------------

API cuMemGetInfo_v2(size_t *free, size_t *total) { return *total = MEMORY, *free = MEMORY - used, CUDA_SUCCESS; }
API cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) { return allocate(pointer, bytes); }
API cuMemFree_v2(CUdeviceptr pointer) {
  auto found = allocations.find(pointer);
  if (found == allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  munmap(found->second.base, found->second.mapped);
  used -= found->second.bytes;
  return allocations.erase(found), CUDA_SUCCESS;
}
API cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  return *pointer = malloc(bytes), *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
API cuMemFreeHost(void *pointer) { return free(pointer), CUDA_SUCCESS; }
API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  if (!is_ours(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return memcpy(reinterpret_cast<void *>(to), from, bytes), CUDA_SUCCESS;
}
API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  if (!is_ours(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return memcpy(to, reinterpret_cast<void *>(from), bytes), CUDA_SUCCESS;
}
API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  if (!is_ours(to, bytes) || !is_ours(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes), CUDA_SUCCESS;
}
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream) {
  return cuMemcpyHtoD_v2(to, from, bytes);
}
API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream) { return cuMemcpyDtoH_v2(to, from, bytes); }
API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
  return cuMemcpyDtoD_v2(to, from, bytes);
}
API cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes) {
  if (!is_ours(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return memset(reinterpret_cast<void *>(to), value, bytes), CUDA_SUCCESS;
}
API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream) {
  return cuMemsetD8_v2(to, value, bytes);
}

// -- streams and events ----------------------------------------------------------------------------------

API cuStreamCreate(CUstream *stream, unsigned) {
  return *stream = static_cast<CUstream>(malloc(1)), CUDA_SUCCESS;
}
API cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
API cuStreamDestroy_v2(CUstream stream) { return free(stream), CUDA_SUCCESS; }
API cuStreamSynchronize(CUstream stream) {
  return captures.count(stream) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
API cuStreamQuery(CUstream) { return CUDA_SUCCESS; }
API cuStreamWaitEvent(CUstream, CUevent, unsigned) { return CUDA_SUCCESS; }
API cuEventCreate(CUevent *event, unsigned) {
  return *event = reinterpret_cast<CUevent>(new double(0)), CUDA_SUCCESS;
}
API cuEventDestroy_v2(CUevent event) { return delete reinterpret_cast<double *>(event), CUDA_SUCCESS; }
API cuEventRecord(CUevent event, CUstream) { return *reinterpret_cast<double *>(event) = now_ms(), CUDA_SUCCESS; }
API cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
API cuEventQuery(CUevent) { return CUDA_SUCCESS; }
API cuEventElapsedTime(float *ms, CUevent from, CUevent to) {
  return *ms = float(*reinterpret_cast<double *>(to) - *reinterpret_cast<double *>(from)), CUDA_SUCCESS;
}
API cuEventElapsedTime_v2(float *ms, CUevent from, CUevent to) { return cuEventElapsedTime(ms, from, to); }

// -- graphs ----------------------------------------------------------------------------------------------

API cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
  if (!stream) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // the default stream cannot be captured
  return captures.emplace(stream, Steps{}).second ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_STATE;
}
API cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  auto found = captures.find(stream);
  if (found == captures.end()) return CUDA_ERROR_ILLEGAL_STATE;
  *graph = reinterpret_cast<CUgraph>(new Steps(std::move(found->second)));
  return captures.erase(found), CUDA_SUCCESS;
}
API cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  return *executable = reinterpret_cast<CUgraphExec>(new Steps(*reinterpret_cast<Steps *>(graph))), CUDA_SUCCESS;
}
API cuGraphLaunch(CUgraphExec executable, CUstream) {
  for (auto &step : *reinterpret_cast<Steps *>(executable))
    if (CUresult result = step()) return result;
  return CUDA_SUCCESS;
}
API cuGraphDestroy(CUgraph graph) { return delete reinterpret_cast<Steps *>(graph), CUDA_SUCCESS; }
API cuGraphExecDestroy(CUgraphExec executable) { return delete reinterpret_cast<Steps *>(executable), CUDA_SUCCESS; }

// -- modules and launches ----------------------------------------------------------------------------------

API cuModuleLoadDataEx(CUmodule *module, const void *data, unsigned, CUjit_option *, void **) {
  const char *image = static_cast<const char *>(data);
  uint32_t magic;
  uint64_t bytes;
  memcpy(&magic, image, 4);
  if (magic != 0xBA55ED50u) return CUDA_ERROR_INVALID_IMAGE;  // a fat binary and nothing else
  memcpy(&bytes, image + 8, 8);
  *module = reinterpret_cast<CUmodule>(new Module{std::string(image, bytes + 16)});
  return CUDA_SUCCESS;
}
API cuModuleLoadData(CUmodule *module, const void *data) { return cuModuleLoadDataEx(module, data, 0, nullptr, nullptr); }
API cuModuleUnload(CUmodule module) { return delete reinterpret_cast<Module *>(module), CUDA_SUCCESS; }
// A kernel is found when nvcc put it into the fat binary and the C++ compiler into this library.
API cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  auto &image = reinterpret_cast<Module *>(module)->image;
  if (image.find(name) == std::string::npos || simulator_argument_bytes(name) < 0) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(new Function{name});
  return CUDA_SUCCESS;
}
API cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction) {
  return *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0, CUDA_SUCCESS;
}
API cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }
API cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }
API cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, CUstream stream, void **pointers, void **extra) {
  const std::string &name = reinterpret_cast<Function *>(function)->name;
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || !by || !bz || bz > 64 || size_t(bx) * by * bz > 1024 ||
      shared > MOST_SHARED)
    return CUDA_ERROR_INVALID_VALUE;
  const char *buffer = nullptr;
  size_t bytes = 0;
  for (int i = 0; extra && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char *>(extra[i + 1]);
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<size_t *>(extra[i + 1]);
  }
  if (buffer && size_t(simulator_argument_bytes(name.c_str())) != bytes) {
    fprintf(stderr, "simulated driver: %s takes %d bytes of arguments, %zu were given\n", name.c_str(),
            simulator_argument_bytes(name.c_str()), bytes);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (auto found = captures.find(stream); found != captures.end()) {
    if (!buffer) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // PyCUDA packs its arguments
    found->second.push_back([=, kept = std::string(buffer, bytes)] {
      return simulator_launch(name.c_str(), gx, gy, gz, bx, by, bz, nullptr, kept.data()) ? CUDA_ERROR_LAUNCH_FAILED
                                                                                          : CUDA_SUCCESS;
    });
    return CUDA_SUCCESS;
  }
  return simulator_launch(name.c_str(), gx, gy, gz, bx, by, bz, pointers, buffer) ? CUDA_ERROR_LAUNCH_FAILED
                                                                                  : CUDA_SUCCESS;
}
API cuGetErrorString(CUresult result, const char **text) {
  static char sentence[64];
  snprintf(sentence, sizeof sentence, "error %d of the simulated driver", int(result));
  return *text = sentence, CUDA_SUCCESS;
}
API cuGetErrorName(CUresult result, const char **text) { return cuGetErrorString(result, text); }
API cuProfilerStart() { return CUDA_SUCCESS; }
API cuProfilerStop() { return CUDA_SUCCESS; }

API cuGetProcAddress_v2(const char *name, void **pointer, int, cuuint64_t, CUdriverProcAddressQueryResult *status) {
  static void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  *pointer = nullptr;
  for (const char *version : {"_v4", "_v3", "_v2", ""})
    if (!*pointer && self) *pointer = dlsym(self, (std::string(name) + version).c_str());
  if (status) *status = *pointer ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return CUDA_SUCCESS;
}
