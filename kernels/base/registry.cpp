#include "kernels/base/registry.h"

#include <map>

namespace tenon {
namespace {
std::map<std::string_view, const AnyOperation*>& filed_operations() {
  static std::map<std::string_view, const AnyOperation*> filed;
  return filed;
}
}  // namespace

void file_operation(const AnyOperation* operation) { filed_operations()[operation->name()] = operation; }

std::vector<const AnyOperation*> operations() {
  std::vector<const AnyOperation*> all;
  for (const auto& [name, operation] : filed_operations()) all.push_back(operation);
  return all;
}

const AnyOperation* find_operation(std::string_view name) {
  const auto found = filed_operations().find(name);
  return found == filed_operations().end() ? nullptr : found->second;
}

}  // namespace tenon
