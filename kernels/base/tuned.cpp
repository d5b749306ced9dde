#include "kernels/base/tuned.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "kernels/base/registry.h"

namespace tenon {
namespace {

constexpr size_t most_views = 24;

// What a bucket says of one view: its rank, then for each size 0, or 1 + its binary logarithm, rounded up; a
// number to the base 65. The elements of many views are a size of rank max_rank + 1.
constexpr uint64_t base = 65;

uint64_t digit(int64_t size) {
  return size <= 0 ? 0 : 1 + static_cast<uint64_t>(std::bit_width(static_cast<uint64_t>(size) - 1));
}
int64_t size_of_digit(uint64_t digit) { return digit == 0 ? 0 : int64_t{1} << (digit - 1); }

uint64_t code_of(const TensorView& view) {
  uint64_t code = 0;
  for (int i = 0; i < view.rank; ++i) code = base * code + digit(view.shape[i]);
  return (max_rank + 2) * code + static_cast<uint64_t>(view.rank);
}

std::string text_of(uint64_t code) {
  const auto rank = static_cast<int>(code % (max_rank + 2));
  code /= max_rank + 2;
  if (rank > max_rank) return str(size_of_digit(code), " elements");
  std::string text;
  for (int i = 0; i < rank; ++i, code /= base)
    text = str(size_of_digit(code % base), text.empty() ? "" : "x", text);
  return text;
}

// A bucket of arguments, or with two numbers more in front, for an operation, device and type, a place in
// the table.
using Codes = std::vector<uint64_t>;

void append_codes(Codes& codes, const NamedViews& inputs, const NamedViews& outputs) {
  const auto begin = static_cast<std::ptrdiff_t>(codes.size());
  const bool many = inputs.size() + outputs.size() > most_views;
  int64_t elements = 0;
  for (const NamedViews* views : {&inputs, &outputs})
    for (const auto& [name, view] : *views) {
      if (!view->defined()) continue;
      elements += view->size();
      if (many) continue;
      const uint64_t code = code_of(*view);
      if (std::find(codes.begin() + begin, codes.end(), code) == codes.end()) codes.push_back(code);
    }
  if (many) codes.push_back((max_rank + 2) * digit(elements) + max_rank + 1);
}

void begin_place(Codes& place, const AnyOperation& operation, Device device, DType dtype) {
  place.assign({reinterpret_cast<uintptr_t>(&operation),
                uint64_t{static_cast<uint8_t>(device)} << 8 | static_cast<uint8_t>(dtype)});
}

struct Hash {
  size_t operator()(const Codes& codes) const {
    uint64_t hash = 0;
    for (uint64_t code : codes) hash = (hash ^ code) * 0x9e3779b97f4a7c15u, hash ^= hash >> 32;
    return hash;
  }
};

// "1024x768 4" as codes; sizes that are no powers of two match nothing.
Codes parse_shape(const std::string& text) {
  Codes codes;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    TensorView view;
    bool more = true;
    while (more && view.rank < max_rank) {
      const auto [next, error] = std::from_chars(at, end, view.shape[view.rank++]);
      if (error != std::errc()) return {};
      more = next < end && *next == 'x';
      at = next + (next < end ? 1 : 0);
    }
    if (std::string_view(at, static_cast<size_t>(end - at)) == "elements")
      return {(max_rank + 2) * digit(view.shape[0]) + max_rank + 1};
    codes.push_back(code_of(view));
  }
  return codes;
}

struct Table {
  std::vector<TunedChoice> choices;
  std::unordered_set<const AnyOperation*> operations;
  std::unordered_map<Codes, std::string, Hash> variants;
};

Table& table() {
  static Table tuned;
  return tuned;
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
  Codes codes;
  append_codes(codes, inputs, outputs);
  std::string text;
  for (uint64_t code : codes) text += str(text.empty() ? "" : " ", text_of(code));
  return text;
}

std::string use_tuned(std::vector<TunedChoice> choices) {
  const auto lacking = std::stable_partition(choices.begin(), choices.end(), is_built);
  std::set<std::string> lacked;
  for (auto choice = lacking; choice != choices.end(); ++choice)
    lacked.insert(str(choice->operation, "=", choice->variant));
  choices.erase(lacking, choices.end());

  Table tuned{std::move(choices), {}, {}};
  Codes place;
  for (const TunedChoice& choice : tuned.choices) {
    const AnyOperation* operation = find_operation(choice.operation);
    tuned.operations.insert(operation);
    begin_place(place, *operation, choice.device, choice.dtype);
    const Codes shape = parse_shape(choice.shape);
    place.insert(place.end(), shape.begin(), shape.end());
    tuned.variants[place] = choice.variant;
  }
  table() = std::move(tuned);

  std::string names;
  for (const std::string& name : lacked) names += str(names.empty() ? "" : ",", name);
  return names;
}

const std::vector<TunedChoice>& tuned_choices() { return table().choices; }

bool is_tuned(const AnyOperation& operation) { return table().operations.contains(&operation); }

std::string_view tuned_variant(const AnyOperation& operation, Device device, DType dtype,
                               const NamedViews& inputs, const NamedViews& outputs) {
  thread_local Codes place;
  begin_place(place, operation, device, dtype);
  append_codes(place, inputs, outputs);
  const auto found = table().variants.find(place);
  return found == table().variants.end() ? std::string_view() : found->second;
}

}  // namespace tenon
