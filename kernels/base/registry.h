// Every operation and every variant of it, filed by plain static objects:
//   const Register<LayerNorm> registered{{.name = "…", .device = …, .dtypes = {…}, .run = run}};
// Tests, the bench and `tenon kernels` see them without their types through AnyOperation.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <source_location>

#include "kernels/base/op.h"

namespace tenon {

struct VariantInfo {
  std::string_view name;
  Device device;
  int priority;
  std::vector<DType> dtypes;
  bool deterministic, batch_invariant;
  std::string file;        // source file that filed it
  std::atomic<bool> used;  // selected at least once in this process

  VariantInfo(std::string_view name, Device device, int priority, std::vector<DType> dtypes,
              bool deterministic, bool batch_invariant, std::string file)
      : name(name),
        device(device),
        priority(priority),
        dtypes(std::move(dtypes)),
        deterministic(deterministic),
        batch_invariant(batch_invariant),
        file(std::move(file)),
        used(false) {}
  bool takes(DType dtype) const {
    for (DType each : dtypes)
      if (each == dtype) return true;
    return false;
  }
};

// Arguments of some operation, with pointers to the views in them.
struct AnyArgs {
  std::shared_ptr<void> args;
  NamedViews inputs, outputs;
};

struct CaseInfo {
  std::string name;
  bool large;
};

class AnyOperation {
 public:
  virtual ~AnyOperation() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view backward() const = 0;  // name of the operation that is its gradient; may be empty
  virtual std::vector<DType> dtypes() const = 0;
  virtual std::vector<CaseInfo> cases(DType dtype) const = 0;
  virtual AnyArgs args(DType dtype, size_t case_index) const = 0;
  virtual void fill(AnyArgs& args, DType dtype, size_t case_index) const = 0;
  virtual AnyArgs clone(const AnyArgs& args) const = 0;
  virtual Cost cost(const AnyArgs& args) const = 0;
  virtual Tolerance tolerance(DType dtype) const = 0;
  virtual size_t variant_count() const = 0;
  virtual VariantInfo& variant(size_t index) const = 0;
  virtual std::string supports(size_t variant, const AnyArgs& args) const = 0;  // empty: yes
  virtual size_t workspace(size_t variant, const AnyArgs& args) const = 0;
  virtual void run(size_t variant, const AnyArgs& args, Stream& stream) const = 0;
};

// By name, in the order of their names.
std::vector<const AnyOperation*> operations();
const AnyOperation* find_operation(std::string_view name);  // null if there is none
void file_operation(const AnyOperation* operation);

template <Operation Op>
struct Entry {
  Variant<Op> variant;
  std::unique_ptr<VariantInfo> info;
};

template <Operation Op>
std::deque<Entry<Op>>& entries() {
  static std::deque<Entry<Op>> filed;
  return filed;
}

template <Operation Op>
class TypedOperation final : public AnyOperation {
  using Args = typename Op::Args;
  static Args& typed(const AnyArgs& any) { return *static_cast<Args*>(any.args.get()); }
  static AnyArgs wrap(Args args) {
    auto held = std::make_shared<Args>(std::move(args));
    return {held, Op::inputs(*held), Op::outputs(*held)};
  }

 public:
  std::string_view name() const override { return Op::name; }
  std::string_view backward() const override { return backward_of<Op>(); }
  std::vector<DType> dtypes() const override { return Op::dtypes(); }
  std::vector<CaseInfo> cases(DType dtype) const override {
    std::vector<CaseInfo> infos;
    for (const auto& each : Op::cases(dtype)) infos.push_back({each.name, each.large});
    return infos;
  }
  AnyArgs args(DType dtype, size_t index) const override { return wrap(Op::cases(dtype).at(index).args); }
  void fill(AnyArgs& any, DType dtype, size_t index) const override {
    if (const auto fill = Op::cases(dtype).at(index).fill) fill(typed(any));
  }
  AnyArgs clone(const AnyArgs& any) const override { return wrap(typed(any)); }
  Cost cost(const AnyArgs& any) const override { return Op::cost(typed(any)); }
  Tolerance tolerance(DType dtype) const override { return Op::tolerance(dtype); }
  size_t variant_count() const override { return entries<Op>().size(); }
  VariantInfo& variant(size_t index) const override { return *entries<Op>()[index].info; }
  std::string supports(size_t index, const AnyArgs& any) const override {
    const auto& [variant, info] = entries<Op>()[index];
    if (variant.available && !variant.available()) return "this machine lacks the instructions it uses";
    const DType dtype = Op::dtype(typed(any));
    if (!info->takes(dtype)) return str("it was not built for elements of type ", dtype);
    return variant.supports ? variant.supports(typed(any)) : std::string();
  }
  size_t workspace(size_t index, const AnyArgs& any) const override {
    const auto& variant = entries<Op>()[index].variant;
    return variant.workspace ? variant.workspace(typed(any)) : 0;
  }
  void run(size_t index, const AnyArgs& any, Stream& stream) const override {
    entries<Op>()[index].variant.run(typed(any), stream);
  }
};

template <Operation Op>
struct Register {
  explicit Register(Variant<Op> variant, std::source_location where = std::source_location::current()) {
    static const TypedOperation<Op> operation;
    if (entries<Op>().empty()) file_operation(&operation);
    auto info =
        std::make_unique<VariantInfo>(variant.name, variant.device, variant.priority, variant.dtypes,
                                      variant.deterministic, variant.batch_invariant, where.file_name());
    entries<Op>().push_back({std::move(variant), std::move(info)});
  }
};

}  // namespace tenon
