// A kernel compiled without the memory hooks, on which only a schedule can show the fault.
#include "kernels/simt/simt.h"
#include "tests/simt/kernels.h"

namespace tenon::test {
namespace {

struct Smem {
  float data[64];
};

// The second barrier of each round is missing: the next round's write may overtake a read.
__global__ void kernel(float* y) {
  auto& smem = shared<Smem>();
  const int own = thread_number();
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    smem.data[own] = static_cast<float>(own + round);
    sync_threads();
    sum += smem.data[63 - own];
  }
  y[own] = sum;
}

}  // namespace

void unhooked_write_after_read(float* y, Stream& stream) {
  launch(stream, {.block = 64, .shared_bytes = sizeof(Smem)}, kernel, y);
}

}  // namespace tenon::test
