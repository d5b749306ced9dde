// Cases of shapes that no contract lists, which somebody asks for. An operation that can make them files how
// they are written and made, beside its plain variant:
//   const RegisterShapes<LayerNorm> shapes{"ROWSxCOLUMNS", [](DType dtype, const Extents& e) ->
//   Case<LayerNorm::Args> {…}};
#pragma once
#include "kernels/base/registry.h"

namespace tenon {

using Extents = std::vector<int64_t>;  // the sizes that make a shape

// A case without its types: of the contract's list, or of a shape.
struct AnyCase {
  std::string name;
  AnyArgs args;                        // without memory
  std::function<void(AnyArgs&)> fill;  // null: nothing is special to it
  bool large = false;                  // too slow to be drawn several times
};

AnyCase case_at(const AnyOperation& operation, DType dtype, size_t case_index);

std::string to_string(const Extents& extents);               // "8192x768"
std::string_view shape_form(const AnyOperation& operation);  // empty: it has the contract's cases only
// Throws, with the form, unless the extents are as many as it has, each 1 or more.
AnyCase case_of(const AnyOperation& operation, DType dtype, const Extents& extents);

namespace detail {
void file_shapes(std::string_view operation, std::string_view form,
                 std::function<AnyCase(DType, const Extents&)> case_of);
}

template <Operation Op>
struct RegisterShapes {
  using Args = typename Op::Args;

  // form: capital letters and 'x'. case_of gets as many extents, and leaves the name empty.
  RegisterShapes(std::string_view form, Case<Args> (*case_of)(DType, const Extents&)) {
    detail::file_shapes(Op::name, form, [case_of](DType dtype, const Extents& extents) {
      Case<Args> made = case_of(dtype, extents);
      auto held = std::make_shared<Args>(std::move(made.args));
      AnyCase any{to_string(extents), {held, Op::inputs(*held), Op::outputs(*held)}, nullptr};
      if (made.fill)
        any.fill = [fill = std::move(made.fill)](AnyArgs& args) {
          fill(*static_cast<Args*>(args.args.get()));
        };
      return any;
    });
  }
};

}  // namespace tenon
