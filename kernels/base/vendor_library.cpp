#include "kernels/base/vendor_library.h"

#include <dlfcn.h>

#include "kernels/base/error.h"

namespace tenon {

VendorLibrary::VendorLibrary(const char* file) : file_(file), handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
#ifdef TENON_CUDA_LIBRARIES
  if (!handle_) handle_ = dlopen(str(TENON_CUDA_LIBRARIES "/", file).c_str(), RTLD_NOW | RTLD_LOCAL);
#endif
  if (!handle_) missing_ = str(file, " is not found; LD_LIBRARY_PATH may name its folder");
}

void* VendorLibrary::address(const char* name) {
  if (!missing_.empty()) return nullptr;
  void* found = dlsym(handle_, name);
  if (!found) missing_ = str(file_, " has no ", name);
  return found;
}

}  // namespace tenon
