// The source line of an instruction, for messages about a fault.
#pragma once
#include <string>

namespace tenon::simt {

// file:line of the call that returns to `return_address`, with addr2line where it is installed and the code
// has line tables; otherwise the module and the offset in it. Helpers under kernels/simt/ are passed over.
std::string locate(const void* return_address);

}  // namespace tenon::simt
