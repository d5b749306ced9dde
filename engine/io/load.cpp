#include "engine/io/load.h"

#include <algorithm>
#include <map>

#include "engine/ops.h"

namespace tenon {
namespace {

std::string modern_name(std::string_view name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  std::string modern(name);
  const auto replace_ending = [&](std::string_view old_ending, std::string_view ending) {
    if (modern.ends_with(old_ending))
      modern.replace(modern.size() - old_ending.size(), old_ending.size(), ending);
  };
  replace_ending(".gamma", ".weight");
  replace_ending(".beta", ".bias");
  return modern;
}

bool passed_over(std::string_view name) { return name.starts_with("cls.") || name.ends_with("position_ids"); }

bool starts_with_any(std::string_view name, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& p) { return name.starts_with(p); });
}

std::string join(const std::vector<std::string>& names) {
  constexpr size_t shown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) text += str(i ? ", " : "", names[i]);
  return names.size() > shown ? str(text, " and ", names.size() - shown, " more") : text;
}

}  // namespace

Tensor tensor_of(const TensorFile& file, const TensorEntry& entry) {
  const Tensor stored(entry.view, file.memory(), [file, view = entry.view](const void* begin, size_t bytes) {
    TensorView part = view;
    part.data = const_cast<void*>(begin);
    if (bytes == view.bytes()) file.release_pages(part);
  });
  check(is_floating(stored.dtype()), file.path(), ": tensor ", entry.name, " has elements of type ",
        stored.dtype(), " where weights are expected");
  return cast(stored, DType::f32);
}

LoadReport load_parameters(const NamedParameters& parameters, const TensorFile& file,
                           std::string_view optional_prefix, const std::vector<std::string>& may_be_missing) {
  std::map<std::string, const TensorEntry*> by_name;
  for (const TensorEntry& entry : file.entries()) {
    const auto [at, fresh] = by_name.emplace(modern_name(entry.name, optional_prefix), &entry);
    check(fresh, file.path(), " holds both ", at->second->name, " and ", entry.name,
          ", which are the same parameter");
  }
  std::vector<std::string> missing;
  for (const auto& [name, parameter] : parameters) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      if (!starts_with_any(name, may_be_missing)) missing.push_back(name);
      continue;
    }
    const TensorEntry& entry = *found->second;
    check(Shape(entry.view) == parameter->shape(), file.path(), ": tensor ", entry.name, " has the shape ",
          Shape(entry.view), " where the configuration asks for ", parameter->shape());
    const bool trainable = parameter->requires_grad();
    *parameter = tensor_of(file, entry);
    if (trainable) parameter->set_requires_grad(true);
    by_name.erase(found);
  }
  check(missing.empty(), file.path(), " lacks ", missing.size(), missing.size() == 1 ? " tensor" : " tensors",
        " of the model: ", join(missing), "; is it a checkpoint of another model?");
  LoadReport report;
  for (const auto& [name, entry] : by_name)
    if (!passed_over(name) && !starts_with_any(name, may_be_missing))
      report.unexpected.push_back(entry->name);
  return report;
}

}  // namespace tenon
