// Where kernels were launched lately. A GPU tells of a kernel's failure at some later call, so that the
// report of that call has to name those that may be meant.
#pragma once
#include <string>

#include "kernels/base/error.h"

namespace tenon {

// A kernel went wrong while it ran. On a GPU this ends all work with the device.
class KernelFailure : public Error {
 public:
  using Error::Error;
};

void note_launch(const char* file, int line);  // file: a literal
void forget_launches();                        // those so far have ended well
std::string last_launches();                   // "a.cu:12, b.cu:34": at most eight, the latest first

}  // namespace tenon
