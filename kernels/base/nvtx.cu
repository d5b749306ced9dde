// The cuda device's named ranges. NVTX is header-only, and its calls do nothing unless a tool is attached.
#include <nvtx3/nvToolsExt.h>

#include "kernels/base/ranges.h"

namespace tenon {
namespace {

const RegisterRanges registered{
    Device::cuda, {.push = [](const char* name) { nvtxRangePushA(name); }, .pop = [] { nvtxRangePop(); }}};

}  // namespace
}  // namespace tenon
