#include "kernels/base/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "kernels/base/philox.h"

namespace tenon {
namespace {

constexpr size_t fence = 256;  // bytes before and after every buffer
constexpr int sentinel = 0x5a, not_a_number = 0xff;

size_t extent_bytes(const TensorView& view) {
  if (view.size() == 0) return 0;
  int64_t last = 0;
  for (int i = 0; i < view.rank; ++i) last += (view.shape[i] - 1) * view.stride[i];
  return static_cast<size_t>(last + 1) * size_of(view.dtype);
}

// Elements of the last dimension may lie apart.
int64_t step_of(const TensorView& view) { return view.stride[view.rank - 1]; }

// Calls body(offset of the row in elements) for each run of the last dimension, in row-major order.
void for_each_row(const TensorView& view, const std::function<void(int64_t)>& body) {
  if (view.size() == 0) return;
  const int64_t rows = view.size() / std::max<int64_t>(view.shape[view.rank - 1], 1);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t rest = row, offset = 0;
    for (int i = view.rank - 2; i >= 0; rest /= view.shape[i--])
      offset += rest % view.shape[i] * view.stride[i];
    body(offset);
  }
}

double element(const TensorView& view, int64_t offset) {
  switch (view.dtype) {
    case DType::f32:
      return double{view.as<float>()[offset]};
    case DType::f64:
      return view.as<double>()[offset];
    case DType::bf16:
      return double{float(view.as<bf16>()[offset])};
    case DType::f16:
      return double{float(view.as<f16>()[offset])};
    case DType::i32:
      return view.as<int32_t>()[offset];
    case DType::i64:
      return static_cast<double>(view.as<int64_t>()[offset]);
    case DType::u8:
      return view.as<uint8_t>()[offset];
  }
  return 0;
}

void set_element(const TensorView& view, int64_t offset, double value) {
  const auto narrow = static_cast<float>(value);
  switch (view.dtype) {
    case DType::f32:
      view.as<float>()[offset] = narrow;
      break;
    case DType::f64:
      view.as<double>()[offset] = value;
      break;
    case DType::bf16:
      view.as<bf16>()[offset] = bf16(narrow);
      break;
    case DType::f16:
      view.as<f16>()[offset] = f16(narrow);
      break;
    default:
      break;
  }
}

// A standard normal number: a sum of twelve uniform ones, which is the same on every machine.
double normal(const RandomKey& key, uint64_t index) {
  double sum = -6;
  for (uint64_t block = 0; block < 3; ++block)
    for (uint32_t word : key.block(3 * index + block)) sum += (word + 0.5) * 0x1p-32;
  return sum;
}

void fill_normal(const TensorView& view, uint64_t seed, uint64_t variation, uint32_t stream) {
  const RandomKey key{seed, 0, stream}, other{seed + variation, 1, stream}, places{variation, 2, stream};
  const auto is_varied = [&](uint64_t index) {
    return variation != 0 && (index == 0 || places(index) % 64 == 0);
  };
  uint64_t index = 0;
  for_each_row(view, [&](int64_t offset) {
    for (int64_t i = 0; i < view.shape[view.rank - 1]; ++i, ++index)
      set_element(view, offset + i * step_of(view), normal(is_varied(index) ? other : key, index));
  });
}

AnyArgs with_f64(const AnyOperation& operation, const AnyArgs& args) {
  AnyArgs wide = operation.clone(args);
  for (auto* views : {&wide.inputs, &wide.outputs})
    for (auto& [name, view] : *views)
      if (is_floating(view->dtype)) view->dtype = DType::f64;
  return wide;
}

void convert_inputs(const Problem& from, Problem& to) {
  const NamedViews &source = from.args().inputs, &target = to.args().inputs;
  for (size_t i = 0; i < source.size(); ++i) {
    const TensorView &x = *source[i].view, &y = *target[i].view;
    if (!x.defined()) continue;
    if (x.dtype == y.dtype) {
      std::memcpy(y.data, x.data, extent_bytes(x));
      continue;
    }
    for_each_row(x, [&](int64_t offset) {
      for (int64_t j = 0; j < x.shape[x.rank - 1]; ++j)
        set_element(y, offset + j * step_of(x), element(x, offset + j * step_of(x)));
    });
  }
}

size_t plain_variant(const AnyOperation& operation) {
  for (size_t i = 0; i < operation.variant_count(); ++i)
    if (operation.variant(i).name == "plain" && operation.variant(i).device == Device::cpu) return i;
  fail(operation.name(), " has no plain variant on the cpu, which is its reference");
}

// What rounding to the element type may change a number by: half a unit in its last place.
double half_unit(DType dtype, double value) {
  const int digits = dtype == DType::f64 ? 53 : dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  return is_floating(dtype) && value > 0 && std::isfinite(value) ? std::ldexp(1, std::ilogb(value) - digits)
                                                                 : 0;
}

RowError row_error(const TensorView& view, const TensorView& reference, int64_t offset) {
  RowError error;
  const int64_t columns = view.shape[view.rank - 1];
  for (int64_t i = 0; i < columns; ++i) {
    const double truth = element(reference, offset + i * step_of(view));
    const double difference = std::fabs(element(view, offset + i * step_of(view)) - truth);
    error.max = std::max(error.max, difference);
    // An element that is not finite fails by itself; its row's others are judged as if it were not there.
    if (std::isfinite(difference)) error.rms += difference * difference / static_cast<double>(columns);
    error.scale = std::max(error.scale, std::fabs(truth));
  }
  error.rms = std::sqrt(error.rms);
  return error;
}

// One more draw of the numbers.
void extend(Yardstick& yardstick, const TensorView& plain, const TensorView& reference) {
  const bool is_first = yardstick.rows.empty();
  double squares = 0;
  size_t row = 0;
  for_each_row(plain, [&](int64_t offset) {
    const RowError error = row_error(plain, reference, offset);
    squares += error.rms * error.rms;
    if (is_first) yardstick.rows.push_back(error);
    RowError& most = yardstick.rows[row++];
    if (std::isfinite(error.max)) most.max = std::max(most.max, error.max);
    most.rms = std::max(most.rms, error.rms);
  });
  if (is_first && row > 0) yardstick.typical = std::sqrt(squares / static_cast<double>(row));
}

// One output against the reference; NaN fails because every comparison is written to be true only when right.
std::string judge_view(std::string_view name, const TensorView& view, const Yardstick& plain,
                       const TensorView& reference, Tolerance tolerance) {
  std::string first;
  int64_t wrong = 0, index = 0;
  size_t row = 0;
  double worst = 0;
  for_each_row(view, [&](int64_t offset) {
    const RowError own = row_error(view, reference, offset), &yardstick = plain.rows[row++];
    const bool row_overflows =
        !std::isfinite(own.scale);  // a reference beyond the range of fp64 says nothing
    const double slack = tolerance.floor * own.scale + tolerance.absolute;
    const double rounding = plain.typical > 0 ? half_unit(view.dtype, own.scale) : 0;
    const double bound = tolerance.factor * std::max({yardstick.max, plain.typical, rounding}) + slack;
    const double rms_bound = tolerance.factor * std::max(yardstick.rms, plain.typical) + slack;
    // In a row that is off as a whole, the elements that make it so are the wrong ones.
    const double limit = own.rms <= rms_bound ? bound : std::min(bound, rms_bound);
    for (int64_t i = 0; i < view.shape[view.rank - 1]; ++i, ++index) {
      const double value = element(view, offset + i * step_of(view));
      const double truth = element(reference, offset + i * step_of(view));
      const double difference = std::fabs(value - truth);
      if (row_overflows || difference <= limit) continue;
      ++wrong;
      worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
      if (first.empty())
        first = str(name, "[", index, "] is ", value, ", not ", truth, " (bound ", limit,
                    "; of the row, rms ", own.rms, " of ", rms_bound, ")");
    }
  });
  return wrong == 0 ? "" : str(first, "; ", wrong, " of ", view.size(), " wrong, worst error ", worst);
}

constexpr uint64_t draws = 4;  // of a case's numbers, to see how wrong plain is

std::unique_ptr<Problem> run_plain(const AnyOperation& operation, const Problem& host, bool in_f64) {
  auto problem = std::make_unique<Problem>(
      in_f64 ? with_f64(operation, host.args()) : operation.clone(host.args()), Device::cpu);
  convert_inputs(host, *problem);
  problem->poison_outputs();
  operation.run(plain_variant(operation), problem->args(), Stream::current(Device::cpu));
  return problem;
}

}  // namespace

Problem::Problem(AnyArgs args, Device device, bool guarded) : device_(device), args_(std::move(args)) {
  const auto add = [&](const NamedView& named, bool output) {
    for (Memory& memory : memories_)
      if (memory.view == named.view) {
        memory.output |= output;
        return;
      }
    if (!named.view->defined()) return;
    Memory memory{named.view, named.name, extent_bytes(*named.view), !output, output, {}, {}, nullptr, fence};
    if (guarded) {
      memory.guarded.emplace(memory.bytes, fence);
      memory.data = memory.guarded->data();
      memory.after = memory.guarded->after();
    } else {
      memory.buffer = Buffer(device, memory.bytes + 2 * fence);
      memory.data = memory.buffer.as<char>() + fence;
    }
    named.view->data = memory.data;
    memories_.push_back(std::move(memory));
  };
  for (const NamedView& input : args_.inputs) add(input, false);
  for (const NamedView& output : args_.outputs) add(output, true);
  for (const Memory& memory : memories_) {
    const std::vector<char> fences(fence + memory.bytes + memory.after, memory.surroundings());
    copy(memory.data - fence, device, fences.data(), Device::cpu, fences.size());
  }
}

void Problem::load_inputs(const Problem& host) {
  for (size_t i = 0; i < memories_.size(); ++i)
    if (memories_[i].input)
      copy(memories_[i].data, device_, host.memories_[i].data, Device::cpu, memories_[i].bytes);
}

// Gaps between strided rows keep their sentinels.
void Problem::poison_outputs() {
  for (const Memory& memory : memories_) {
    if (memory.input) continue;
    std::vector<char> bytes(memory.bytes, sentinel);
    const size_t width = size_of(memory.view->dtype);
    for_each_row(*memory.view, [&](int64_t offset) {
      std::memset(bytes.data() + static_cast<size_t>(offset) * width, not_a_number,
                  static_cast<size_t>(memory.view->shape[memory.view->rank - 1]) * width);
    });
    copy(memory.data, device_, bytes.data(), Device::cpu, bytes.size());
  }
}

std::string Problem::damage(const Problem& host) {
  for (size_t i = 0; i < memories_.size(); ++i) {
    const Memory& memory = memories_[i];
    if (memory.guarded)
      if (const std::string touched = memory.guarded->touched(); !touched.empty())
        return str("memory outside ", memory.name, " ", touched);
    std::vector<char> now(fence + memory.bytes + memory.after);
    copy(now.data(), Device::cpu, memory.data - fence, device_, now.size());
    std::vector<char> expected(now.size(), memory.surroundings());
    if (memory.input) std::memcpy(expected.data() + fence, host.memories_[i].data, memory.bytes);
    if (memory.output) {  // the elements themselves may have changed, the gaps may not
      const size_t width = size_of(memory.view->dtype);
      for_each_row(*memory.view, [&](int64_t offset) {
        const size_t start = fence + static_cast<size_t>(offset) * width;
        std::memcpy(expected.data() + start, now.data() + start,
                    static_cast<size_t>(memory.view->shape[memory.view->rank - 1]) * width);
      });
    }
    if (now == expected) continue;
    const auto where = std::mismatch(now.begin(), now.end(), expected.begin()).first - now.begin();
    const auto offset = static_cast<int64_t>(where) - static_cast<int64_t>(fence);
    return str(memory.input && !memory.output ? "input " : "memory outside ", memory.name,
               " was written at byte ", offset, " of ", memory.bytes);
  }
  return "";
}

std::unique_ptr<Problem> make_host_problem(const AnyOperation& operation, const AnyCase& of, uint64_t seed,
                                           uint64_t variation) {
  auto host = std::make_unique<Problem>(operation.clone(of.args), Device::cpu);
  uint32_t stream = 0;
  for (const auto& [name, view] : host->args().inputs)
    if (view->defined() && is_floating(view->dtype)) fill_normal(*view, seed, variation, ++stream);
  if (of.fill) of.fill(host->args());
  return host;
}

Verifier::Verifier(const AnyOperation& operation, DType dtype, const AnyCase& of, uint64_t seed,
                   uint64_t variation)
    : operation_(operation),
      tolerance_(operation.tolerance(dtype)),
      host_(make_host_problem(operation, of, seed, variation)),
      reference_(run_plain(operation, *host_, true)),
      yardsticks_(host_->args().outputs.size()) {
  measure_plain(*host_, *reference_);
  if (of.large) return;
  for (uint64_t i = 1; i < draws; ++i) {
    const auto other = make_host_problem(operation, of, seed + (i << 32), variation);
    measure_plain(*other, *run_plain(operation, *other, true));
  }
}

void Verifier::measure_plain(const Problem& host, const Problem& reference) {
  const auto plain = run_plain(operation_, host, false);
  for (size_t i = 0; i < yardsticks_.size(); ++i)
    if (const TensorView& view = *plain->args().outputs[i].view; view.defined() && view.size() > 0)
      extend(yardsticks_[i], view, *reference.args().outputs[i].view);
}

std::string Verifier::judge(size_t variant, Device device) const {
  Problem problem(operation_.clone(host_->args()), device, device == Device::cpu);
  problem.load_inputs(*host_);
  problem.poison_outputs();
  Stream& stream = Stream::current(device);
  {
    const WatchGuards watch;
    operation_.run(variant, problem.args(), stream);
    stream.synchronize();
  }
  const std::string damage = problem.damage(*host_);
  return damage.empty() ? judge_outputs(problem, device) : damage;
}

std::string Verifier::judge_outputs(const Problem& problem, Device device) const {
  const NamedViews& outputs = problem.args().outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    TensorView view = *outputs[i].view;
    if (!view.defined() || view.size() == 0) continue;
    std::vector<char> bytes(extent_bytes(view));
    copy(bytes.data(), Device::cpu, view.data, device, bytes.size());
    view.data = bytes.data();
    const std::string wrong =
        judge_view(outputs[i].name, view, yardsticks_[i], *reference_->args().outputs[i].view, tolerance_);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace tenon
