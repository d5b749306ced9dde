// Why a GPU cannot be used, in words, from what CUDA says of it. Apart from CUDA, so that it is tested on
// machines without.
#pragma once
#include <string>

namespace tenon {

struct GpuFacts {
  int driver = 0;         // the newest CUDA that the driver knows, 12040 for 12.4; 0: there is no driver
  int runtime = 0;        // the CUDA of this build
  int devices = 0;        // GPUs
  int capability = 0;     // of the first one, 90 for 9.0
  bool has_code = true;   // for it, in this build
  std::string built_for;  // architectures of this build: "8.0, 9.0"
  std::string error;      // of the call that counted the GPUs, if it failed
};

std::string why_no_gpu(const GpuFacts& facts);  // empty: it can be used

}  // namespace tenon
