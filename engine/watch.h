// Named tensors of a model as it runs, and their gradients. A model hands over what lies between its
// operations by watched(); that costs a look at one variable while no Watch lives.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "engine/tensor.h"

namespace tenon {

// While one of these lives, it keeps what this thread's models hand over; at most one at a time.
class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  std::map<std::string, Tensor> values;     // as they were computed, with their place in the graph
  std::map<std::string, Tensor> gradients;  // filled by backward() while this lives
};

// Hands x over as path + name. Returns what the model goes on with: x itself while no Watch lives, else the
// same elements behind a node that catches the gradient.
Tensor watched(std::string_view path, std::string_view name, const Tensor& x);

}  // namespace tenon
