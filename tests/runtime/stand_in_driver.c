// The part of NVIDIA's driver interface that is asked which GPUs there are, for machines without one.
// GPUS: how many; CODE: what cuInit says; the numbers are those of an RTX 4090 and an H200.
#include <stddef.h>
#include <string.h>

int cuInit(unsigned flags) { return flags == 0 ? CODE : 1; }
int cuDriverGetVersion(int* version) { *version = 12060; return 0; }
int cuDeviceGetCount(int* count) { *count = GPUS; return 0; }
int cuDeviceGet(int* device, int ordinal) { *device = 40 + ordinal; return ordinal < GPUS ? 0 : 101; }
int cuDeviceGetName(char* name, int length, int device) {
  strncpy(name, device == 40 ? "NVIDIA GeForce RTX 4090" : "NVIDIA H200", (size_t)length);
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  *bytes = (device == 40 ? (size_t)24 : (size_t)140) << 30;
  return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  if (attribute == 75) *value = device == 40 ? 8 : 9;
  else if (attribute == 76) *value = device == 40 ? 9 : 0;
  else return 1;
  return 0;
}
int cuGetErrorString(int error, const char** words) {
  static const char* text = "system has unsupported display driver / cuda driver combination";
  if (error != 803) return 1;
  *words = text;
  return 0;
}
