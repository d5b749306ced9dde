#include "kernels/base/own_shape.h"

#include <algorithm>
#include <map>

namespace tenon {
namespace {

struct Shapes {
  std::string_view form;
  std::function<AnyCase(DType, const Extents&)> case_of;
};

std::map<std::string_view, Shapes>& filed() {
  static std::map<std::string_view, Shapes> by_operation;
  return by_operation;
}

}  // namespace

void detail::file_shapes(std::string_view operation, std::string_view form,
                         std::function<AnyCase(DType, const Extents&)> case_of) {
  filed()[operation] = {form, std::move(case_of)};
}

AnyCase case_at(const AnyOperation& operation, DType dtype, size_t case_index) {
  const CaseInfo info = operation.cases(dtype).at(case_index);
  return {info.name, operation.args(dtype, case_index),
          [&operation, dtype, case_index](AnyArgs& args) { operation.fill(args, dtype, case_index); },
          info.large};
}

std::string to_string(const Extents& extents) {
  std::string text;
  for (int64_t each : extents) text += str(text.empty() ? "" : "x", each);
  return text;
}

std::string_view shape_form(const AnyOperation& operation) {
  const auto found = filed().find(operation.name());
  return found == filed().end() ? "" : found->second.form;
}

AnyCase case_of(const AnyOperation& operation, DType dtype, const Extents& extents) {
  const std::string_view name = operation.name(), form = shape_form(operation);
  check(!form.empty(), name, " takes no shapes but those of its cases");
  const auto wanted = static_cast<size_t>(std::count(form.begin(), form.end(), 'x')) + 1;
  check(extents.size() == wanted, name, " takes a shape ", form, ", not ", to_string(extents));
  for (int64_t each : extents)
    check(each >= 1 && each <= INT32_MAX, name, " takes a shape ", form, " of sizes from 1 to ", INT32_MAX,
          ", not ", to_string(extents));
  AnyCase made = filed().at(name).case_of(dtype, extents);
  made.large = operation.cost(made.args).bytes > 1e6;
  return made;
}

}  // namespace tenon
