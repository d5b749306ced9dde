#include "kernels/base/tuned.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <set>
#include <unordered_map>

#include "kernels/base/registry.h"

namespace tenon {
namespace {

constexpr size_t most_views = 24;

struct Table {
  std::vector<TunedChoice> choices;
  std::unordered_map<std::string, std::string> variants;  // by key()
};

Table& table() {
  static Table tuned;
  return tuned;
}

void append_bucket(std::string& text, int64_t size) {
  char digits[24];
  const auto bucket = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(size)));
  text.append(digits, std::to_chars(digits, std::end(digits), size > 0 ? bucket : 0).ptr);
}

// Whether the shape that begins at `begin` stands before it, too.
bool is_repeated(std::string_view shapes, size_t begin) {
  const std::string_view last = shapes.substr(begin);
  for (size_t at = 0; at < begin;) {
    const size_t space = shapes.find(' ', at);
    if (shapes.substr(at, space - at) == last) return true;
    at = space + 1;
  }
  return false;
}

void append_shapes(std::string& text, const NamedViews& inputs, const NamedViews& outputs) {
  const size_t start = text.size();
  for (const NamedViews* views : {&inputs, &outputs})
    for (const auto& [name, view] : *views) {
      if (!view->defined()) continue;
      const size_t before = text.size();
      if (before > start) text += ' ';
      const size_t begin = text.size() - start;
      for (int i = 0; i < view->rank; ++i) {
        if (i > 0) text += 'x';
        append_bucket(text, view->shape[i]);
      }
      if (is_repeated(std::string_view(text).substr(start), begin)) text.resize(before);
    }
}

void append_shape_bucket(std::string& text, const NamedViews& inputs, const NamedViews& outputs) {
  if (inputs.size() + outputs.size() <= most_views) return append_shapes(text, inputs, outputs);
  int64_t elements = 0;
  for (const NamedViews* views : {&inputs, &outputs})
    for (const auto& [name, view] : *views)
      if (view->defined()) elements += view->size();
  append_bucket(text, elements);
  text += " elements";
}

void begin_key(std::string& key, std::string_view operation, Device device, DType dtype) {
  key.assign(operation);
  key += '/';
  key += static_cast<char>('0' + static_cast<int>(device));
  key += static_cast<char>('0' + static_cast<int>(dtype));
}

bool is_built(const TunedChoice& choice) {
  const AnyOperation* operation = find_operation(choice.operation);
  for (size_t i = 0; operation && i < operation->variant_count(); ++i) {
    const VariantInfo& variant = operation->variant(i);
    if (variant.name == choice.variant && variant.device == choice.device && variant.takes(choice.dtype))
      return true;
  }
  return false;
}

}  // namespace

std::string shape_bucket(const NamedViews& inputs, const NamedViews& outputs) {
  std::string text;
  append_shape_bucket(text, inputs, outputs);
  return text;
}

std::string use_tuned(std::vector<TunedChoice> choices) {
  const auto lacking = std::stable_partition(choices.begin(), choices.end(), is_built);
  std::set<std::string> lacked;
  for (auto choice = lacking; choice != choices.end(); ++choice)
    lacked.insert(str(choice->operation, "=", choice->variant));
  choices.erase(lacking, choices.end());

  Table tuned{std::move(choices), {}};
  std::string key;
  for (const TunedChoice& choice : tuned.choices) {
    begin_key(key, choice.operation, choice.device, choice.dtype);
    tuned.variants[key + choice.shape] = choice.variant;
  }
  table() = std::move(tuned);

  std::string names;
  for (const std::string& name : lacked) names += str(names.empty() ? "" : ",", name);
  return names;
}

const std::vector<TunedChoice>& tuned_choices() { return table().choices; }

std::string_view tuned_variant(std::string_view operation, Device device, DType dtype,
                               const NamedViews& inputs, const NamedViews& outputs) {
  thread_local std::string key;
  begin_key(key, operation, device, dtype);
  append_shape_bucket(key, inputs, outputs);
  const auto found = table().variants.find(key);
  return found == table().variants.end() ? std::string_view() : found->second;
}

}  // namespace tenon
