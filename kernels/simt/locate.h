// The source line of an instruction and the name of a kernel, for messages and counts.
#pragma once
#include <string>
#include <vector>

namespace tenon::simt {

// file:line of the call that returns to `return_address`, with addr2line where it is installed and the code
// has line tables; otherwise the module and the offset in it. Helpers under kernels/simt/ are passed over.
std::string locate(const void* return_address);
std::vector<std::string> locate(
    const std::vector<const void*>& return_addresses);  // much faster than one by one

// "forward<float, 4>": without namespaces and parameters; without symbols the module and the offset in it.
std::string name_of_function(const void* function);

}  // namespace tenon::simt
