// Runs one launch that a file describes and writes the buffers back: every buffer is an allocation of its own and
// exactly as large as it must be, so that the sanitizers see each step outside. Compiled with -DKERNELS="x.cu".
// File: lines "name", "gx gy gz", "bx by bz", number of arguments; then per argument "b|v bytes" and the bytes.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include KERNELS

int main(int count, char **arguments) {
  if (count != 3) return 64;
  FILE *in = fopen(arguments[1], "rb");
  char name[128];
  unsigned g[3], b[3];
  int number = 0;
  if (!in || fscanf(in, "%127s %u %u %u %u %u %u %d", name, g, g + 1, g + 2, b, b + 1, b + 2, &number) != 8) return 65;
  std::vector<char *> data(number);
  std::vector<size_t> sizes(number);
  std::vector<char> kinds(number);
  std::vector<void *> pointers(number);
  for (int i = 0; i < number; ++i) {
    if (fscanf(in, " %c %zu", &kinds[i], &sizes[i]) != 2) return 65;
    fgetc(in);
    data[i] = static_cast<char *>(malloc(sizes[i]));
    if (fread(data[i], 1, sizes[i], in) != sizes[i]) return 65;
    pointers[i] = kinds[i] == 'b' ? static_cast<void *>(&data[i]) : data[i];
  }
  fclose(in);
  if (simulator_launch(name, g[0], g[1], g[2], b[0], b[1], b[2], pointers.data(), nullptr)) return 66;
  FILE *out = fopen(arguments[2], "wb");
  if (!out) return 65;
  for (int i = 0; i < number; ++i)
    if (kinds[i] == 'b' && fwrite(data[i], 1, sizes[i], out) != sizes[i]) return 65;
  fclose(out);
  for (char *one : data) free(one);
  return 0;
}
